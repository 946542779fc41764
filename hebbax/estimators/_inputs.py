"""Standard inputs, also of data that come piece by piece."""

import math
from typing import Any, NamedTuple

import numpy as np

from hebbax._errors import check_choice
from hebbax.inner import FARTHEST, WINDOW

# Of a column's size: what varies less is constant but for rounding.
_ROUNDING = 1e-10


class Moments(NamedTuple):
    """What has been seen of each column: rows, means, and summed squared deviations from them.

    Rows count with their weights, so that `rows` need not be whole.
    """

    rows: float
    mean: np.ndarray
    squares: np.ndarray

    def including(self, x: np.ndarray, keep: float = 1.0, name: str = "X") -> "Moments":
        """Return the moments of what has been seen and the rows of `x` (Chan et al., 1979).

        What had been seen before counts `keep` times.
        """
        new, old = measure(x, name=name), keep * self.rows
        rows = old + new.rows
        apart = new.mean - self.mean
        mean = self.mean + apart * (new.rows / rows)
        squares = keep * self.squares + new.squares + apart**2 * (old * new.rows / rows)
        return Moments(rows, mean, squares)

    @property
    def deviation(self) -> np.ndarray:
        """The standard deviation of each column."""
        return np.sqrt(self.squares / self.rows)


def measure(x: np.ndarray, weight: np.ndarray | None = None, name: str = "X") -> Moments:
    """Return the moments of the rows of `x`, which count 1 or with their `weight`.

    **Raises:** `ValueError`, which calls them `name`, if the squares of the numbers are too large.
    """
    x = x.astype(np.float64, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        if weight is None:
            rows, mean = float(len(x)), x.mean(axis=0)
            squares = np.square(x - mean).sum(axis=0)
        else:
            rows = float(weight.sum())
            mean = weight @ x / rows
            squares = weight @ np.square(x - mean)
    if not np.isfinite(squares).all():
        raise ValueError(f"{name} holds values too large to be standardised; got {_largest(x)}.")
    return Moments(rows, mean, squares)


def _largest(x: np.ndarray) -> str:
    return f"numbers up to {np.abs(x).max():.3g}"


def check_standardize(value: Any) -> None:
    """Refuse an unknown way of standardising. **Raises:** `ValueError`."""
    if value is not None:
        check_choice("standardize", value, ("columns", "all"))


class Scaling(NamedTuple):
    """How inputs become standard: what was seen of them, and what is made of that.

    `how`: each of the `columns` is brought to mean 0 and deviation 1 by itself, or `all` by one
    mean and one deviation, or None for neither. What is constant becomes 0, as in
    `hx.tasks.from_arrays`. Farther than `farthest` deviations inputs are cut off.
    """

    moments: Moments
    how: str | None
    farthest: float = math.inf

    def after(self, x: np.ndarray) -> "Scaling":
        """Return the scaling once these rows of a stream have been seen too; old ones fade.

        After about `hebbax.inner.WINDOW` rows what had been seen counts 1/e, as in
        `hebbax.standardize_online`, and inputs are cut off as there.
        """
        keep = math.exp(-len(x) / WINDOW)
        return Scaling(self.moments.including(x, keep), self.how, FARTHEST)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Return the standardised rows of `x`, float32.

        **Raises:** `ValueError` if they are too large for single precision.
        """
        if self.how is not None:
            mean, deviation = self.moments.mean, self.moments.deviation
            if self.how == "all":
                overall = mean.mean()
                variance = (deviation**2 + (mean - overall) ** 2).mean()
                mean, deviation = overall, np.sqrt(variance)
            constant = deviation <= _ROUNDING * np.abs(mean)
            x = (x - mean) * np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
            if self.farthest < math.inf:
                x = np.clip(x, -self.farthest, self.farthest)
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise ValueError("X holds values too large for single precision once standardised.")
        return x
