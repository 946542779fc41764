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

from hebbax._programs import keep_programs, quick_jit
from hebbax.inner._checks import check_judged, check_one_hot
from hebbax.inner._watching import watch
from hebbax.losses import accuracy, cross_entropy
from hebbax.networks import Given, Units, as_units, between
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
    - `accuracy` `[seeds, points]`: share of the test set that is correct, in [0, 1].
    - `loss` `[seeds, points]`: cross-entropy on the test set, in nats.
    """

    steps: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray

    def after(self, steps: int) -> np.ndarray:
        """Return the accuracy `[seeds]` after `steps` updates."""
        return self.accuracy[:, self.steps.tolist().index(steps)]


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

    **Raises:** `ValueError` for settings out of range, a rule that makes features or learns nothing
    from such batches, and targets that are not one-hot.
    """
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
    key = jax.random.key(0) if key is None else key
    check_judged(rule, batch)
    keys = jax.random.split(key, seeds)
    share, loss = _evaluate(rule, theta, family, as_units(hidden), batch, test_batch, keys, flags)
    chosen = np.asarray(points) - 1
    return Curves(np.asarray(points), share.T[:, chosen], loss.T[:, chosen])


def _evaluate(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    hidden: Units,
    batch: int,
    test_batch: int,
    keys: Key[Array, " seeds"],
    flags: Bool[np.ndarray, " steps"],
) -> tuple[Float[np.ndarray, "steps seeds"], Float[np.ndarray, "steps seeds"]]:
    # Data are drawn by a program of their own, which all rules share; so all families of the same
    # sizes share the one that learns, which takes longest to compile.
    sizes = between(hidden, family.inputs, family.outputs, family.image)
    k_tasks, k_nets, k_data = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(keys), 1, 0)
    test = _test_sets(family, k_tasks)
    check_one_hot(family.name, test[1])
    nets = _begin(rule, theta, k_nets, sizes)
    row = BYTES * len(keys) * batch * (family.inputs + family.outputs)
    pieces = math.ceil(len(flags) / max(1, AT_ONCE // row))
    # Of one length, and so one program; what is beyond the end of the last is not looked at.
    length = math.ceil(len(flags) / pieces)
    looks = np.pad(flags, (0, pieces * length - len(flags))).reshape(pieces, length)
    seen = []
    for piece, after in enumerate(looks):
        xs, ys = _batches(family, k_tasks, k_data, jnp.asarray(piece * length), length, batch)
        nets, judged = _learn(rule, theta, nets, xs, ys, test, test_batch, jnp.asarray(after))
        seen.append(jax.tree.map(np.asarray, judged))
    share, loss = (np.concatenate(arrays)[: len(flags)] for arrays in zip(*seen, strict=True))
    return share, loss


def _fresh(rule: AbstractRule, theta: PyTree, keys: Key[Array, " seeds"], sizes: Sizes) -> PyTree:
    return jax.vmap(lambda key: rule.init_network(theta, key, sizes))(keys)


_begin = quick_jit(_fresh, static_argnums=(3,))


@eqx.filter_jit
def _test_sets(family: AbstractFamily, k_tasks: Key[Array, " seeds"]) -> Batches:
    """Return the test set of each task `[seeds, n, …]`, or the one `[n, …]` of a single task."""
    if family.draw(k_tasks[0]) is family:
        return family.test_set()
    return jax.vmap(lambda k_task: family.draw(k_task).test_set())(k_tasks)


@eqx.filter_jit
def _batches(
    family: AbstractFamily,
    k_tasks: Key[Array, " seeds"],
    k_data: Key[Array, " seeds"],
    first: Int[Array, ""],
    steps: int,
    batch: int,
) -> Batches:
    """Return the batches of `steps` updates from the one of index `first`, `[steps, seeds, …]`."""

    def one(k_task: PRNGKeyArray, key: PRNGKeyArray, index: Any) -> Batches:
        x, y = family.draw(k_task).stream(jax.random.fold_in(key, index), 1, batch)
        return x[0], y[0]

    every = jax.vmap(one, in_axes=(0, 0, None))
    # One after another, which is compiled in a third of the time that all at once take.
    return jax.lax.map(lambda index: every(k_tasks, k_data, index), first + jnp.arange(steps))


@eqx.filter_jit
def _learn(
    rule: AbstractRule,
    theta: PyTree,
    nets: PyTree,
    xs: Float[Array, "steps seeds batch in"],
    ys: Float[Array, "steps seeds batch out"],
    test: Batches,
    test_batch: int,
    after: Bool[Array, " steps"],
) -> tuple[PyTree, tuple[Float[Array, "steps seeds"], Float[Array, "steps seeds"]]]:
    def judge(net: PyTree, x: Array, y: Array) -> tuple[Array, Array]:
        def piece(x: Array, y: Array) -> Float[Array, "2"]:
            prediction = rule.predict(theta, net, x)
            return len(x) * jnp.stack([accuracy(prediction, y), cross_entropy(prediction, y)])

        whole = len(x) // test_batch * test_batch
        total = jnp.zeros(2)
        if whole:
            pieces = jax.tree.map(lambda a: a[:whole].reshape(-1, test_batch, a.shape[1]), (x, y))
            total = total + jnp.sum(jax.lax.map(lambda p: piece(*p), pieces), axis=0)
        if len(x) > whole:
            total = total + piece(x[whole:], y[whole:])
        return total[0] / len(x), total[1] / len(x)

    def update(nets: PyTree, index: Any) -> PyTree:
        return jax.vmap(lambda net, x, y: rule.update(theta, net, x, y)[0])(
            nets, xs[index], ys[index]
        )

    of_each = 0 if test[0].ndim == 3 else None
    judges = jax.vmap(judge, in_axes=(0, of_each, of_each))
    return watch(update, nets, lambda nets: judges(nets, *test), after)
