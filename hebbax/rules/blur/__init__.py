"""BLUR: bidirectional learned update rules (Sandler et al., ICML 2021)."""

from hebbax.rules.blur._changes import oja as oja
from hebbax.rules.blur._changes import saturate as saturate
from hebbax.rules.blur._forward_change import of_forward as of_forward
from hebbax.rules.blur._genome import Genome as Genome
from hebbax.rules.blur._memory import Memory as Memory
from hebbax.rules.blur._network import Network as Network
from hebbax.rules.blur._network import Synapses as Synapses
from hebbax.rules.blur._normalization import Statistics as Statistics
from hebbax.rules.blur._options import Normalization as Normalization
from hebbax.rules.blur._options import Oja as Oja
from hebbax.rules.blur._options import Saturation as Saturation
from hebbax.rules.blur._options import SynapseNormalization as SynapseNormalization
from hebbax.rules.blur._rule import Blur as Blur
