"""What was learnt: functions that take any rule and θ and say something about them."""

from hebbax.analysis._equivalence import Asymmetry as Asymmetry
from hebbax.analysis._equivalence import asymmetry as asymmetry
from hebbax.analysis._equivalence import change_jacobian as change_jacobian
from hebbax.analysis._locality import Locality as Locality
from hebbax.analysis._locality import locality as locality
from hebbax.analysis._metric import MetricTest as MetricTest
from hebbax.analysis._metric import metric_test as metric_test
from hebbax.analysis.equations import equations as equations
