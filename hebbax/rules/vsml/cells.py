"""One tick of all sub-RNNs of a layer, and what they send to their neighbours."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.vsml import gates
from hebbax.rules.vsml.meta_parameters import Head, SharedCell
from hebbax.rules.vsml.network import Down, Grid, Layer, Up

CELLS = ("lstm", "vanilla", "multiplicative")
REDUCTIONS = ("mean", "sum")

_EPSILON = 1e-5
"""Added to the variance in layer normalisation, as in the authors' program."""


class Inputs(NamedTuple):
    """What the sub-RNNs of a layer receive besides their own states.

    **Fields:**

    - `up` `[channels, copies, in]`: the forward interaction, Σ_c s_ca of the layer below, or the
      datum. It may hold the first channels only, the others being zero.
    - `down` `[channels, copies, out]`: the backward interaction, Σ_c s_bc of the layer above, or
      the error. It may hold the first channels only.
    - `fed` `[error and label, copies, out]`: what is fed as inputs of their own; None for zeros.
    - `position` `[coordinates]`: each of a shape that broadcasts to `[copies, out, in]`.
    """

    up: Up
    down: Down
    fed: Down | None = None
    position: tuple[Float[Array, "#copies #out #in"], ...] = ()


def tick(kind: str, theta: SharedCell, layer: Layer, inputs: Inputs) -> Layer:
    """Return the states after one tick.

    `lstm` takes its weights from `meta_parameters.halved`; `vanilla` is eq. 14, which is eq. 3
    where `U` is zero; `multiplicative` is eq. 5, with a product of the own and the forward term in
    the first half of the units.

    States of one copy serve all copies of the inputs.
    """
    own = jnp.einsum("ij,inba->jnba", theta.W, layer.h)
    up = jnp.einsum("ij,ina->jna", theta.C[: len(inputs.up)], inputs.up)[:, :, None, :]
    rest = _rest(theta, inputs)
    if kind == "lstm":
        z = own + up + rest
        assert layer.c is not None
        c = jnp.broadcast_to(layer.c, (len(layer.c), *z.shape[1:]))
        h, c = gates.lstm(z, c)
        return Layer(h, c)
    if kind == "vanilla":
        return Layer(jnp.tanh(own + up + rest), None)
    product = len(own) // 2
    # VSML eq. 5
    both = jnp.concatenate([own[:product] * up[:product], own[product:] + up[product:]])
    return Layer(jnp.tanh(both + rest), None)


def _rest(theta: SharedCell, inputs: Inputs) -> Float[Array, "z copies #out #in"]:
    """Sum what comes from the other side, from feedback and coordinates, and the bias."""
    total = theta.b[:, None, None, None]
    if len(inputs.down):
        down = jnp.einsum("ij,inb->jnb", theta.U[: len(inputs.down)], inputs.down)
        total = total + down[:, :, :, None]
    if inputs.fed is not None:
        assert theta.E is not None
        total = total + jnp.einsum("ij,inb->jnb", theta.E, inputs.fed)[:, :, :, None]
    for index, coordinate in enumerate(inputs.position):
        assert theta.P is not None
        total = total + theta.P[index][:, None, None, None] * coordinate[None]
    return total


def send_up(head: Head | None, h: Grid, reduction: str) -> Float[Array, "m copies out"]:
    """Return the forward message of a layer to the next: reduced over its inputs."""
    return _send(head, h, 3, reduction)


def send_down(head: Head | None, h: Grid, reduction: str) -> Float[Array, "m copies in"]:
    """Return the backward message of a layer to the one below: reduced over its outputs."""
    return _send(head, h, 2, reduction)


def _send(head: Head | None, h: Grid, axis: int, reduction: str) -> Float[Array, "m copies _"]:
    reduce = jnp.mean if reduction == "mean" else jnp.sum
    if head is None:
        return reduce(h, axis=axis)
    if head.scale is None or head.offset is None:
        # The head after the reduction: the same numbers, and a share of the work.
        reduced = reduce(h, axis=axis)
        return jnp.einsum("im,inb->mnb", head.weight, reduced) + head.bias[:, None, None]
    sent = jnp.einsum("im,inba->mnba", head.weight, h) + head.bias[:, None, None, None]
    centred = sent - jnp.mean(sent, axis=0, keepdims=True)
    variance = jnp.mean(centred**2, axis=0, keepdims=True)
    normal = centred / jnp.sqrt(variance + _EPSILON)
    message = head.scale[:, None, None, None] * normal + head.offset[:, None, None, None]
    return reduce(message, axis=axis)
