"""Standard inputs, also of data that come piece by piece."""

from typing import Any, NamedTuple

import numpy as np

from hebbax._errors import check_choice

# Of a column's size: what varies less is constant but for rounding.
_ROUNDING = 1e-10


class Moments(NamedTuple):
    """What has been seen of each column: rows, means, and summed squared deviations from them."""

    rows: int
    mean: np.ndarray
    squares: np.ndarray

    def including(self, x: np.ndarray) -> "Moments":
        """Return the moments of what has been seen and the rows of `x` (Chan et al., 1979)."""
        new = measure(x)
        rows = self.rows + new.rows
        apart = new.mean - self.mean
        mean = self.mean + apart * (new.rows / rows)
        squares = self.squares + new.squares + apart**2 * (self.rows * new.rows / rows)
        return Moments(rows, mean, squares)


def measure(x: np.ndarray) -> Moments:
    """Return the moments of the rows of `x`."""
    x = x.astype(np.float64, copy=False)
    mean = x.mean(axis=0)
    return Moments(len(x), mean, np.square(x - mean).sum(axis=0))


def check_standardize(value: Any) -> None:
    """Refuse an unknown way of standardising. **Raises:** `ValueError`."""
    if value is not None:
        check_choice("standardize", value, ("columns", "all"))


class Scaling(NamedTuple):
    """How inputs become standard: what was seen of them, and what is made of that.

    `how`: each of the `columns` is brought to mean 0 and deviation 1 by itself, or `all` by one
    mean and one deviation, or None for neither. What is constant becomes 0, as in
    `hx.tasks.from_arrays`.
    """

    moments: Moments
    how: str | None

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return the standardised rows of `x`, float32.

        **Raises:** `ValueError` if they are too large for single precision.
        """
        if self.how is not None:
            moments = self.moments
            mean, variance = moments.mean, moments.squares / moments.rows
            if self.how == "all":
                overall = mean.mean()
                mean, variance = overall, (variance + (mean - overall) ** 2).mean()
            deviation = np.sqrt(variance)
            constant = deviation <= _ROUNDING * np.abs(mean)
            x = (x - mean) * np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise ValueError("X holds values too large for single precision once standardised.")
        return x
