"""A network as BLUR's equations see it: layers, each with its synapses and their genome."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from hebbax import networks
from hebbax.rules.blur._genome import Genome
from hebbax.rules.blur._network import Network, Synapses

Layer = Float[Array, "k _ batch"]
"""The states of all neurons of a layer, for each example."""


class Wired(NamedTuple):
    """A layer: what it hears, through which synapses, and the genome of these."""

    genome: Genome
    synapses: Synapses
    layer: networks.Layer


def wired(theta: Genome, net: Network, of_layers: bool) -> list[Wired]:
    """Return the layers of a network but the input.

    `of_layers`: each has a genome of its own, and θ a leading axis that counts them.
    """
    return [
        Wired(genome_of(theta, index, of_layers), synapses, layer)
        for index, (synapses, layer) in enumerate(zip(net.layers, net.wired.layers, strict=True))
    ]


def genome_of(theta: Genome, layer: int, of_layers: bool) -> Genome:
    """Return the genome of one synapse layer."""
    return jax.tree.map(lambda a: a[layer], theta) if of_layers else theta
