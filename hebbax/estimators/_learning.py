"""What estimators do with a rule: few compiled programs, for networks side by side."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from hebbax._programs import jit_by_work, quick_jit
from hebbax.estimators._rules import FoundRule
from hebbax.losses import AbstractGoal, targets
from hebbax.rules import AbstractRule, Sizes

AT_ONCE = 256
"""Rows of a prediction. Always as many, so that there is one program, and a row's prediction is the
same to the last bit whatever it is asked for with."""
RECENT = 8
"""How fast averages of networks forget: about this part of their updates is what they hold."""
IN_A_ROW = 10
"""Updates of a call. Always as many batches, of which the first so many are learnt from."""


def _drawn(rule: AbstractRule, theta: PyTree, key: PRNGKeyArray, sizes: Sizes) -> PyTree:
    return rule.init_network(theta, key, sizes)


draw = quick_jit(_drawn)
"""Draw a network."""


def draw_many(rule: AbstractRule, theta: PyTree, seeds: Sequence[int], sizes: Sizes) -> PyTree:
    """Draw networks, and lay them side by side with a leading axis of them."""
    # The program of this generator takes half as long to compile as that of the usual one.
    keys = [jax.random.key(seed, impl="rbg") for seed in seeds]
    nets = [draw(rule, theta, key, sizes) for key in keys]
    # By NumPy, for which nothing is compiled.
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *nets)


@eqx.filter_jit
def update(rule: AbstractRule, theta: PyTree, net: PyTree, x: Any, y: Any) -> PyTree:
    """Apply the rule to one batch."""
    return rule.update(theta, net, x, y)[0]


def _learnt(
    rule: AbstractRule,
    theta: PyTree,
    goal: AbstractGoal,
    nets: PyTree,
    means: PyTree,
    done: Array,
    xs: Array,
    ys: Array,
    taken: Array,
) -> tuple[PyTree, PyTree]:
    """Let networks learn from the first `taken` of batches `[updates, networks, batch, ..]`.

    `means` are averages of the networks over the last part of the `done` updates they have had, of
    which later ones weigh more (Shamir and Zhang, ICML 2013); returned are both afterwards. What
    single batches have done evens out in them.
    """

    def one(net: PyTree, x: Array, y: Array) -> PyTree:
        return rule.update(theta, net, x, targets(y, goal))[0]

    def step(index: Any, state: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
        nets, means = state
        nets = jax.vmap(one)(nets, xs[index], ys[index])
        share = (RECENT + 1) / (done + index + 1 + RECENT)
        means = jax.tree.map(lambda m, n: m + share.astype(m.dtype) * (n - m), means, nets)
        return nets, means

    return jax.lax.fori_loop(0, taken, step, (nets, means))


learn = jit_by_work(_learnt)


def _said(rule: AbstractRule, theta: PyTree, nets: PyTree, x: Array) -> Array:
    """Return what networks say of rows `[networks, rows, in]`, of each its own."""
    return jax.vmap(lambda net, x: rule.predict(theta, net, x))(nets, x)


predict = jit_by_work(_said)


def is_finite(tree: PyTree) -> bool:
    """Return whether all numbers of a tree are finite. By NumPy, for which nothing is compiled."""
    leaves = (a for a in jax.tree.leaves(tree) if jnp.issubdtype(a.dtype, jnp.inexact))
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in leaves)


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


def in_pieces(function: Callable[[Any], Array], x: np.ndarray, axis: int = 0) -> np.ndarray:
    """Apply a function of `AT_ONCE` rows, each of which stands alone, to any number of them.

    Rows are counted along `axis` of `x` and of what the function returns.

    **Raises:** `ValueError` where what it returns is not finite.
    """
    pieces = []
    for start in range(0, x.shape[axis], AT_ONCE):
        piece = np.take(x, np.arange(start, min(start + AT_ONCE, x.shape[axis])), axis)
        there = piece.shape[axis]
        widths = [(0, AT_ONCE - there if a == axis else 0) for a in range(x.ndim)]
        said = np.asarray(function(jnp.asarray(np.pad(piece, widths))))
        pieces.append(np.take(said, np.arange(there), axis))
    found = np.concatenate(pieces, axis)
    rows = np.moveaxis(found, axis, 0)
    bad = ~np.asarray(np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
    if bad.any():
        raise ValueError(
            f"the network's outputs are not finite for {bad.sum()} of {len(bad)} rows of X, the "
            f"first of them row {np.argmax(bad)}, counted from 0: its values are too large."
        )
    return found


def check_finite(net: PyTree, updates: int, found: FoundRule) -> None:
    """Refuse a network that holds NaN or infinity. **Raises:** `ValueError` that says when."""
    if is_finite(net):
        return
    trained = found.trained_updates
    told = f" The rule was meta-trained for {trained} updates." if trained else ""
    raise ValueError(
        f"the network overflowed within {updates} updates: it holds NaN or infinity.{told} "
        "Take fewer steps, or another rule."
    )
