"""VSML: variable shared meta-learning (Kirsch and Schmidhuber, 2020)."""

from hebbax.rules.vsml._meta_parameters import Head as Head
from hebbax.rules.vsml._meta_parameters import SharedCell as SharedCell
from hebbax.rules.vsml._meta_parameters import halved as halved
from hebbax.rules.vsml._network import Layer as Layer
from hebbax.rules.vsml._network import Network as Network
from hebbax.rules.vsml._rule import Vsml as Vsml
