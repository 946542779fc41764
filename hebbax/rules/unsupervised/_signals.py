"""The error signal: made at the top by TopD, carried down through the backward weights."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.unsupervised._convolutions import BATCH, Signal, block, convolve, normalized
from hebbax.rules.unsupervised._parameters import Convolution, Linear, TopNetwork

_EPSILON = 1e-6


def top_signal(parameters: TopNetwork, x: Float[Array, "batch units"]) -> Signal:
    """Return the signal d of the top layer from its activations (TopD of the appendix)."""
    m = block(x[:, :, None], parameters.batch_conv_in, BATCH)
    for mix in (parameters.unit_mix_1, parameters.unit_mix_2):
        if parameters.top_units is None:
            m = _mix_pooled(m, mix)
        else:
            # The units take the place of the channels: each is mixed with every other.
            m = jnp.swapaxes(block(jnp.swapaxes(m, 1, 2), mix, BATCH), 1, 2)
    m = block(m, parameters.batch_conv_1, BATCH)
    m = block(m, parameters.batch_conv_2, BATCH)
    out = parameters.batch_conv_out
    return convolve(m, out.w, BATCH) + out.b[None, None]


def _mix_pooled(m: Signal, mix: Convolution) -> Signal:
    """Mix each unit with the mean of all units, which takes any number of them in any order."""
    channels = m.shape[2]
    pooled = jnp.mean(m, axis=1, keepdims=True)
    assert mix.offset is not None
    u = convolve(m, mix.w[:, :channels], BATCH) + convolve(pooled, mix.w[:, channels:], BATCH)
    return normalized(u, mix.offset).rectified()


def propagate(
    delta: Float[Array, "batch upper signal"], backward: Float[Array, "lower upper"]
) -> Float[Array, "batch lower signal"]:
    """Carry δ down through V and bring each unit's signal to RMS one over its channels.

    "Backward error propagation" of the appendix, whose formula for d lost a square.
    """
    d = jnp.moveaxis(jnp.tensordot(backward, delta, ((1,), (1,))), 0, 1)
    return d * jax.lax.rsqrt(jnp.mean(d**2, axis=2, keepdims=True) + _EPSILON)


def error(
    parameters: Linear,
    d: Float[Array, "batch units signal"],
    z: Float[Array, "batch units"],
    h: Float[Array, "batch units hidden"],
) -> Float[Array, "batch units signal"]:
    """Return δ: the signal gated by the pre-activation plus a readout of the hidden state."""
    return d * jax.nn.sigmoid(z)[:, :, None] + h @ parameters.w + parameters.b[None, None]
