"""BLUR: bidirectional learned update rules (Sandler et al., ICML 2021)."""

from hebbax.rules.blur.genome import Genome as Genome
from hebbax.rules.blur.network import Network as Network
from hebbax.rules.blur.network import Synapses as Synapses
from hebbax.rules.blur.rule import Blur as Blur
