"""`evaluate_stream`: predict some rows of a stream, then learn from them."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, Key, PRNGKeyArray, PyTree
from numpy.typing import ArrayLike

from hebbax._arguments import check_arguments
from hebbax._options import AT_LEAST_1, check_option
from hebbax._programs import keep_programs
from hebbax.data.rows import check_class_numbers, check_rows
from hebbax.inner._checks import check_judged
from hebbax.inner._finite import all_finite, warn_of_ends
from hebbax.inner._standard import WINDOW, standardize_online
from hebbax.rules import AbstractRule

CHUNK = 32
MOST_CLASSES = 2**15 - 1
"""What is predicted is kept in 16 bits."""


@dataclasses.dataclass(frozen=True)
class StreamCurves:
    """What was predicted of a stream, each row a network of its own.

    **Fields:**

    - `predicted` `[seeds, rows]`: the class of each row, predicted before its label was seen; -1
      where outputs were not finite.
    - `labels` `[rows]`: the right ones.
    - `classes`: how many there are.
    - `seconds`: of computing for one row and network, in the mean; without compiling.
    """

    predicted: Int[np.ndarray, "seeds rows"]
    labels: Int[np.ndarray, " rows"]
    classes: int
    seconds: float

    @property
    def right(self) -> Bool[np.ndarray, "seeds rows"]:
        """Which rows were predicted rightly."""
        return self.predicted == self.labels

    @property
    def accuracy(self) -> Float[np.ndarray, " seeds"]:
        """Share of all rows that was right: prequential accuracy (Gama et al., 2013)."""
        return self.right.mean(axis=1)

    def over_time(self, window: int = 1000) -> Float[np.ndarray, "seeds rows"]:
        """Return the share that was right of the last `window` rows, or of all so far if fewer."""
        check_option("window", window, Annotated[int, AT_LEAST_1])
        sums = np.cumsum(self.right, axis=1, dtype=float)
        before = np.zeros_like(sums)
        before[:, window:] = sums[:, :-window]
        return (sums - before) / np.minimum(np.arange(1, sums.shape[1] + 1), window)

    @property
    def balanced_accuracy(self) -> Float[np.ndarray, " seeds"]:
        """Mean over the classes that occur of the share of their rows that was right."""
        there = np.unique(self.labels)
        return np.stack([self.right[:, self.labels == c].mean(axis=1) for c in there]).mean(axis=0)

    @property
    def kappa(self) -> Float[np.ndarray, " seeds"]:
        """Cohen's κ: 0 for what chance would get right with the same frequencies, 1 for all."""
        true = np.bincount(self.labels, minlength=self.classes) / len(self.labels)
        said = np.stack([np.bincount(p[p >= 0], minlength=self.classes) for p in self.predicted])
        chance = said @ true / len(self.labels)
        # A stream of one class has nothing to be found out.
        return np.where(
            chance < 1, (self.accuracy - chance) / np.maximum(1 - chance, 1e-12), np.nan
        )


def evaluate_stream(
    rule: AbstractRule,
    theta: PyTree,
    x: ArrayLike,
    y: ArrayLike,
    *,
    chunk: int = CHUNK,
    hidden: Sequence[Annotated[int, AT_LEAST_1]] = (64,),
    classes: int | None = None,
    window: Any = WINDOW,
    seeds: int = 1,
    key: PRNGKeyArray | None = None,
) -> StreamCurves:
    """Let networks predict each `chunk` of the rows, in their order, and learn from it then.

    **Arguments:**

    - `x`, `y`: rows in the order of time, and their classes from 0.
    - `chunk`: rows that are predicted at once, and learnt from in one update.
    - `hidden`: units of the hidden layers.
    - `classes`: outputs; by default one more than the largest label, at least 2.
    - `window`: inputs are standardised by the rows before each, which are forgotten after about
      so many, see `standardize_online`; None leaves them as they are.
    - `seeds`: networks, each with its own synapses; they share `key` (by default that of seed 0)
      with every other rule.

    **Returns:** `StreamCurves`.

    **Warns:** `NotFiniteWarning` if networks overflow, of how many and from which update on.

    **Raises:** `ValueError` for settings out of range, arrays that do not belong together or hold
    what is masked or not finite, a rule that makes features or learns nothing from such chunks, and
    a θ that is not finite or not the rule's.
    """
    check_arguments(evaluate_stream, locals())
    rows, labels, classes = checked_stream(x, y, classes, window, chunk, seeds)
    check_judged(rule, theta, chunk, "chunk")
    thetas = jax.tree.map(lambda a: jnp.asarray(a)[None], theta)
    keys = jax.random.split(jax.random.key(0) if key is None else key, seeds)
    found, finite, seconds = timed(rule, thetas, rows, labels, classes, chunk, hidden, keys)
    warn_of_ends(finite[0])
    return StreamCurves(found[0], labels, classes, seconds)


