"""`standardize_online`: inputs brought to mean 0 and deviation 1 by rows that came before."""

import math
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike

from hebbax._options import AT_LEAST_1, check_option
from hebbax.data.rows import check_rows

WINDOW = 500.0
"""Rows after which what has been seen counts 1/e of what is new."""
FARTHEST = 5.0
"""Deviations at which inputs are cut off: a few first rows say little of how far others lie."""


def standardize_online(x: ArrayLike, window: float = WINDOW) -> Float32[np.ndarray, "rows in"]:
    """Standardise every row by the mean and deviation of the rows before it, which are forgotten.

    **Arguments:**

    - `x`: `[rows, in]`, anything numpy takes as real numbers.
    - `window`: rows, at least 1, after which a row's weight has fallen to 1/e; infinite for
      statistics that forget nothing.

    Where no two rows have been seen, or a column has been constant, inputs are 0; farther than 5
    deviations they are cut off.

    **Raises:** `ValueError` for a window below 1, and rows that are masked or not finite, after
    which nothing could be measured.
    """
    # Importing scipy takes a while, so only those who need it pay.
    from scipy.signal import lfilter

    check_window(window)
    x = check_rows("x", x).astype(np.float64)
    # Relative to a row, for the difference of large squares would be rounded away.
    x = x - x[:1]
    keep = np.exp(-1 / window)

    def seen(values: np.ndarray) -> np.ndarray:
        """Return weighted sums of the rows before each."""
        sums = np.asarray(lfilter([1.0], [1.0, -keep], values, axis=0))
        return np.concatenate([np.zeros_like(sums[:1]), sums[:-1]])

    weight = seen(np.ones((len(x), 1)))
    mean = seen(x) / np.maximum(weight, 1e-12)
    variance = seen(x**2) / np.maximum(weight, 1e-12) - mean**2
    known = variance > 1e-10 * np.maximum(mean**2, 1e-12)
    scaled = (x - mean) / np.sqrt(np.where(known, variance, 1.0))
    return np.where(known, np.clip(scaled, -FARTHEST, FARTHEST), 0.0).astype(np.float32)


def check_window(window: Any) -> None:
    """Refuse a window that is not one. **Raises:** `ValueError`."""
    if not (isinstance(window, float) and window == math.inf):
        check_option("window", window, Annotated[float, AT_LEAST_1])
