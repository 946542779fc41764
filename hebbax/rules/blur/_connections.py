"""A network as BLUR's equations see it: connections, each with the genome that changes it."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from hebbax.rules.blur._genome import Genome
from hebbax.rules.blur._network import Network, Synapses

Layer = Float[Array, "k _ batch"]
"""The states of all neurons of a layer, for each example."""


class Connection(NamedTuple):
    """The synapses from one layer to the next, and their genome."""

    genome: Genome
    synapses: Synapses


def connections(theta: Genome, net: Network, of_layers: bool) -> list[Connection]:
    """Return the connections of a network, input side first.

    `of_layers`: each has a genome of its own, and θ a leading axis that counts them.
    """
    return [
        Connection(genome_of(theta, index, of_layers), synapses)
        for index, synapses in enumerate(net.layers)
    ]


def genome_of(theta: Genome, layer: int, of_layers: bool) -> Genome:
    """Return the genome of one synapse layer."""
    return jax.tree.map(lambda a: a[layer], theta) if of_layers else theta
