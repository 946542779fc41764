"""The weight-update planes, and how they become one change of a layer ("Weight Updates")."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.unsupervised.parameters import (
    CROSS_READOUTS,
    PLANES,
    PSD_READOUT,
    Linear,
)
from hebbax.rules.unsupervised.readouts import (
    Projections,
    low_rank,
    square_times,
    symmetric_times,
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


def correlated(x: Float[Array, "units batch"]) -> Float[Array, "units batch"]:
    """Bring each unit's activity to mean zero and RMS one over the batch."""
    x = x - jnp.mean(x, axis=1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=1, keepdims=True) + _EPSILON)


def weight_planes(
    w: Matrix,
    lower: Projections,
    upper: Projections,
    c_lower: Float[Array, "lower batch"],
    c_upper: Float[Array, "upper batch"],
    planes: int,
) -> dict[str, Matrix]:
    """Return the planes by name, before they are squashed.

    **Arguments:**

    - `w`: the layer's weights, columns of RMS one (`columns`); the authors' program has them so
      in every plane.
    - `lower`, `upper`: projections of the hidden states below and above the weights.
    - `c_lower`, `c_upper`: activity below and above, see `correlated`.
    - `planes`: 10, as in the paper, or 12, as in the authors' program.
    """
    sign, bent = jnp.sign(w), jnp.sqrt(1 + w**2) - 1
    cross = {name: low_rank(lower.lower[name], upper.upper[name]) for name in CROSS_READOUTS}

    def below(name: str, w: Matrix) -> Matrix:
        return symmetric_times(lower.lower[name], lower.upper[name], w)

    def above(name: str, w: Matrix) -> Matrix:
        return symmetric_times(upper.lower[name], upper.upper[name], w.T).T

    batch = c_lower.shape[1]
    found = {
        "w_hat": w,  # ΔW_1
        "w_hat_sq": w**2 * sign,  # ΔW_2
        "lowrr_zero": cross["lowrr_zero"],  # ΔW_3
        "lowrr_rbf": jnp.exp(-(w**2)) * cross["lowrr_rbf"],  # ΔW_4
        "lowrr_first": w * cross["lowrr_first"],  # ΔW_5
        # Changes are subtracted: this one is Hebbian, of correlations (the paper: covariances).
        "hebb": -(c_lower @ c_upper.T) / batch,  # ΔW_6
        "lin_lower_symm": below("lin_lower_symm", w),  # ΔW_7
        # The sign, which the paper leaves out, keeps the plane odd in the weights.
        "sqr_lower_symm": sign * below("sqr_lower_symm", bent),  # ΔW_8
        "lin_upper_symm": above("lin_upper_symm", w),  # ΔW_9
        "sqr_upper_symm": sign * above("sqr_upper_symm", bent),  # ΔW_10
    }
    if planes == 12:
        found[PSD_READOUT] = square_times(upper.upper[PSD_READOUT], w.T).T
        q = w @ (c_upper @ c_upper.T) / (batch * math.sqrt(len(c_upper)))
        found["decorr_x"] = q * jax.lax.rsqrt(jnp.mean(q**2 + _DECORRELATION_EPSILON))
    return found


def merge(parameters: Linear, planes: dict[str, Matrix]) -> Matrix:
    """Squash the planes and take their weighted mean."""
    names = PLANES[len(planes)]
    total = sum(mu * squash(planes[name]) for mu, name in zip(parameters.w, names, strict=True))
    return (total + parameters.b) / len(names)


def orthogonal(merged: Matrix, w: Matrix) -> Matrix:
    """Take away the part along `w` where subtracting it would make the weights smaller."""
    return merged - w * jax.nn.relu(jnp.mean(merged * w))


def change_weights(merged: Matrix, w: Matrix, planes: int) -> Matrix:
    """Return ΔW, to be subtracted, from the merged planes and the weights they were made of."""
    return squash(orthogonal(merged, w) / math.sqrt(planes)) - PULL * w


def change_biases(
    parameters: Linear, h: Float[Array, "units batch hidden"]
) -> Float[Array, " units"]:
    """Return Δb, to be subtracted: a readout of h whose mean is not negative, of bounded size.

    It cannot push all units into their linear range. The paper's formula lost a root and has the
    constraint for the other sign.
    """
    base = jnp.mean(h, axis=1) @ parameters.w + parameters.b
    held = base + jax.nn.relu(-jnp.mean(base))
    return held * jax.lax.rsqrt(_BIAS_SHARE + jnp.mean(held**2))
