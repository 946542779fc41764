"""`standardize_online`: inputs brought to mean 0 and deviation 1 by rows that came before."""

import numpy as np
from jaxtyping import Float, Float32

WINDOW = 500.0
"""Rows after which what has been seen counts 1/e of what is new."""
FARTHEST = 5.0
"""Deviations at which inputs are cut off: a few first rows say little of how far others lie."""


def standardize_online(
    x: Float[np.ndarray, "rows in"], window: float = WINDOW
) -> Float32[np.ndarray, "rows in"]:
    """Standardise every row by the mean and deviation of the rows before it, which are forgotten.

    **Arguments:**

    - `window`: rows, at least 1, after which a row's weight has fallen to 1/e; infinite for
      statistics that forget nothing.

    Where no two rows have been seen, or a column has been constant, inputs are 0; farther than 5
    deviations they are cut off.

    **Raises:** `ValueError` for a window below 1.
    """
    # Importing scipy takes a while, so only those who need it pay.
    from scipy.signal import lfilter

    if not window >= 1:
        raise ValueError(f"window must be at least 1 row; got {window}.")
    x = x.astype(np.float64)
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
