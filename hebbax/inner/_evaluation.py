"""`evaluate`: train networks with a rule and watch them on a whole test set."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, PyTree

from hebbax._arguments import check_arguments
from hebbax._programs import BRIEF, jit_by_work, keep_programs, quick_jit
from hebbax.inner._checks import check_judged
from hebbax.inner._finite import all_finite, warn_of_ends
from hebbax.inner._watching import watch
from hebbax.losses import CLASSES, AbstractGoal, Classification, check_labels, targets
from hebbax.networks import Given, Units, as_units, between, numbers
from hebbax.rules import AbstractRule, Sizes
from hebbax.tasks import AbstractFamily, Batches

BYTES = 4
"""Of a number."""
AT_ONCE = 64 * 1024**2
"""Bytes of batches that are drawn at once."""


@dataclasses.dataclass(frozen=True)
class Curves:
    """Learning curves, each row a network of its own.

    **Fields:**

    - `steps` `[points]`: after how many updates; 1, 2, … unless `at` said otherwise.
    - `score` `[seeds, points]`: the metric of the family on the test set; of classes the accuracy,
      the share that is correct, in [0, 1]; outputs that are not finite are not.
    - `loss` `[seeds, points]`: its loss on the test set; of classes the cross-entropy, in nats;
      NaN or infinity where outputs are.
    - `goal`: what the family asks for, whose `metric` names the score and whose
      `higher_is_better` says which one is better.
    """

    steps: np.ndarray
    score: np.ndarray
    loss: np.ndarray
    goal: AbstractGoal = CLASSES

    @property
    def metric(self) -> str:
        """What the score measures."""
        return self.goal.metric

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger score is a better one."""
        return self.goal.higher_is_better

    @property
    def accuracy(self) -> np.ndarray:
        """The score, where it is the accuracy. **Raises:** `ValueError` where it is not."""
        if self.metric != "accuracy":
            raise ValueError(f"these curves have no accuracy but a score, the {self.metric}.")
        return self.score

    def after(self, steps: int) -> np.ndarray:
        """Return the score `[seeds]` after `steps` updates."""
        return self.score[:, self.steps.tolist().index(steps)]

    @property
    def finite(self) -> np.ndarray:
        """Whether all numbers were finite `[points]`, of every network."""
        return np.asarray(np.isfinite(self.loss).all(axis=0))


def evaluate(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    *,
    hidden: Given = (64,),
    steps: int = 100,
    batch: int = 128,
    seeds: int = 8,
    key: PRNGKeyArray | None = None,
    at: Sequence[int] | None = None,
    test_batch: int = 1000,
) -> Curves:
    """Train `seeds` fresh networks and judge each on the whole test set after every update.

    **Arguments:**

    - `hidden`: units of the hidden layers, or an `Architecture`, such as `networks.cnn()`.
    - `steps`, `batch`: updates, and examples in each.
    - `seeds`: networks, each with its own synapses, batches and, where the family has several,
      task; they share `key` (by default that of seed 0) with every other rule, so that two rules
      meet the same batches.
    - `at`: judge only after these numbers of updates, which is faster.
    - `test_batch`: the test set is passed in pieces of this many examples, in order; it matters
      only to rules whose predictions depend on the batch.

    **Returns:** `Curves`.

    **Warns:** `NotFiniteWarning` if networks overflow, of how many and from which update on.

    **Raises:** `ValueError` for settings out of range, a rule that makes features or learns nothing
    from such batches, a θ that is not finite, and targets that are not one-hot.
    """
    curves, lasted = measure(
        rule, theta, family, hidden=hidden, steps=steps, batch=batch, seeds=seeds, key=key, at=at,
        test_batch=test_batch,
    )  # fmt: skip
    finite = np.arange(steps)[None] < lasted[:, None]
    finite[:, curves.steps - 1] &= np.isfinite(curves.loss)
    warn_of_ends(finite)
    return curves


def measure(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    *,
    hidden: Given = (64,),
    steps: int = 100,
    batch: int = 128,
    seeds: int = 8,
    key: PRNGKeyArray | None = None,
    at: Sequence[int] | None = None,
    test_batch: int = 1000,
) -> tuple[Curves, Int[np.ndarray, " seeds"]]:
    """Do what `evaluate` does but warn; return after how many updates networks were finite, too."""
    check_arguments(measure, locals())
    keep_programs()
    for name, value in {
        "steps": steps,
        "batch": batch,
        "seeds": seeds,
        "test_batch": test_batch,
    }.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    points = sorted(set(range(1, steps + 1) if at is None else at))
    if not points or points[0] < 1 or points[-1] > steps:
        raise ValueError(f"at must hold numbers of updates from 1 to {steps}; got {at}.")
    flags = np.zeros(steps, bool)
    flags[np.asarray(points) - 1] = True
    check_judged(rule, theta, batch)
    key = jax.random.key(0) if key is None else key
    keys = jax.random.split(key, seeds)
    score, loss, lasted = _evaluate(
        rule, theta, family, as_units(hidden), batch, test_batch, keys, flags
    )
    chosen = np.asarray(points) - 1
    curves = Curves(np.asarray(points), score.T[:, chosen], loss.T[:, chosen], family.goal)
    return curves, lasted


