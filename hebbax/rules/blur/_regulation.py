"""Neurons that regulate themselves by the states that they are in (BLUR sec. 5)."""

import jax
from jaxtyping import Array, Float

from hebbax.rules.blur import _neurons as neurons
from hebbax.rules.blur._genome import Genome

States = Float[Array, "k units batch"]


def regulated(genome: Genome, old: States, u: States) -> States:
    """Scale what arrives at neurons by gates that read the states `old` they are in.

    Each state c of a neuron lets in 2·s(Σ_d ρ^{cd} a^d) of it, s the logistic function: the update
    gate η becomes the neuron's own. With ρ = 0, or for neurons at rest, that is all of it.
    """
    if genome.regulation is None:
        return u
    return 2 * jax.nn.sigmoid(neurons.mix(genome.regulation, old)) * u
