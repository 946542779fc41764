"""Convolutions over a batch or over the units of a layer, normalised and rectified.

Arrays are `[units, batch, channels]`. Both directions are one-dimensional convolutions of rows
of channels as they lie in memory: over the batch with the units side by side, and over the units
as one long row with taps a whole batch apart. Nothing is transposed, and the processor's
convolution works close to its speed for matrix products.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from hebbax.rules.unsupervised.parameters import Convolution

Signal = Float[Array, "units batch channels"]
Inputs = Float[Array, "units batch in"]
Outputs = Float[Array, "units batch out"]
Kernel = Float[Array, "taps in out"]

BATCH, UNITS = "batch", "units"
_NORM_EPSILON = 1e-3
# Rows that a step of the summation over examples and units takes: small enough for the cache.
_ROWS = 1024

KEPT = "convolution"
"""Name of the intermediate results worth keeping for a gradient; all others are cheap."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(m: Inputs, w: Kernel, over: str) -> Outputs:
    """Cross-correlate along the batch or the units: zeros beyond both ends, no bias.

    `out[u, t] = Σ_k m[u, t + k − (K−1)/2] w[k]` over the batch, likewise over the units.
    """
    return _convolve(m, w, over)


def _convolve(m: Inputs, w: Kernel, over: str) -> Outputs:
    units, batch, channels = m.shape
    half = w.shape[0] // 2
    apart = 1 if over == BATCH else batch
    rows = m if over == BATCH else m.reshape(1, units * batch, channels)
    out = jax.lax.conv_general_dilated(
        rows,
        w,
        window_strides=(1,),
        padding=[(half * apart, half * apart)],
        rhs_dilation=(apart,),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    return out.reshape(units, batch, w.shape[2])


def _convolve_forward(m: Inputs, w: Kernel, over: str) -> tuple[Outputs, tuple[Inputs, Kernel]]:
    return _convolve(m, w, over), (m, w)


def _convolve_backward(
    over: str, kept: tuple[Inputs, Kernel], gradient: Outputs
) -> tuple[Inputs, Kernel]:
    m, w = kept
    below = _convolve(gradient, jnp.swapaxes(w[::-1], 1, 2), over)
    return below, _weight_gradient(m, gradient, w.shape[0], over)


convolve.defvjp(_convolve_forward, _convolve_backward)


def _weight_gradient(m: Inputs, gradient: Outputs, taps: int, over: str) -> Kernel:
    """Return `out[k] = Σ_{u,t} m[u, t + k − (K−1)/2]ᵀ gradient[u, t]`, or that over the units.

    Summed over blocks of units, each with one product for all taps: the copies of the gradient
    beside each other, one for each tap, then never leave the cache.
    """
    units, batch, channels = m.shape
    outputs, half = gradient.shape[2], taps // 2
    block = max(1, min(units, _ROWS // batch))
    steps = math.ceil(units / block)
    missing = steps * block - units
    halo = half if over == UNITS else 0
    m = jnp.pad(m, ((0, missing), (0, 0), (0, 0)))
    gradient = jnp.pad(gradient, ((halo, halo + missing), (0, 0), (0, 0)))

    def step(total: Array, start: Array) -> tuple[Array, None]:
        rows = jax.lax.dynamic_slice_in_dim(m, start, block)
        near = jax.lax.dynamic_slice_in_dim(gradient, start, block + 2 * halo)
        if over == BATCH:
            near = jnp.pad(near, ((0, 0), (half, half), (0, 0)))
        axis, size = (1, batch) if over == BATCH else (0, block)
        shifted = [
            jax.lax.slice_in_dim(near, taps - 1 - k, taps - 1 - k + size, axis=axis)
            for k in range(taps)
        ]
        beside = jnp.concatenate(shifted, axis=2).reshape(block * batch, taps * outputs)
        return total + rows.reshape(block * batch, channels).T @ beside, None

    total = jnp.zeros((channels, taps * outputs), m.dtype)
    total, _ = jax.lax.scan(step, total, block * jnp.arange(steps))
    return jnp.moveaxis(total.reshape(channels, taps, outputs), 1, 0)


@jax.custom_vjp
def normalize_relu(u: Signal, offset: Float[Array, " channels"]) -> Signal:
    """Bring each channel to mean zero and variance one, add an offset, rectify.

    Statistics are over units and batch of the array at hand, always (BatchNorm with the axes
    [0, 1] of the appendix, and ReLU).
    """
    return _normalize_relu(u, offset)[0]


def _statistics(u: Signal) -> tuple[Array, Array]:
    mean = jnp.mean(u, axis=(0, 1), keepdims=True)
    variance = jnp.mean((u - mean) ** 2, axis=(0, 1), keepdims=True)
    return mean, jax.lax.rsqrt(variance + _NORM_EPSILON)


def _normalize_relu(u: Signal, offset: Array) -> tuple[Signal, tuple[Array, ...]]:
    mean, scale = _statistics(u)
    mean, scale = checkpoint_name(mean, KEPT), checkpoint_name(scale, KEPT)
    return jax.nn.relu((u - mean) * scale + offset[None, None]), (u, offset, mean, scale)


def _normalize_relu_backward(kept: tuple[Array, ...], gradient: Signal) -> tuple[Signal, Array]:
    u, offset, mean, scale = kept
    normal = (u - mean) * scale
    gradient = jnp.where(normal + offset[None, None] > 0, gradient, 0)
    total = jnp.sum(gradient, axis=(0, 1), keepdims=True)
    along = jnp.sum(gradient * normal, axis=(0, 1), keepdims=True)
    count = u.shape[0] * u.shape[1]
    return scale * (gradient - (total + normal * along) / count), total[0, 0]


normalize_relu.defvjp(_normalize_relu, _normalize_relu_backward)


def normalize(u: Signal, offset: Float[Array, " channels"]) -> Signal:
    """Bring each channel to mean zero and variance one over units and batch; add an offset."""
    mean, scale = _statistics(u)
    return (u - mean) * scale + offset[None, None]


def block(m: Inputs, parameters: Convolution, over: str) -> Outputs:
    """Convolve, normalise and rectify: one ConvBatch or ConvUnit of the appendix.

    The bias of the convolution is left out, since the normalisation takes it away.
    """
    assert parameters.offset is not None
    u = checkpoint_name(convolve(m, parameters.w, over), KEPT)
    return normalize_relu(u, parameters.offset)
