"""Randomness that the forward pass of an update injects (BLUR sec. 5)."""

import jax
from jaxtyping import PRNGKeyArray

from hebbax.rules.blur._genome import Genome
from hebbax.rules.blur._wired import Layer


def noisy(genome: Genome, key: PRNGKeyArray | None, layer: int, u: Layer) -> Layer:
    """Add normal noise to what drives a hidden layer, each state with its learnt deviation.

    For every unit and row anew. Without a key, `u` as it is: predictions are without noise.
    """
    if key is None or genome.noise is None:
        return u
    # The bits of `jax.random.normal` depend on the key and on the shape only.
    drawn = jax.random.normal(jax.random.fold_in(key, layer + 1), u.shape, u.dtype)
    return u + genome.noise[:, None, None] * drawn
