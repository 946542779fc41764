"""LowRR: low-rank readouts of hidden states, and products with them."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.unsupervised.parameters import (
    CROSS_READOUTS,
    LOWER_READOUTS,
    PSD_READOUT,
    UPPER_READOUTS,
    Linear,
    Readout,
)

Rows = Float[Array, "units entries"]
"""A projection of a layer's hidden states: batch times rank entries for each unit."""


class Projections(NamedTuple):
    """Projections of one layer's hidden states by readout, as the upper or the lower side.

    Of the symmetric readouts both are of the same layer.
    """

    upper: dict[str, Rows]
    lower: dict[str, Rows]


def project(
    readouts: dict[str, Readout],
    h: Float[Array, "units batch hidden"],
    *,
    is_upper: bool,
    is_lower: bool,
) -> Projections:
    """Project the hidden states of a layer for all readouts that need it, in one product.

    `is_upper`: the layer has one below it; `is_lower`: it has one above.
    """
    wanted: list[tuple[dict[str, Rows], str, Linear]] = []
    found = Projections({}, {})

    def want(names: tuple[str, ...], sides: tuple[str, ...]) -> None:
        for name in names:
            for side in sides:
                wanted.append((getattr(found, side), name, getattr(readouts[name], side)))

    if is_upper:
        want(CROSS_READOUTS, ("upper",))
        want(UPPER_READOUTS, ("upper", "lower"))
        if PSD_READOUT in readouts:
            want((PSD_READOUT,), ("upper",))
    if is_lower:
        want(CROSS_READOUTS, ("lower",))
        want(LOWER_READOUTS, ("upper", "lower"))
    units, batch, hidden = h.shape
    w = jnp.concatenate([linear.w for *_, linear in wanted], axis=1)
    b = jnp.concatenate([linear.b for *_, linear in wanted])
    rows = h.reshape(units * batch, hidden) @ w + b[None]
    rows = jnp.moveaxis(rows.reshape(units, batch, len(wanted), -1), 2, 0)
    rows = rows.reshape(len(wanted), units, -1)
    for (side, name, _), row in zip(wanted, rows, strict=True):
        side[name] = row
    return found


def low_rank(
    lower: Float[Array, "lower entries"], upper: Float[Array, "upper entries"]
) -> Float[Array, "lower upper"]:
    """Return LowRR: the mean over examples and rank of the products of two projections."""
    return lower @ upper.T / lower.shape[1]


def symmetric_times(
    lower: Rows, upper: Rows, w: Float[Array, "units m"]
) -> Float[Array, "units m"]:
    """Return `sym(U) w` for U = LowRR(lower, upper) within one layer.

    sym(U) is (U + Uᵀ) / √2 with zeros on the diagonal, over the root of the number of units. For
    wide layers it is never made: its factors are multiplied with `w` one after the other.
    """
    units, entries = lower.shape
    scale = 1 / math.sqrt(2 * units)
    if _factored_is_cheaper(units, entries, w.shape[1], products=2):
        product = lower @ (upper.T @ w) + upper @ (lower.T @ w)
        diagonal = jnp.sum(lower * upper, axis=1, keepdims=True)
        return (scale / entries) * (product - 2 * diagonal * w)
    u = low_rank(lower, upper)
    symmetric = jnp.where(jnp.eye(units, dtype=bool), 0, scale * (u + u.T))
    return symmetric @ w


def square_times(rows: Rows, w: Float[Array, "units m"]) -> Float[Array, "units m"]:
    """Return `LowRR(rows, rows) w` over the root of the number of units, diagonal and all."""
    units, entries = rows.shape
    if _factored_is_cheaper(units, entries, w.shape[1], products=1):
        return rows @ (rows.T @ w) / (entries * math.sqrt(units))
    return low_rank(rows, rows) @ w / math.sqrt(units)


def _factored_is_cheaper(units: int, entries: int, columns: int, *, products: int) -> bool:
    return 2 * products * entries * columns < units * (entries + columns)
