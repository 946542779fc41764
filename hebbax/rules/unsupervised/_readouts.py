"""LowRR: low-rank readouts of hidden states, and products with them.

Readouts of a kind are kept in one array, so that each kind costs one product, and a program of
several layers stays short enough to compile in seconds.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.unsupervised._parameters import (
    CROSS_READOUTS,
    LOWER_READOUTS,
    PSD_READOUT,
    UPPER_READOUTS,
    Linear,
    Readout,
)

Rows = Float[Array, "readouts units entries"]
"""Projections of a layer's hidden states: batch times rank entries for each unit."""


class UpperProjections(NamedTuple):
    """Projections of the hidden states above some weights.

    **Fields**, each `[readouts, units, entries]`:

    - `cross`: upper sides of `CROSS_READOUTS`.
    - `left`, `right`: lower and upper sides of `UPPER_READOUTS`, both of this layer.
    - `psd`: the one projection of `PSD_READOUT`; empty where there is none.
    """

    cross: Rows
    left: Rows
    right: Rows
    psd: Rows


class LowerProjections(NamedTuple):
    """Projections of the hidden states below some weights.

    **Fields**, each `[readouts, units, entries]`:

    - `cross`: lower sides of `CROSS_READOUTS`.
    - `left`, `right`: lower and upper sides of `LOWER_READOUTS`, both of this layer.
    """

    cross: Rows
    left: Rows
    right: Rows


def _sides(readouts: dict[str, Readout], names: tuple[str, ...], side: str) -> list[Linear]:
    return [getattr(readouts[name], side) for name in names]


def project(
    readouts: dict[str, Readout],
    h: Float[Array, "batch units hidden"],
    *,
    is_upper: bool,
    is_lower: bool,
) -> tuple[UpperProjections | None, LowerProjections | None]:
    """Project the hidden states of a layer for all readouts that need it, in one product.

    `is_upper`: there are weights below the layer; `is_lower`: there are weights above it. What
    is not asked for is None.
    """
    groups: list[list[Linear]] = []
    if is_upper:
        psd = [readouts[PSD_READOUT].upper] if PSD_READOUT in readouts else []
        groups += [
            _sides(readouts, CROSS_READOUTS, "upper"),
            _sides(readouts, UPPER_READOUTS, "lower"),
            _sides(readouts, UPPER_READOUTS, "upper"),
            psd,
        ]
    if is_lower:
        groups += [
            _sides(readouts, CROSS_READOUTS, "lower"),
            _sides(readouts, LOWER_READOUTS, "lower"),
            _sides(readouts, LOWER_READOUTS, "upper"),
        ]
    linears = [linear for group in groups for linear in group]
    w = jnp.concatenate([linear.w for linear in linears], axis=1)
    b = jnp.concatenate([linear.b for linear in linears])
    batch, units, hidden = h.shape
    rows = h.reshape(batch * units, hidden) @ w + b[None]
    rows = rows.reshape(batch, units, len(linears), -1).transpose(2, 1, 0, 3)
    rows = rows.reshape(len(linears), units, -1)
    found, start = [], 0
    for group in groups:
        found.append(rows[start : start + len(group)])
        start += len(group)
    upper = UpperProjections(*found[:4]) if is_upper else None
    return upper, LowerProjections(*found[-3:]) if is_lower else None


def low_rank(
    lower: Float[Array, "readouts lower entries"], upper: Float[Array, "readouts upper entries"]
) -> Float[Array, "readouts lower upper"]:
    """Return LowRR: the mean over examples and rank of the products of two projections."""
    return jnp.einsum("njk,nmk->njm", lower, upper) / lower.shape[2]


def symmetric_times(
    left: Rows, right: Rows, w: Float[Array, "readouts units m"]
) -> Float[Array, "readouts units m"]:
    """Return `sym(U) w` for U = LowRR(left, right) within the layer below some weights.

    sym(U) is (U + Uᵀ) / √2 with zeros on the diagonal, over the root of the number of units. For
    wide layers it is never made: its factors are multiplied with `w` one after the other.
    """
    _, units, entries = left.shape
    if not _factored_is_cheaper(units, entries, w.shape[2], products=2):
        return _symmetric(left, right) @ w
    product = left @ (jnp.swapaxes(right, 1, 2) @ w) + right @ (jnp.swapaxes(left, 1, 2) @ w)
    diagonal = jnp.sum(left * right, axis=2)
    return (product - 2 * diagonal[:, :, None] * w) / (entries * math.sqrt(2 * units))


def times_symmetric(
    w: Float[Array, "readouts m units"], left: Rows, right: Rows
) -> Float[Array, "readouts m units"]:
    """Return `w sym(U)`, as `symmetric_times`, for the layer above some weights."""
    _, units, entries = left.shape
    if not _factored_is_cheaper(units, entries, w.shape[1], products=2):
        return w @ _symmetric(left, right)
    product = (w @ left) @ jnp.swapaxes(right, 1, 2) + (w @ right) @ jnp.swapaxes(left, 1, 2)
    diagonal = jnp.sum(left * right, axis=2)
    return (product - 2 * w * diagonal[:, None]) / (entries * math.sqrt(2 * units))


def _symmetric(left: Rows, right: Rows) -> Float[Array, "readouts units units"]:
    u = low_rank(left, right)
    symmetric = (u + jnp.swapaxes(u, 1, 2)) / math.sqrt(2 * left.shape[1])
    return jnp.where(jnp.eye(left.shape[1], dtype=bool)[None], 0, symmetric)


def times_square(
    w: Float[Array, "readouts m units"], rows: Rows
) -> Float[Array, "readouts m units"]:
    """Return `w LowRR(rows, rows)` over the root of the number of units, diagonal and all."""
    _, units, entries = rows.shape
    if not _factored_is_cheaper(units, entries, w.shape[1], products=1):
        return w @ low_rank(rows, rows) / math.sqrt(units)
    return (w @ rows) @ jnp.swapaxes(rows, 1, 2) / (entries * math.sqrt(units))


def _factored_is_cheaper(units: int, entries: int, m: int, *, products: int) -> bool:
    return 2 * products * entries * m < units * (entries + m)
