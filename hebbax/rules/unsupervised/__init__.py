"""The learned unsupervised update rule (Metz et al., ICLR 2019)."""

from hebbax.rules.unsupervised.network import Layer as Layer
from hebbax.rules.unsupervised.network import Network as Network
from hebbax.rules.unsupervised.parameters import Parameters as Parameters
from hebbax.rules.unsupervised.rule import UnsupervisedRule as UnsupervisedRule