def _evaluate(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    hidden: Units,
    batch: int,
    test_batch: int,
    keys: Key[Array, " seeds"],
    flags: Bool[np.ndarray, " steps"],
) -> tuple[
    Float[np.ndarray, "steps seeds"], Float[np.ndarray, "steps seeds"], Int[np.ndarray, " seeds"]
]:
    """Return scores and losses where `flags` say, and for how many updates networks were finite."""
    # Data are drawn by a program of their own, which all rules share; so all families of the same
    # sizes share the one that learns, which takes longest to compile.
    sizes = between(hidden, family.inputs, family.outputs, family.image)
    k_tasks, k_nets, k_data = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(keys), 1, 0)
    test = _test_sets(family, k_tasks)
    rows = len(flags) * batch + int(flags.sum()) * test[0].shape[-2]
    # A fifth, for the same program is often called for several rates and tasks.
    brief = len(keys) * rows * numbers(sizes) <= BRIEF / 5
    if isinstance(family.goal, Classification):
        check_labels(f"the targets of {family.name}", test[1])
    lives = _begin(rule, theta, k_nets, sizes), jnp.zeros(len(keys), jnp.int32)
    row = BYTES * len(keys) * batch * (family.inputs + family.outputs)
    pieces = math.ceil(len(flags) / max(1, AT_ONCE // row))
    # Of one length, and so one program; what is beyond the end of the last is not looked at.
    length = math.ceil(len(flags) / pieces)
    looks = np.pad(flags, (0, pieces * length - len(flags))).reshape(pieces, length)
    judge = _Judge(rule, family.goal, test_batch)
    seen = []
    for piece, after in enumerate(looks):
        batches = _batches(
            brief, family, k_tasks, k_data, jnp.asarray(piece * length), length, batch
        )
        lives, judged = _learn(brief, judge, theta, lives, batches, test, jnp.asarray(after))
        seen.append(jax.tree.map(np.asarray, judged))
    score, loss = (np.concatenate(arrays)[: len(flags)] for arrays in zip(*seen, strict=True))
    return score, loss, np.minimum(np.asarray(lives[1]), len(flags))


def _fresh(rule: AbstractRule, theta: PyTree, keys: Key[Array, " seeds"], sizes: Sizes) -> PyTree:
    return jax.vmap(lambda key: rule.init_network(theta, key, sizes))(keys)


_begin = quick_jit(_fresh)


@eqx.filter_jit
def _test_sets(family: AbstractFamily, k_tasks: Key[Array, " seeds"]) -> Batches:
    """Return the test set of each task `[seeds, n, …]`, or the one `[n, …]` of a single task."""
    if family.draw(k_tasks[0]) is family:
        return family.test_set()
    return jax.vmap(lambda k_task: family.draw(k_task).test_set())(k_tasks)


def _some_batches(
    family: AbstractFamily,
    k_tasks: Key[Array, " seeds"],
    k_data: Key[Array, " seeds"],
    first: Int[Array, ""],
    steps: int,
    batch: int,
) -> Batches:
    """Return the batches of `steps` updates from the one of index `first`, `[steps, seeds, …]`."""

    def one(k_task: PRNGKeyArray, key: PRNGKeyArray, index: Any) -> Batches:
        drawn = family.draw(k_task).stream(jax.random.fold_in(key, index), 1, batch)
        return jax.tree.map(lambda a: a[0], drawn)

    every = jax.vmap(one, in_axes=(0, 0, None))
    # One after another, which is compiled in a third of the time that all at once take.
    return jax.lax.map(lambda index: every(k_tasks, k_data, index), first + jnp.arange(steps))


_batches = jit_by_work(_some_batches)


class _Judge(eqx.Module):
    """Judges a network of `rule` on a test set, `rows` of it at a time."""

    rule: AbstractRule
    goal: AbstractGoal
    rows: int = eqx.field(static=True)

    def __call__(self, theta: PyTree, net: PyTree, x: Array, y: PyTree) -> tuple[Array, Array]:
        """Return score and loss."""

        def piece(x: Array, y: PyTree) -> Float[Array, "2"]:
            prediction = self.rule.predict(theta, net, x)
            judged = self.goal.score(prediction, y), self.goal.loss(prediction, y)
            return len(x) * jnp.stack(judged)

        whole = len(x) // self.rows * self.rows
        total = jnp.zeros(2)
        if whole:
            shape = whole // self.rows, self.rows
            pieces = jax.tree.map(lambda a: a[:whole].reshape(*shape, *a.shape[1:]), (x, y))
            total = total + jnp.sum(jax.lax.map(lambda p: piece(*p), pieces), axis=0)
        if len(x) > whole:
            total = total + piece(*jax.tree.map(lambda a: a[whole:], (x, y)))
        return total[0] / len(x), total[1] / len(x)


def _learnt(
    judge: _Judge,
    theta: PyTree,
    lives: tuple[PyTree, Int[Array, " seeds"]],
    batches: tuple[Float[Array, "steps seeds batch in"], PyTree],
    test: tuple[Array, PyTree],
    after: Bool[Array, " steps"],
) -> tuple[tuple[PyTree, Int[Array, " seeds"]], tuple[Float[Array, "steps seeds"], ...]]:
    """Return networks and how long they were finite, after updates that are counted on."""
    rule, goal = judge.rule, judge.goal

    def one(net: PyTree, lasted: Int[Array, ""], x: Array, y: PyTree) -> tuple[PyTree, Array]:
        net = rule.update(theta, net, x, targets(y, goal))[0]
        return net, lasted + all_finite(net).astype(lasted.dtype)

    def update(lives: Any, index: Any) -> Any:
        return jax.vmap(one)(*lives, *jax.tree.map(lambda a: a[index], batches))

    of_each = 0 if test[0].ndim == 3 else None
    judges = jax.vmap(lambda net, x, y: judge(theta, net, x, y), in_axes=(0, of_each, of_each))
    return watch(update, lives, lambda lives: judges(lives[0], *test), after)


_learn = jit_by_work(_learnt)
