"""Equations 5 and 6 of BLUR: how neurons change, forward and backward.

Layers are `[k, units, batch]` and synapses `[s, receivers, senders]`: every product of the two is
then a plain batch of matrix products, and nothing has to be rearranged in memory for a population
of rules either. (Kept the other way round, a population of 8 spent a quarter of its time on that.)
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

States = Float[Array, "k units batch"]

_AXES = {"batch": 2, "units": 1, "batch_and_units": (1, 2)}
_EPSILON = 1e-5
# Added under the root, as in the authors' program.
NORM_EPSILON = 1e-9


@jax.custom_vjp
def mix(
    transform: Float[Array, "c d"], states: Float[Array, "d units batch"]
) -> Float[Array, "c units batch"]:
    """Mix the states of every neuron: `out[c] = Σ_d transform[c, d] states[d]`.

    Written as sums of scaled states, forward and backward, because a product of a k × k matrix
    with a long thin one costs more in rearranging memory than in arithmetic. (Automatic
    differentiation of the sums would add reductions over the state axis, which are slower still.)
    """
    return _mix(transform, states)


def _mix(transform: Array, states: Array) -> Array:
    flat = states.reshape(states.shape[0], -1)
    terms = [transform[:, d, None] * flat[d][None] for d in range(states.shape[0])]
    return functools.reduce(jnp.add, terms).reshape(-1, *states.shape[1:])


def _mix_forward(transform: Array, states: Array) -> tuple[Array, tuple[Array, Array]]:
    return _mix(transform, states), (transform, states)


def _mix_backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    transform, states = kept
    if states.shape[0] < 4:
        outer = jnp.sum(gradient[:, None] * states[None], axis=(2, 3))
    else:
        outer = jnp.einsum("cnb,dnb->cd", gradient, states)
    return outer, _mix(transform.T, gradient)


mix.defvjp(_mix_forward, _mix_backward)


def send(
    signal: Float[Array, "k senders batch"], weight: Float[Array, "s receivers senders"]
) -> Float[Array, "k receivers batch"]:
    """Sum over senders, each state through its own synapse state or all through the only one."""
    if weight.shape[0] == 1:
        return jnp.einsum("ij,kjb->kib", weight[0], signal)
    return jnp.einsum("kij,kjb->kib", weight, signal)


def send_input(
    x: Float[Array, "batch in"], gain: Float[Array, " k"], weight: Float[Array, "s receivers in"]
) -> Float[Array, "k receivers batch"]:
    """`send` for the input layer, whose states are `[x, 0, …]`: one product serves all states."""
    return gain[:, None, None] * jnp.einsum("kij,bj->kib", weight, x)


def column_norm(
    weight: Float[Array, "s receivers senders"], bias: Float[Array, "s receivers"] | None
) -> Float[Array, "s receivers 1"]:
    """Return the Euclidean norm of each receiver's synapses, its bias among them."""
    # Squares overflow long before the synapses do, and stored ones may grow for ever. Scaling by a
    # power of two rounds nothing.
    fixed = jax.lax.stop_gradient(weight)
    scale = _power_of_two(jnp.max(jnp.abs(fixed), axis=2, keepdims=True))
    square = jnp.sum((weight / scale) ** 2, axis=2, keepdims=True)
    if bias is not None:
        square = square + (bias[:, :, None] / scale) ** 2
    return scale * jnp.sqrt(square + NORM_EPSILON / scale**2)


def _power_of_two(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return the power of two that is just below x where x is large, and 1 elsewhere."""
    large = jnp.isfinite(x) & (x > 2.0**20)
    exponent = jnp.frexp(jnp.where(large, x, 1.0))[1] - 1
    return jnp.where(large, jnp.ldexp(jnp.ones_like(x), exponent), 1.0)


class Statistics(NamedTuple):
    """Mean and variance of pre-activations, `[k, units, 1]`, or `[k, 1, 1]` over all units."""

    mean: Float[Array, "k _ _"]
    variance: Float[Array, "k _ _"]


def measure(u: States, kind: str) -> Statistics:
    """Return mean and variance over the batch, over the units, or over both."""
    axis = _AXES[kind]
    mean = jnp.mean(u, axis=axis, keepdims=True)
    return Statistics(mean, jnp.mean((u - mean) ** 2, axis=axis, keepdims=True))


def normalize(
    u: States,
    statistics: Statistics,
    mean: Float[Array, " k"],
    deviation: Float[Array, " k"],
) -> States:
    """Bring pre-activations to a learnt mean and deviation per state (BLUR sec. 3.4)."""
    scale = deviation[:, None, None] / jnp.sqrt(statistics.variance + _EPSILON)
    return scale * u + (mean[:, None, None] - scale * statistics.mean)


def backward_drive(kind: str, f: Float[Array, ""], old: States, u: States) -> States:
    """Combine a neuron's forward states with what the backward pass brings, before σ.

    `additive` is eq. 6, with η in `u` already; `multiplicative` is f·old·u, as in the authors'
    program; `multiplicative_second_state` multiplies all states but the first, which passes
    through: with two states the backward pass of eq. 4.
    """
    if kind == "additive":
        return f * old + u
    if kind == "multiplicative":
        return f * old * u
    return f * jnp.concatenate([old[:1], old[1:] * u[1:]])
