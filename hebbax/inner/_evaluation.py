"""`evaluate`: train networks with a rule and watch them on a whole test set."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray, PyTree

from hebbax.inner._checks import check_judged
from hebbax.inner._watching import watch
from hebbax.losses import CLASSES, AbstractGoal, targets
from hebbax.networks import Given, Units, as_units, between
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily


@dataclasses.dataclass(frozen=True)
class Curves:
    """Learning curves, each row a network of its own.

    **Fields:**

    - `steps` `[points]`: after how many updates; 1, 2, … unless `at` said otherwise.
    - `score` `[seeds, points]`: the metric of the family on the test set; of classes the accuracy,
      the share that is correct, in [0, 1].
    - `loss` `[seeds, points]`: its loss on the test set; of classes the cross-entropy, in nats.
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
    from such batches, and labels that are not one-hot.
    """
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
    check_judged(rule, family, batch, key)
    keys = jax.random.split(key, seeds)
    score, loss = _evaluate(
        rule, theta, family, as_units(hidden), batch, test_batch, keys, jnp.asarray(flags)
    )
    chosen = np.asarray(points) - 1
    score, loss = (np.asarray(a).T[:, chosen] for a in (score, loss))
    return Curves(np.asarray(points), score, loss, family.goal)


@eqx.filter_jit
def _evaluate(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    hidden: Units,
    batch: int,
    test_batch: int,
    keys: Key[Array, " seeds"],
    flags: Bool[Array, " steps"],
) -> tuple[Float[Array, "steps seeds"], Float[Array, "steps seeds"]]:
    goal = family.goal
    sizes = between(hidden, family.inputs, family.outputs, family.image)

    def begin(key: PRNGKeyArray) -> tuple[Any, PRNGKeyArray, PRNGKeyArray]:
        k_task, k_net, k_data = jax.random.split(key, 3)
        return rule.init_network(theta, k_net, sizes), k_task, k_data

    def learn(net: Any, k_task: PRNGKeyArray, key: PRNGKeyArray) -> Any:
        x, y = family.draw(k_task).stream(key, 1, batch)
        y = jax.tree.map(lambda a: a[0], y)
        return rule.update(theta, net, x[0], targets(y, goal))[0]

    def judge(net: Any, k_task: PRNGKeyArray) -> tuple[Array, Array]:
        x, y = family.draw(k_task).test_set()

        def piece(x: Array, y: PyTree) -> Float[Array, "2"]:
            prediction = rule.predict(theta, net, x)
            return len(x) * jnp.stack([goal.score(prediction, y), goal.loss(prediction, y)])

        whole = len(x) // test_batch * test_batch
        total = jnp.zeros(2)
        if whole:
            shape = whole // test_batch, test_batch
            pieces = jax.tree.map(lambda a: a[:whole].reshape(*shape, *a.shape[1:]), (x, y))
            total = total + jnp.sum(jax.lax.map(lambda p: piece(*p), pieces), axis=0)
        if len(x) > whole:
            total = total + piece(*jax.tree.map(lambda a: a[whole:], (x, y)))
        return total[0] / len(x), total[1] / len(x)

    nets, k_tasks, k_data = jax.vmap(begin)(keys)

    def update(nets: Any, index: Any) -> Any:
        data = jax.vmap(lambda k: jax.random.fold_in(k, index))(k_data)
        return jax.vmap(learn)(nets, k_tasks, data)

    return watch(update, nets, lambda nets: jax.vmap(judge)(nets, k_tasks), flags)[1]
