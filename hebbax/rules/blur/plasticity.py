"""Equations 7 and 8 of BLUR: how synapses change, and what keeps them bounded."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.blur.genome import Genome

Oja = Literal["full", "first", "weights", "activations"]
Saturation = Literal["tanh", "exponential"]
Block = Float[Array, "s senders receivers"]


def hebb(pre: Float[Array, "s batch senders"], post: Float[Array, "s batch receivers"]) -> Block:
    """Sum over the batch of presynaptic times postsynaptic activity (BLUR eq. 7)."""
    return jnp.einsum("kbi,kbj->kij", pre, post)


def hebb_input(
    x: Float[Array, "batch in"],
    gain: Float[Array, " s"],
    post: Float[Array, "s batch receivers"],
) -> Block:
    """`hebb` for the input layer, whose states are `[x, 0, …]`: one product serves all states."""
    return jnp.einsum("bi,kbj->kij", x, gain[:, None, None] * post)


def oja(
    kind: Oja,
    genome: Genome,
    extra: float,
    weight: Block,
    change: Block,
    post: Float[Array, "k batch receivers"] | None,
    scale: float,
) -> Block:
    """Return Oja's term for a block of synapses; it is added to the synapses as it is.

    - `full`: BLUR eq. 8, −(f̃−1) w Σ_r w² − η̃ w Σ_r w φ, with φ the Hebbian `change`.
    - `first`: its first part times the learnt multiplier.
    - `weights`: the same as the authors' program has it, −|η̃| |multiplier| w Σ_r w², which
      shrinks synapses whatever the signs.
    - `activations`: their classical form, −|η̃| |multiplier| w Σ_b (Σ_d μ̃ a_j)².

    `weight` holds every synapse into its receivers, the bias as its last row. `scale` is 1, or
    one over the batch size where the rule averages over the batch.
    """
    if kind == "activations":
        assert post is not None
        inhibition = scale * jnp.sum(post**2, axis=1)[:, None, :]
    else:
        inhibition = jnp.sum(weight**2, axis=1, keepdims=True)
    if kind in ("weights", "activations"):
        rate = jnp.abs(genome.eta_tilde) * jnp.abs(genome.oja_multiplier) * extra
        return -rate * weight * inhibition
    keep = genome.f_tilde - 1
    if kind == "first":
        return -keep * genome.oja_multiplier * extra * weight * inhibition
    drive = jnp.sum(weight * change, axis=1, keepdims=True)
    return -extra * weight * (keep * inhibition + genome.eta_tilde * drive)


def apply_change(
    kind: Saturation | None,
    genome: Genome,
    epsilon: float,
    weight: Float[Array, "*synapses"],
    change: Float[Array, "*synapses"],
) -> Float[Array, "*synapses"]:
    """Add `change` to synapses, saturating them if asked to (BLUR sec. 3.4).

    `tanh`: α·tanh(w/α) with a learnt α. `exponential`, of the authors' program: the change is
    damped by exp(−|w| (ε + |rate|)).
    """
    if kind == "exponential":
        damping = jnp.exp(-jnp.abs(weight) * (epsilon + jnp.abs(genome.saturation)))
        return weight + change * damping
    if kind == "tanh":
        alpha = epsilon + jnp.abs(genome.saturation)
        return alpha * jnp.tanh((weight + change) / alpha)
    return weight + change
