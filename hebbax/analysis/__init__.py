"""What was learnt: functions that take any rule and θ and say something about them."""

from hebbax.analysis.equations import equations as equations
from hebbax.analysis.equivalence import Asymmetry as Asymmetry
from hebbax.analysis.equivalence import asymmetry as asymmetry
from hebbax.analysis.equivalence import change_jacobian as change_jacobian
from hebbax.analysis.locality import Locality as Locality
from hebbax.analysis.locality import locality as locality
from hebbax.analysis.metric import MetricTest as MetricTest
from hebbax.analysis.metric import metric_test as metric_test
