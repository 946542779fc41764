"""What BLUR normalises: pre-activations by statistics of the batch, synapses by their norm.

Gradients are written out: what JAX derives are several times as many operations, of which a
meta-gradient holds dozens of copies, and all of them take the compiler's time.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

States = Float[Array, "k units batch"]

LEAST_NORMALIZED = 2
"""Rows of a batch whose variance says something."""
WINDOW = 20.0
"""Updates after which the newest statistics weigh as much as all the older ones."""
_EPSILON = 1e-5
# Added under the root, as in the authors' program.
NORM_EPSILON = 1e-9


class Statistics(NamedTuple):
    """Mean and variance of the pre-activations of a layer, `[k, units, 1]`."""

    mean: Float[Array, "k units 1"]
    variance: Float[Array, "k units 1"]


@jax.custom_vjp
def measure(u: States) -> Statistics:
    """Return mean and variance over the batch."""
    mean = jnp.mean(u, axis=2, keepdims=True)
    return Statistics(mean, jnp.mean((u - mean) ** 2, axis=2, keepdims=True))


def _measure_forward(u: Array) -> tuple[Statistics, tuple[Array, Array]]:
    found = measure(u)
    return found, (u, found.mean)


def _measure_backward(kept: tuple[Array, Array], gradient: Statistics) -> tuple[Array]:
    u, mean = kept
    batch = u.shape[2]
    return (gradient.mean / batch + 2 / batch * gradient.variance * (u - mean),)


measure.defvjp(_measure_forward, _measure_backward)


@jax.custom_vjp
def normalize(
    u: States,
    statistics: Statistics,
    mean: Float[Array, " k"],
    deviation: Float[Array, " k"],
) -> States:
    """Bring pre-activations to a learnt mean and deviation per state (BLUR sec. 3.4)."""
    return _normalize_forward(u, statistics, mean, deviation)[0]


def _normalize_forward(
    u: Array, statistics: Statistics, mean: Array, deviation: Array
) -> tuple[Array, tuple[Array, Statistics, Array, Array]]:
    root = jnp.sqrt(statistics.variance + _EPSILON)
    scale = deviation[:, None, None] / root
    normal = scale * u + (mean[:, None, None] - scale * statistics.mean)
    return normal, (u, statistics, root, scale)


def _normalize_backward(
    kept: tuple[Array, Statistics, Array, Array], gradient: Array
) -> tuple[Array, Statistics, Array, Array]:
    u, statistics, root, scale = kept
    total = jnp.sum(gradient, axis=2, keepdims=True)
    along = jnp.sum(gradient * (u - statistics.mean), axis=2, keepdims=True) / root
    of_statistics = Statistics(-scale * total, -along * scale / (2 * root))
    of_mean, of_deviation = (jnp.sum(a, axis=(1, 2)) for a in (total, along))
    return scale * gradient, of_statistics, of_mean, of_deviation


normalize.defvjp(_normalize_forward, _normalize_backward)


def averaged(
    new: Sequence[Statistics],
    old: Sequence[Statistics],
    updates: Float[Array, ""],
    window: float,
) -> tuple[Statistics, ...]:
    """Average the newest statistics with older ones, of `updates` updates."""
    # Early on synapses change fast and old statistics are wrong; later they change little
    # and those of one batch are noisy.
    weight = 1 / (1 + updates / window)
    return jax.tree.map(lambda n, o: o + weight * (n - o), tuple(new), tuple(old))


@jax.custom_vjp
def column_norm(
    weight: Float[Array, "s receivers senders"], bias: Float[Array, "s receivers"] | None
) -> Float[Array, "s receivers 1"]:
    """Return the Euclidean norm of each receiver's synapses, its bias among them."""
    # Squares overflow long before the synapses do, and stored ones may grow for ever. Scaling by a
    # power of two rounds nothing.
    scale = _power_of_two(jnp.max(jnp.abs(weight), axis=2, keepdims=True))
    square = jnp.sum((weight / scale) ** 2, axis=2, keepdims=True)
    if bias is not None:
        square = square + (bias[:, :, None] / scale) ** 2
    return scale * jnp.sqrt(square + NORM_EPSILON / scale**2)


def _column_norm_forward(
    weight: Array, bias: Array | None
) -> tuple[Array, tuple[Array, Array | None, Array]]:
    norm = column_norm(weight, bias)
    return norm, (weight, bias, norm)


def _column_norm_backward(
    kept: tuple[Array, Array | None, Array], gradient: Array
) -> tuple[Array, Array | None]:
    weight, bias, norm = kept
    of_bias = None if bias is None else (gradient / norm)[:, :, 0] * bias
    return gradient / norm * weight, of_bias


column_norm.defvjp(_column_norm_forward, _column_norm_backward)


def _power_of_two(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return the power of two that is just below x where x is large, and 1 elsewhere."""
    # The sign and exponent of a number, without its mantissa: frexp and ldexp say the same in so
    # many operations that they were half of an update's program.
    numbers = jnp.finfo(x.dtype)
    bits = jax.lax.bitcast_convert_type(x, f"int{numbers.bits}")
    power = jax.lax.bitcast_convert_type(bits & (-1 << numbers.nmant), x.dtype)
    return jnp.where((x > 2.0**20) & (x < jnp.inf), power, 1.0)
