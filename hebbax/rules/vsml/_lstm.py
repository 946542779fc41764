"""A tick of the LSTM cell, forward and backward.

The gradient is written out, because an automatic one computes that of the pre-activations, the
largest array, several times, and transposes it for each matrix product that reads it.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.vsml import _gates as gates

State = Float[Array, "s copies out in"]


@jax.custom_vjp
def tick(
    own: Float[Array, "s z"],
    upward: Float[Array, "up z"],
    downward: Float[Array, "down z"],
    up: Float[Array, "up copies in"],
    down: Float[Array, "down #copies out"],
    h: Float[Array, "s #copies out in"],
    c: Float[Array, "s #copies out in"],
) -> tuple[State, State]:
    """Return the next hidden and cell state of all sub-RNNs.

    Pre-activations are `own` times `h`, plus `upward` times what comes along the inputs, plus
    `downward` times what comes along the outputs; see `gates.lstm` for their blocks. There may be
    nothing along the outputs. What there is one copy of, but not along the inputs, serves all.
    """
    return _tick(own, upward, downward, up, down, h, c)[1]


def _tick(own: Array, upward: Array, downward: Array, up: Array, down: Array, h: Array, c: Array):
    z = jnp.einsum("ij,inba->jnba", own, h)
    z = z + jnp.einsum("ij,ina->jna", upward, up)[:, :, None, :]
    if len(down):
        z = z + jnp.einsum("ij,inb->jnb", downward, down)[:, :, :, None]
    return z, gates.lstm(z, jnp.broadcast_to(c, (len(c), *z.shape[1:])))


def _forward(*arguments: Array) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
    z, (h, c) = _tick(*arguments)
    return (h, c), (*arguments, z, c)


def _backward(kept: tuple[Array, ...], gradients: tuple[Array, Array]) -> tuple[Array, ...]:
    own, upward, downward, up, down, h, c, z, new = kept
    shape = z.shape[1:]

    def flat(a: Array) -> Float[Array, "rows cells"]:
        return a.reshape(len(a), math.prod(shape))

    def spread(a: Array) -> Float[Array, "rows cells"]:
        return flat(jnp.broadcast_to(a, (len(a), *shape)))

    # Not flat yet: what is broadcast along an axis is read in order only where that is an axis.
    dz, dc = gates.lstm_gradient(z, jnp.broadcast_to(c, new.shape), new, *gradients)
    dz = flat(dz)
    read = jnp.concatenate([spread(h), spread(up[:, :, None, :]), spread(down[:, :, :, None])])
    weights = jnp.einsum("ik,jk->ij", read, dz)
    d_own, d_upward, d_downward = jnp.split(weights, [len(h), len(h) + len(up)])
    back = jnp.einsum("ij,jk->ik", jnp.concatenate([own, downward]), dz).reshape(-1, *shape)
    d_up = jnp.einsum("ij,jk->ik", upward, dz).reshape(-1, *shape).sum(axis=2)
    d_down = _sum_to(back[len(h) :].sum(axis=3), down)
    return d_own, d_upward, d_downward, d_up, d_down, _sum_to(back[: len(h)], h), _sum_to(dc, c)


def _sum_to(gradient: Array, like: Array) -> Array:
    """Sum over the copies that one served."""
    if like.shape[1] == gradient.shape[1]:
        return gradient
    return gradient.sum(axis=1, keepdims=True)


tick.defvjp(_forward, _backward)
