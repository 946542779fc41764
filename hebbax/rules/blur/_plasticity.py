"""Equations 7 and 8 of BLUR: how synapses change, and what keeps them bounded."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.blur._genome import Genome
from hebbax.rules.blur._neurons import NORM_EPSILON

Block = Float[Array, "s receivers senders"]


def hebb(pre: Float[Array, "s senders batch"], post: Float[Array, "s receivers batch"]) -> Block:
    """Sum over the batch of presynaptic times postsynaptic activity (BLUR eq. 7)."""
    return jnp.einsum("kib,kjb->kij", post, pre)


def hebb_input(
    x: Float[Array, "batch in"],
    gain: Float[Array, " s"],
    post: Float[Array, "s receivers batch"],
) -> Block:
    """`hebb` for the input layer, whose states are `[x, 0, …]`: one product serves all states."""
    return jnp.einsum("kib,bj->kij", gain[:, None, None] * post, x)


class Limits(NamedTuple):
    """What keeps synapses bounded: the options of `Blur` of the same names."""

    oja: str | None
    oja_extra: float
    saturation: str | None
    saturation_epsilon: float


def change_block(
    limits: Limits,
    genome: Genome,
    weight: Block,
    bias: Float[Array, "s receivers"] | None,
    change: Float[Array, "_ receivers senders"],
    bias_change: Float[Array, "_ receivers"] | None,
    activity: Float[Array, "s receivers"] | None,
) -> tuple[Block, Float[Array, "s receivers"] | None]:
    """Bring a block of synapses, and its biases, to their next values (BLUR eqs. 7 and 8).

    `change` and `bias_change` are the Hebbian sums times η̃, of one synapse state or all;
    `activity` is Σ_b (Σ_d μ̃ a_j)² of the receivers, for the Oja term that needs it.
    """
    if limits.oja is None or bias is None or bias_change is None:
        new_bias = None
        if bias is not None and bias_change is not None:
            new_bias = _next(limits, genome, bias, bias_change)
        term = None if limits.oja is None else oja(limits, genome, weight, change, activity)
        return _next(limits, genome, weight, change, term), new_bias
    # Oja's sums run over all senders of a unit, the bias among them.
    weight = jnp.concatenate([weight, bias[:, :, None]], axis=2)
    change = jnp.concatenate([change, bias_change[:, :, None]], axis=2)
    new = _next(limits, genome, weight, change, oja(limits, genome, weight, change, activity))
    return new[:, :, :-1], new[:, :, -1]


def _next(
    limits: Limits, genome: Genome, weight: Array, change: Array, term: Array | None = None
) -> Array:
    if genome.f_tilde is not None:
        change = (genome.f_tilde - 1) * weight + change
    return saturate(limits, genome, weight, change if term is None else change + term)


def oja(
    limits: Limits,
    genome: Genome,
    weight: Block,
    change: Float[Array, "_ receivers senders"],
    activity: Float[Array, "s receivers"] | None,
) -> Block:
    """Return Oja's term for a block of synapses; it is added to the synapses as it is.

    - `full`: BLUR eq. 8, −(f̃−1) w Σ_r w² − w Σ_r w φ, with φ the Hebbian `change` times η̃.
    - `relative`: −w Σ_r w φ / Σ_r w², the second part for synapses that normalisation brings to
      norm 1 when they are used. It takes from the change what would only make them longer, so
      their norm grows with the square root of the number of changes and no faster, and the
      relative size of a change falls with it.
    - `first`: its first part times the learnt multiplier.
    - `weights`: the same as the authors' program has it, −|η̃| |multiplier| w Σ_r w², which
      shrinks synapses whatever the signs.
    - `activations`: their classical form, −|η̃| |multiplier| w Σ_b (Σ_d μ̃ a_j)².

    `weight` holds every synapse into its receivers, the bias as its last column. Each is multiplied
    by `oja_extra`.
    """
    if limits.oja == "relative":
        along = jnp.sum(weight * change, axis=2, keepdims=True)
        square = jnp.sum(weight**2, axis=2, keepdims=True)
        return -limits.oja_extra * weight * along / (square + NORM_EPSILON)
    if activity is not None:
        inhibition = activity[:, :, None]
    else:
        inhibition = jnp.sum(weight**2, axis=2, keepdims=True)
    multiplier = 1.0 if genome.oja_multiplier is None else genome.oja_multiplier
    if limits.oja in ("weights", "activations"):
        rate = jnp.abs(genome.eta_tilde) * jnp.abs(multiplier)
    else:
        keep = 1.0 if genome.f_tilde is None else genome.f_tilde
        rate = (keep - 1) * multiplier
    term = rate * inhibition
    if limits.oja == "full":
        term = term + jnp.sum(weight * change, axis=2, keepdims=True)
    return -limits.oja_extra * weight * term


def saturate(
    limits: Limits,
    genome: Genome,
    weight: Float[Array, "*synapses"],
    step: Float[Array, "*synapses"],
) -> Float[Array, "*synapses"]:
    """Add `step` to synapses, saturating them if asked to (BLUR sec. 3.4).

    `tanh`: α·tanh(w/α) with a learnt α. `exponential`, of the authors' program: the step is
    damped by exp(−|w| (ε + |rate|)).
    """
    if limits.saturation is None:
        return weight + step
    assert genome.saturation is not None
    rate = limits.saturation_epsilon + jnp.abs(genome.saturation)
    if limits.saturation == "exponential":
        return weight + step * jnp.exp(-jnp.abs(weight) * rate)
    return rate * jnp.tanh((weight + step) / rate)
