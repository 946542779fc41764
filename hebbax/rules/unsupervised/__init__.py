"""The learned unsupervised update rule (Metz et al., ICLR 2019)."""

from hebbax.rules.unsupervised._network import Layer as Layer
from hebbax.rules.unsupervised._network import LayerMoments as LayerMoments
from hebbax.rules.unsupervised._network import Network as Network
from hebbax.rules.unsupervised._network import draw_network as draw_network
from hebbax.rules.unsupervised._network import measure as measure
from hebbax.rules.unsupervised._network import run_forward as run_forward
from hebbax.rules.unsupervised._parameters import PLANES as PLANES
from hebbax.rules.unsupervised._parameters import Parameters as Parameters
from hebbax.rules.unsupervised._planes import PULL as PULL
from hebbax.rules.unsupervised._planes import columns as columns
from hebbax.rules.unsupervised._planes import standardized as standardized
from hebbax.rules.unsupervised._rule import ACTIVATIONS as ACTIVATIONS
from hebbax.rules.unsupervised._rule import UnsupervisedRule as UnsupervisedRule
