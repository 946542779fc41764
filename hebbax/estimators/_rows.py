"""Rows to learn from: each different one once, with its weight, whatever order they came in."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """Different rows in an order that their contents decide, targets among them.

    **Fields:** `x` `[n, in]`, `y` `[n]` or `[n, out]`, and `weight` `[n]`, how often each row
    counts, above 0.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray


def distinct(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Rows:
    """Join rows that are the same and leave out those that weigh nothing.

    What is learnt from them then depends neither on their order nor on whether a row is there
    twice or counts twice.
    """
    kept = weight > 0
    x, y, weight = x[kept], y[kept], weight[kept]
    # Adding zero makes one of the two zeros.
    table = np.concatenate([x.astype(np.float64), y.reshape(len(y), -1).astype(float)], axis=1)
    table = table + 0.0
    marks = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in table]
    marks = np.frombuffer(b"".join(marks), np.uint64).reshape(-1, 2)
    order = np.lexsort((marks[:, 1], marks[:, 0]))
    marks = marks[order]
    first = np.flatnonzero(np.r_[True, (marks[1:] != marks[:-1]).any(axis=1)])
    return Rows(x[order][first], y[order][first], np.add.reduceat(weight[order], first))


def deal(strata: np.ndarray, count: int, random: np.random.RandomState) -> np.ndarray:
    """Deal rows into `count` parts, the rows of each stratum as evenly as can be."""
    order = random.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    parts = np.empty(len(strata), int)
    parts[order] = np.arange(len(strata)) % count
    return parts


def endless(
    rows: np.ndarray, weight: np.ndarray, random: np.random.RandomState
) -> Callable[[int], np.ndarray]:
    """Return what draws so many of `rows` again and again, in proportion to their weight.

    They come in rounds of as many rows as there are; where all weigh the same, each is once in a
    round. Where not, a row is in it as often as its share says, to the next whole number.
    """
    left = np.empty(0, int)
    total = weight.sum()

    def draw(count: int) -> np.ndarray:
        nonlocal left
        while len(left) < count:
            order = random.permutation(len(rows))
            places = (np.arange(len(rows)) + random.random_sample()) * (total / len(rows))
            found = np.searchsorted(np.cumsum(weight[order]), places, side="right")
            found = order[np.minimum(found, len(rows) - 1)]
            left = np.concatenate([left, rows[random.permutation(found)]])
        taken, left = left[:count], left[count:]
        return taken

    return draw


def spread(weight: np.ndarray, count: int) -> np.ndarray:
    """Return `count` indices of rows, in their order, each as often as its share of the weight."""
    total = np.cumsum(weight)
    places = (np.arange(count) + 0.5) * (total[-1] / count)
    return np.minimum(np.searchsorted(total, places, side="right"), len(weight) - 1)
