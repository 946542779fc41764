"""What estimators do with a rule: one compiled update, one compiled prediction, batches."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from hebbax.estimators._rules import FoundRule
from hebbax.inner import all_finite
from hebbax.rules import AbstractRule, Sizes

AT_ONCE = 256
"""Rows of a prediction. Always as many, so that there is one program, and a row's prediction is the
same to the last bit whatever it is asked for with."""


@eqx.filter_jit
def draw(rule: AbstractRule, theta: PyTree, key: PRNGKeyArray, sizes: Sizes) -> PyTree:
    """Draw a network."""
    return rule.init_network(theta, key, sizes)


@eqx.filter_jit
def update(rule: AbstractRule, theta: PyTree, net: PyTree, x: Any, y: Any) -> PyTree:
    """Apply the rule to one batch."""
    return rule.update(theta, net, x, y)[0]


@eqx.filter_jit
def predict(rule: AbstractRule, theta: PyTree, net: PyTree, x: Any) -> Array:
    """Return what a network says of `x`."""
    return rule.predict(theta, net, x)


def batches(n: int, steps: int, size: int, random: np.random.RandomState) -> Iterator[np.ndarray]:
    """Yield `steps` times the indices of `size` of `n` rows.

    They are cut from one random permutation of all rows after another, so that each row comes
    equally often; in batches larger than the data it comes several times.
    """
    left = np.empty(0, int)
    for _ in range(steps):
        while len(left) < size:
            left = np.concatenate([left, random.permutation(n)])
        yield left[:size]
        left = left[size:]


def in_pieces(function: Callable[[Any], Array], x: np.ndarray) -> np.ndarray:
    """Apply a function of `AT_ONCE` rows, each of which stands alone, to any number of them.

    **Raises:** `ValueError` where what it returns is not finite.
    """
    pieces = []
    for start in range(0, len(x), AT_ONCE):
        piece = x[start : start + AT_ONCE]
        missing = AT_ONCE - len(piece)
        padded = np.pad(piece, ((0, missing), (0, 0)))
        pieces.append(np.asarray(function(jnp.asarray(padded)))[: len(piece)])
    found = np.concatenate(pieces)
    bad = np.asarray(~np.isfinite(found).reshape(len(found), -1).all(axis=1))
    if bad.any():
        raise ValueError(
            f"the network's outputs are not finite for {bad.sum()} of {len(bad)} rows of X, the "
            f"first of them row {np.argmax(bad)}, counted from 0: its values are too large."
        )
    return found


def check_finite(net: PyTree, updates: int, found: FoundRule) -> None:
    """Refuse a network that holds NaN or infinity. **Raises:** `ValueError` that says when."""
    if all_finite(net):
        return
    trained = found.trained_updates
    told = f" The rule was meta-trained for {trained} updates." if trained else ""
    raise ValueError(
        f"the network overflowed within {updates} updates: it holds NaN or infinity.{told} "
        "Take fewer steps, or another rule."
    )
