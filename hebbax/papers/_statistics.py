"""Means and how sure they are, and the rows of `data.csv`."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import hebbax as hx

Row = dict[str, Any]


def mean_and_error(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the mean and its standard error, which is 0 for a single value."""
    values = [float(value) for value in values]
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return statistics.fmean(values), error


def standard_error(values: np.ndarray) -> Any:
    """Return the standard error of the mean over the first axis, of two values or more."""
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


def most_frequent(family: hx.tasks.AbstractFamily) -> float:
    """Return the share of the test set that always answering its most frequent class gets."""
    return float(np.asarray(family.test_set()[1]).mean(axis=0).max())


def rows(
    lines: Iterable[Iterable[Any]],
    at: Sequence[Any] | np.ndarray,
    *,
    each: str = "network",
    form: Callable[[Any], Any] = float,
    **labels: Any,
) -> list[Row]:
    """Return a row for each line and number of updates in `at`, with `labels` in front.

    **Arguments:** `each`, what a line belongs to; `form`, how an accuracy is written.
    """
    return [
        {**labels, each: number, "updates": int(updates), "accuracy": form(value)}
        for number, line in enumerate(lines)
        for updates, value in zip(at, line, strict=True)
    ]


def last_rows(
    values: Iterable[Any],
    *,
    each: str = "network",
    form: Callable[[Any], Any] = float,
    **labels: Any,
) -> list[Row]:
    """Return a row for each of the accuracies of networks that are judged once, as `rows` does."""
    return [{**labels, each: number, "accuracy": form(v)} for number, v in enumerate(values)]


def rounded(accuracy: float) -> float:
    """Return an accuracy with four digits."""
    return round(float(accuracy), 4)
