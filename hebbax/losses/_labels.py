"""Labels: one-hot rows, or one column in {0, 1}."""

from typing import Any

import numpy as np
from jax.core import Tracer


def check_labels(what: str, y: Any) -> None:
    """Refuse targets that are no labels, where there are numbers already.

    Inside of what JAX compiles there are none, and nothing is checked nor computed.

    **Arguments:** `what` a message calls them; `y`: `[…, out]`.

    **Raises:** `ValueError` unless every row is one-hot, or one number in {0, 1} if there is one
    column.
    """
    if isinstance(y, Tracer):
        return
    rows = np.asarray(y)
    column = rows.ndim > 0 and rows.shape[-1] == 1
    if not np.isin(rows, (0, 1)).all() or not (column or (rows.sum(axis=-1) == 1).all()):
        raise ValueError(
            f"{what} must be one-hot, or one column in {{0, 1}}, for cross-entropy and accuracy to "
            f"have a meaning; got numbers from {rows.min():.4g} to {rows.max():.4g}, in rows "
            f"whose sums are from {rows.sum(axis=-1).min():.4g} to {rows.sum(axis=-1).max():.4g}."
        )
