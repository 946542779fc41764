"""Equations 5 and 6 of BLUR: how neurons change, forward and backward.

Layers are `[k, units, batch]` and synapses `[s, receivers, senders]`: every product of the two is
then a plain batch of matrix products, and nothing has to be rearranged in memory for a population
of rules either. (Kept the other way round, a population of 8 spent a quarter of its time on that.)
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

States = Float[Array, "k units batch"]


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
    terms = [
        jax.lax.slice_in_dim(transform, d, d + 1, axis=1) * jax.lax.slice_in_dim(flat, d, d + 1)
        for d in range(states.shape[0])
    ]
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


def send_input(
    x: Float[Array, "batch in"], gain: Float[Array, " k"], weight: Float[Array, "s receivers in"]
) -> Float[Array, "k receivers batch"]:
    """Sum over senders, for the input layer, whose states are `[x, 0, …]`.

    One product serves all states.
    """
    return gain[:, None, None] * jnp.einsum("kij,bj->kib", weight, x)


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