def checked_stream(
    x: ArrayLike, y: ArrayLike, classes: int | None, window: float | None, chunk: int, seeds: int
) -> tuple[Float32[np.ndarray, "rows in"], Int[np.ndarray, " rows"], int]:
    for name, value in {"chunk": chunk, "seeds": seeds}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    rows, labels = check_rows("x", x), check_class_numbers("y", y)
    if len(rows) != len(labels):
        raise ValueError(
            f"y must have a class for each row of x; got {len(rows)} rows and {len(labels)} "
            f"classes."
        )
    least = max(2, int(labels.max()) + 1)
    classes = least if classes is None else classes
    if not least <= classes <= MOST_CLASSES:
        raise ValueError(
            f"classes must be from {least}, for these labels, to {MOST_CLASSES}; got {classes}."
        )
    rows = rows if window is None else standardize_online(rows, window)
    return rows.astype(np.float32, copy=False), labels, classes


def timed(
    rule: AbstractRule,
    thetas: PyTree,
    rows: np.ndarray,
    labels: np.ndarray,
    classes: int,
    chunk: int,
    hidden: Sequence[int],
    keys: Key[Array, " seeds"],
) -> tuple[Int[np.ndarray, "thetas seeds rows"], Bool[np.ndarray, "thetas seeds chunks"], float]:
    """Return what networks of each θ predict, after which updates they were finite, and seconds.

    The latter are those for one row of one network.
    """
    keep_programs()
    missing = -len(rows) % chunk
    x = np.pad(rows, ((0, missing), (0, 0))).reshape(-1, chunk, rows.shape[1])
    y = np.pad(labels, (0, missing)).reshape(-1, chunk, 1) == np.arange(classes)
    arguments = (
        rule,
        thetas,
        jnp.asarray(x),
        jnp.asarray(y, jnp.float32),
        tuple(map(int, hidden)),
        keys,
    )
    # Compiled apart, so that the clock measures learning only.
    lifetimes: Any = _lifetimes
    compiled = lifetimes.lower(*arguments).compile()
    begin = time.perf_counter()
    found, kept = map(np.asarray, compiled(*arguments))
    seconds = (time.perf_counter() - begin) / (found.shape[0] * found.shape[1] * len(rows))
    # A prediction is that of the networks after the update before.
    finite = np.concatenate(
        [np.asarray((found >= 0).all(axis=3))[:, :, 1:], kept[:, :, None]], axis=2
    )
    said = found.reshape(*found.shape[:2], -1)[:, :, : len(rows)].astype(np.int32)
    return said, finite, seconds


@eqx.filter_jit
def _lifetimes(
    rule: AbstractRule,
    thetas: PyTree,
    x: Float[Array, "chunks chunk in"],
    y: Float[Array, "chunks chunk classes"],
    hidden: tuple[int, ...],
    keys: Key[Array, " seeds"],
) -> tuple[Int[Array, "thetas seeds chunks chunk"], Bool[Array, "thetas seeds"]]:
    sizes = (x.shape[2], *hidden, y.shape[2])

    def begin(theta: PyTree) -> PyTree:
        return jax.vmap(lambda key: rule.init_network(theta, key, sizes))(keys)

    def step(nets: PyTree, batch: tuple[Array, Array]) -> tuple[PyTree, Array]:
        def one(theta: PyTree, net: PyTree) -> tuple[PyTree, Array]:
            outputs = rule.predict(theta, net, batch[0])
            said = jnp.where(jnp.isfinite(outputs).all(axis=1), jnp.argmax(outputs, axis=1), -1)
            return rule.update(theta, net, *batch)[0], said.astype(jnp.int16)

        def each(theta: PyTree, nets: PyTree) -> tuple[PyTree, Array]:
            return jax.vmap(one, in_axes=(None, 0))(theta, nets)

        return jax.vmap(each)(thetas, nets)

    nets, said = jax.lax.scan(step, jax.vmap(begin)(thetas), (x, y))
    return jnp.moveaxis(said, 0, 2), jax.vmap(jax.vmap(all_finite))(nets)
