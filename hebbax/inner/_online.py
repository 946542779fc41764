"""`evaluate_online`: predict each example, then learn from it, as they come."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray, PyTree

from hebbax._arguments import check_arguments
from hebbax._options import POSITIVE
from hebbax._programs import keep_programs
from hebbax.inner._checks import check_judged
from hebbax.inner._finite import all_finite, warn_of_ends
from hebbax.inner._tuning import at_each_rate
from hebbax.inner._unrolling import unroll
from hebbax.losses import check_classes, check_labels, correct
from hebbax.networks import Given, Units, as_units, between
from hebbax.rules import AbstractRule, Backprop
from hebbax.tasks import AbstractFamily

AT_ONCE = 8
"""Lifetimes computed side by side: more would not fit a processor's cache."""


@dataclasses.dataclass(frozen=True)
class OnlineCurves:
    """What was correct in lifetimes of single examples, each row a lifetime of its own.

    **Fields:** `correct` `[seeds, steps]`: whether the class of each example was predicted before
    its label was seen. Outputs that are not finite are not correct.
    """

    correct: Bool[np.ndarray, "seeds steps"]

    @property
    def cumulative(self) -> Float[np.ndarray, "seeds steps"]:
        """Share that was correct of all examples so far, in [0, 1] (VSML sec. 4.3)."""
        return np.cumsum(self.correct, axis=1) / np.arange(1, self.correct.shape[1] + 1)

    def after(self, steps: int) -> Float[np.ndarray, " seeds"]:
        """Return the share that was correct of the first `steps` examples."""
        return self.correct[:, :steps].mean(axis=1)


def evaluate_online(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    *,
    hidden: Given = (),
    steps: int = 200,
    seeds: int = 8,
    key: PRNGKeyArray | None = None,
) -> OnlineCurves:
    """Let `seeds` fresh networks learn from the test set, one example after another.

    Each example is predicted before it is learnt from, so that all of them are unseen. They are
    drawn without replacement.

    **Arguments:**

    - `hidden`: units of the hidden layers, or an `Architecture`, such as `networks.cnn()`.
    - `steps`: examples in a lifetime, no more than the test set has.
    - `seeds`: lifetimes, each with its own network, order of examples and, where the family has
      several, task; they share `key` (by default that of seed 0) with every other rule, so that
      two rules meet the same examples.

    **Warns:** `NotFiniteWarning` if networks overflow, of how many and from which update on.

    **Raises:** `ValueError` for settings out of range, a rule that makes features or learns nothing
    from single examples, a θ that is not finite, and targets that are no classes or not one-hot.
    """
    found, finite = measure_online(
        rule, theta, family, hidden=hidden, steps=steps, seeds=seeds, key=key
    )
    warn_of_ends(finite)
    return found


def measure_online(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    *,
    hidden: Given = (),
    steps: int = 200,
    seeds: int = 8,
    key: PRNGKeyArray | None = None,
) -> tuple[OnlineCurves, Bool[np.ndarray, "seeds steps"]]:
    """Do what `evaluate_online` does but warn; return when networks were finite, too."""
    check_arguments(measure_online, locals())
    keep_programs()
    for name, value in {"steps": steps, "seeds": seeds}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    key = jax.random.key(0) if key is None else key
    check_classes("evaluate_online", family.goal, family.name)
    check_judged(rule, theta, 1)
    keys = jax.random.split(key, seeds)
    check_labels(f"the targets of {family.name}", _targets(family, key))
    found, finite = _lifetimes(rule, theta, family, as_units(hidden), steps, keys)
    return OnlineCurves(np.asarray(found)), np.asarray(finite)


@eqx.filter_jit
def _targets(family: AbstractFamily, key: PRNGKeyArray) -> Float[Array, "n out"]:
    return family.draw(key).test_set()[1]


@eqx.filter_jit
def _lifetimes(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    hidden: Units,
    steps: int,
    keys: Key[Array, " seeds"],
) -> tuple[Bool[Array, "seeds steps"], Bool[Array, "seeds steps"]]:
    """Return what was correct, and after which updates the numbers were finite."""

    def lifetime(key: PRNGKeyArray) -> tuple[Bool[Array, " steps"], Bool[Array, " steps"]]:
        k_task, k_net, k_order = jax.random.split(key, 3)
        x, y = family.draw(k_task).test_set()
        if steps > len(x):
            raise ValueError(
                f"steps must be at most {len(x)}, the examples of the test set of {family.name}; "
                f"got {steps}."
            )
        order = jax.random.permutation(k_order, len(x))[:steps]
        sizes = between(hidden, family.inputs, family.outputs, family.image)
        net = rule.init_network(theta, k_net, sizes)
        net, predictions = unroll(rule, theta, net, x[order][:, None], y[order][:, None])
        # A prediction is that of the network after the update before.
        finite = jnp.isfinite(predictions[1:, 0]).all(axis=1)
        return correct(predictions[:, 0], y[order]), jnp.append(finite, all_finite(net))

    return jax.lax.map(lifetime, keys, batch_size=min(AT_ONCE, len(keys)))


def best_online_backprop(
    optimizer: str,
    family: AbstractFamily,
    *,
    rates: Sequence[Annotated[float, POSITIVE]] | None = None,
    activation: str = "tanh",
    **settings: Any,
) -> tuple[Float[np.ndarray, "seeds steps"], Float[np.ndarray, " steps"]]:
    """Return the cumulative accuracy of online backpropagation at its best learning rates.

    The rate with the highest mean over the seeds is taken after each number of examples apart, so
    that the baseline is better than any single run could be.

    **Arguments:**

    - `optimizer`: `sgd`, `momentum`, `adam`, `nadamw` or `muon`.
    - `rates`: learning rates to choose from; four orders of magnitude by default.
    - `settings`: passed to `evaluate_online`.

    **Returns:** the cumulative accuracy, and the learning rate chosen.

    **Raises:** `ValueError` for an unknown optimiser, no rates, or what `evaluate_online` refuses.
    """
    check_arguments(best_online_backprop, locals())
    rates, lifetimes = at_each_rate(
        Backprop(optimizer, activation=activation),
        rates,
        lambda rule, theta: measure_online(rule, theta, family, **settings)[0].cumulative,
    )
    found = np.stack(lifetimes)
    best = np.argmax(found.mean(axis=1), axis=0)
    return found[best, :, np.arange(found.shape[2])].T, np.asarray(rates)[best]
