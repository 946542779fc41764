"""Convolutions over the batch or over the units of a layer, normalised and rectified.

Arrays are `[batch, units, channels]`. Either direction is a one-dimensional convolution of rows
of channels as they lie in memory: over the units with the examples side by side, over the batch
as one long row with taps a whole layer apart. Nothing is transposed, and the processor's
convolution runs close to its speed for matrix products.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.unsupervised._parameters import Convolution

Signal = Float[Array, "batch units channels"]
Inputs = Float[Array, "batch units in"]
Outputs = Float[Array, "batch units out"]
Kernel = Float[Array, "taps in out"]
PerChannel = Float[Array, " channels"]

BATCH, UNITS = 0, 1
"""The axis that a convolution runs along."""

_EPSILON = 1e-3


def convolve(m: Inputs, w: Kernel, over: int) -> Outputs:
    """Cross-correlate along the axis `over`, with zeros beyond both ends and no bias.

    `out[t, u] = Σ_k m[t + k − (K−1)/2, u] w[k]` over the batch, likewise over the units.
    """
    return _convolve(over, m, w)


# What JAX derives for the gradient of the kernel takes the processor many times as long.
@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(over: int, m: Inputs, w: Kernel) -> Outputs:
    batch, units, channels = m.shape
    half = w.shape[0] // 2
    apart = units if over == BATCH else 1
    rows = m.reshape(1, batch * units, channels) if over == BATCH else m
    out = jax.lax.conv_general_dilated(
        rows,
        w,
        window_strides=(1,),
        padding=[(half * apart, half * apart)],
        rhs_dilation=(apart,),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    return out.reshape(batch, units, w.shape[2])


def _convolve_forward(over: int, m: Inputs, w: Kernel) -> tuple[Outputs, tuple[Inputs, Kernel]]:
    return _convolve(over, m, w), (m, w)


def _convolve_backward(
    over: int, kept: tuple[Inputs, Kernel], gradient: Outputs
) -> tuple[Inputs, Kernel]:
    m, w = kept
    return input_gradient(gradient, w, over), kernel_gradient(m, gradient, w.shape[0], over)


_convolve.defvjp(_convolve_forward, _convolve_backward)


def input_gradient(gradient: Outputs, w: Kernel, over: int) -> Inputs:
    """Return the gradient of what was convolved with `w`, from that of the result."""
    return convolve(gradient, jnp.swapaxes(w[::-1], 1, 2), over)


def kernel_gradient(m: Inputs, gradient: Outputs, taps: int, over: int) -> Kernel:
    """Return the gradient of the kernel that `m` was convolved with, in one matrix product."""
    inputs, outputs = m.shape[2], gradient.shape[2]
    beside = _beside(gradient, taps, over).reshape(-1, taps * outputs)
    dw = m.reshape(-1, inputs).T @ beside
    return jnp.moveaxis(dw.reshape(inputs, taps, outputs), 1, 0)


def _beside(gradient: Outputs, taps: int, over: int) -> Float[Array, "batch units all"]:
    """Put beside each other what each tap multiplies: shifted, with zeros beyond the ends."""
    half, length = taps // 2, gradient.shape[over]
    padding = [(0, 0)] * 3
    padding[over] = (half, half)
    wide = jnp.pad(gradient, padding)
    starts = [taps - 1 - k for k in range(taps)]
    shifted = [jax.lax.slice_in_dim(wide, s, s + length, axis=over) for s in starts]
    return jnp.concatenate(shifted, axis=2)


def statistics(u: Signal) -> tuple[PerChannel, PerChannel]:
    """Return mean and one over the deviation of each channel, over examples and units."""
    mean = jnp.mean(u, axis=(0, 1))
    variance = jnp.mean((u - mean[None, None]) ** 2, axis=(0, 1))
    return mean, jax.lax.rsqrt(variance + _EPSILON)


class Normalized(NamedTuple):
    """An array that is normalised where it is read: BatchNorm with the axes [0, 1].

    Statistics are those of the array at hand, always; there is no learnt scale.

    **Fields:** the array `u` itself, `mean` and `scale` (see `statistics`) and the learnt
    `offset`.
    """

    u: Signal
    mean: PerChannel
    scale: PerChannel
    offset: PerChannel

    def map(self, u: Signal) -> Signal:
        """Normalise `u`, or a part of it, without the offset."""
        return (u - self.mean[None, None]) * self.scale[None, None]

    def value(self) -> Signal:
        """Return the normalised array."""
        return self.map(self.u) + self.offset[None, None]

    def rectified(self) -> Signal:
        """Return its positive part."""
        return jax.nn.relu(self.value())


def normalized(u: Signal, offset: PerChannel) -> Normalized:
    """Take the statistics of `u`."""
    return Normalized(u, *statistics(u), offset)


def block(m: Inputs, parameters: Convolution, over: int) -> Outputs:
    """Convolve, normalise and rectify: a ConvBatch or ConvUnit of the appendix.

    The bias of the convolution is left out, since the normalisation takes it away.
    """
    assert parameters.offset is not None
    return normalized(convolve(m, parameters.w, over), parameters.offset).rectified()
