"""BLUR: bidirectional learned update rules (Sandler et al., ICML 2021)."""

from hebbax.rules.blur._genome import Genome as Genome
from hebbax.rules.blur._network import Network as Network
from hebbax.rules.blur._network import Synapses as Synapses
from hebbax.rules.blur._rule import Blur as Blur
