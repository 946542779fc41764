"""What teaches one rule another: VSML backpropagation, the unsupervised rule a clustering."""

from hebbax.teachers._cloning import CloneBackprop as CloneBackprop
from hebbax.teachers._cloning import begin as begin
from hebbax.teachers._cloning import cloning_rule as cloning_rule
from hebbax.teachers._clustering import CloneClustering as CloneClustering
from hebbax.teachers._delta_rule import still as still
from hebbax.teachers._delta_rule import with_delta_rule as with_delta_rule
from hebbax.teachers._network_cloning import CloneInNetwork as CloneInNetwork
from hebbax.teachers._synapses import SynapseFamily as SynapseFamily
from hebbax.teachers._synapses import random_synapses as random_synapses
