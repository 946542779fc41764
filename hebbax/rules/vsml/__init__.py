"""VSML: variable shared meta-learning (Kirsch and Schmidhuber, 2020)."""

from hebbax.rules.vsml.meta_parameters import Head as Head
from hebbax.rules.vsml.meta_parameters import SharedCell as SharedCell
from hebbax.rules.vsml.network import Layer as Layer
from hebbax.rules.vsml.network import Network as Network
from hebbax.rules.vsml.rule import Vsml as Vsml
