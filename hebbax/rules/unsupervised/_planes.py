"""The weight-update planes, and how they become one change of a layer ("Weight Updates")."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.unsupervised._parameters import PLANES, PSD_READOUT, Linear
from hebbax.rules.unsupervised._readouts import (
    LowerProjections,
    UpperProjections,
    low_rank,
    symmetric_times,
    times_square,
    times_symmetric,
)

Matrix = Float[Array, "lower upper"]

PULL = 1 / 7
"""RMS that a column of weights is drawn to where the learned part of its change is zero."""

_EPSILON, _DECORRELATION_EPSILON = 1e-6, 1e-8
_BIAS_SHARE = 0.5


def columns(w: Matrix) -> Matrix:
    """Bring each column, the weights into one unit, to RMS one (Ŵ of the appendix)."""
    return w * jax.lax.rsqrt(jnp.mean(w**2, axis=0, keepdims=True) + _EPSILON)


def squash(plane: Matrix) -> Matrix:
    """Bring each column to an RMS below one; small ones hardly change."""
    return plane * jax.lax.rsqrt(1 + jnp.mean(plane**2, axis=0, keepdims=True))


def standardized(x: Float[Array, "batch units"]) -> Float[Array, "batch units"]:
    """Bring each unit's activity to mean zero and RMS one over the batch."""
    return columns(x - jnp.mean(x, axis=0, keepdims=True))


def weight_planes(
    w: Matrix,
    lower: LowerProjections,
    upper: UpperProjections,
    c_lower: Float[Array, "batch lower"],
    c_upper: Float[Array, "batch upper"],
    planes: int,
) -> dict[str, Matrix]:
    """Return the planes by name, before they are squashed.

    **Arguments:**

    - `w`: the layer's weights, columns of RMS one (`columns`); the authors' program has them so
      in every plane.
    - `lower`, `upper`: projections of the hidden states below and above the weights.
    - `c_lower`, `c_upper`: activity below and above, see `standardized`.
    - `planes`: 10, as in the paper, or 12, as in the authors' program.
    """
    sign = jnp.sign(w)
    terms = jnp.stack([w, jnp.sqrt(1 + w**2) - 1])
    zero, first, rbf = low_rank(lower.cross, upper.cross)
    linear_below, square_below = symmetric_times(lower.left, lower.right, terms)
    linear_above, square_above = times_symmetric(terms, upper.left, upper.right)
    batch = c_lower.shape[0]
    found = {
        "w_hat": w,  # ΔW_1
        "w_hat_sq": w**2 * sign,  # ΔW_2
        "lowrr_zero": zero,  # ΔW_3
        "lowrr_rbf": jnp.exp(-(w**2)) * rbf,  # ΔW_4
        "lowrr_first": w * first,  # ΔW_5
        # Changes are subtracted: this one is Hebbian, of correlations (the paper: covariances).
        "hebb": -(c_lower.T @ c_upper) / batch,  # ΔW_6
        "lin_lower_symm": linear_below,  # ΔW_7
        # The sign, which the paper leaves out, keeps the plane odd in the weights.
        "sqr_lower_symm": sign * square_below,  # ΔW_8
        "lin_upper_symm": linear_above,  # ΔW_9
        "sqr_upper_symm": sign * square_above,  # ΔW_10
    }
    if planes == 12:
        found[PSD_READOUT] = times_square(terms[:1], upper.psd)[0]
        q = w @ (c_upper.T @ c_upper) / (batch * math.sqrt(c_upper.shape[1]))
        found["decorr_x"] = q * jax.lax.rsqrt(jnp.mean(q**2 + _DECORRELATION_EPSILON))
    return found


def merge(parameters: Linear, planes: dict[str, Matrix]) -> Matrix:
    """Squash the planes and take their weighted mean."""
    names = PLANES[len(planes)]
    squashed = jax.vmap(squash)(jnp.stack([planes[name] for name in names]))
    return (jnp.tensordot(parameters.w, squashed, 1) + parameters.b) / len(names)


def orthogonal(merged: Matrix, w: Matrix) -> Matrix:
    """Take away the part along `w` where subtracting it would make the weights smaller."""
    return merged - w * jax.nn.relu(jnp.mean(merged * w))


def change_weights(merged: Matrix, w: Matrix, planes: int) -> Matrix:
    """Return ΔW, to be subtracted, from the merged planes and the weights they were made of."""
    return squash(orthogonal(merged, w) / math.sqrt(planes)) - PULL * w


def change_biases(
    parameters: Linear, h: Float[Array, "batch units hidden"]
) -> Float[Array, " units"]:
    """Return Δb, to be subtracted: a readout of h whose mean is not negative, of bounded size.

    It cannot push all units into their linear range. The paper's formula lost a root and has the
    constraint for the other sign.
    """
    base = jnp.mean(h, axis=0) @ parameters.w + parameters.b
    held = base + jax.nn.relu(-jnp.mean(base))
    return held * jax.lax.rsqrt(_BIAS_SHARE + jnp.mean(held**2))
