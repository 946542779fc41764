"""One tick of all sub-RNNs of a layer, and what they send to their neighbours."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.vsml import _lstm as lstm
from hebbax.rules.vsml._meta_parameters import Head, SharedCell
from hebbax.rules.vsml._network import Down, Feedback, Grid, Layer, Up

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
    - `up_place` `[0 or 1, in]`, `down_place` `[coordinates, out]`: coordinates (app. D), in the
      order of the rows of `SharedCell.P`.
    """

    up: Up
    down: Down
    fed: Feedback | None = None
    up_place: Float[Array, "place in"] | None = None
    down_place: Float[Array, "places out"] | None = None


def tick(kind: str, theta: SharedCell, layer: Layer, inputs: Inputs) -> Layer:
    """Return the states after one tick.

    `lstm` takes its weights from `meta_parameters.halved`; `vanilla` is eq. 14, which is eq. 3
    where `U` is zero; `multiplicative` is eq. 5, with a product of the own and the forward term in
    the first half of the units.

    States of one copy serve all copies of the inputs.
    """
    upward, up = _from_inputs(theta, inputs)
    downward, down = _from_outputs(theta, inputs)
    if kind == "lstm":
        assert layer.c is not None
        return Layer(*lstm.tick(theta.W, upward, downward, up, down, layer.h, layer.c))
    own = jnp.einsum("ij,inba->jnba", theta.W, layer.h)
    rest = jnp.einsum("ij,inb->jnb", downward, down)[:, :, :, None]
    z = own + jnp.einsum("ij,ina->jna", upward, up)[:, :, None, :] + rest
    if kind == "multiplicative":
        # VSML eq. 5: a product takes the place of a sum.
        interaction = jnp.einsum("ij,ina->jna", theta.C[: len(inputs.up)], inputs.up)
        own, interaction = (a[: len(z) // 2] for a in (own, interaction[:, :, None, :]))
        product = z[: len(z) // 2] - own - interaction + own * interaction
        z = jnp.concatenate([product, z[len(z) // 2 :]])
    return Layer(jnp.tanh(z), None)


def _from_inputs(
    theta: SharedCell, inputs: Inputs
) -> tuple[Float[Array, "channels z"], Float[Array, "channels copies in"]]:
    """Return the weights and values of what depends on a sub-RNN's input only, and of the bias."""
    one = jnp.ones_like(inputs.up[:1])
    weights, values = [theta.C[: len(inputs.up)], theta.b[None]], [inputs.up, one]
    if inputs.up_place is not None:
        assert theta.P is not None
        weights.append(theta.P[:1])
        values.append(jnp.broadcast_to(inputs.up_place[:, None], one.shape))
    return jnp.concatenate(weights), jnp.concatenate(values)


def _from_outputs(
    theta: SharedCell, inputs: Inputs
) -> tuple[Float[Array, "channels z"], Float[Array, "channels copies out"]]:
    """Return the weights and values of what depends on a sub-RNN's output only."""
    weights, values = [theta.U[: len(inputs.down)]], [inputs.down]
    if inputs.fed is not None:
        assert theta.E is not None
        weights.append(theta.E)
        values.append(inputs.fed)
    if inputs.down_place is not None:
        assert theta.P is not None
        weights.append(theta.P[-len(inputs.down_place) :])
        shape = (len(inputs.down_place), *inputs.down.shape[1:])
        values.append(jnp.broadcast_to(inputs.down_place[:, None], shape))
    weight, value = jnp.concatenate(weights), jnp.concatenate(values)
    if len(value) == 1:
        # The compiler works a product of one row with one value into the gates' loop, with all that
        # the value is made from, and that loop then takes three times as long.
        weight, value = (jnp.concatenate([a, jnp.zeros_like(a)]) for a in (weight, value))
    return weight, value


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
