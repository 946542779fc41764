"""Baselines at their best: the learning rate chosen for each number of updates apart."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from hebbax.inner._evaluation import Curves, evaluate
from hebbax.rules import Backprop, LearningRate
from hebbax.tasks import AbstractFamily

Found = TypeVar("Found")

# Four orders of magnitude each, around where the optimiser works at all.
RATES: dict[str, tuple[float, ...]] = {
    "sgd": tuple(np.logspace(-3, 1, 13).tolist()),
    "momentum": tuple(np.logspace(-3.5, 0.5, 13).tolist()),
    "adam": tuple(np.logspace(-4, 0, 13).tolist()),
}


def best_backprop(
    optimizer: str,
    family: AbstractFamily,
    *,
    rates: Sequence[float] | None = None,
    activation: str = "tanh",
    **settings: Any,
) -> tuple[Curves, np.ndarray]:
    """Return the curves of backpropagation with the best learning rate for each point apart.

    The rate with the best mean score on the test set over the seeds is taken at each point, so the
    baseline is better than any single run could be: it is not weakened by tuning.

    **Arguments:**

    - `optimizer`: `sgd`, `momentum` or `adam`.
    - `rates`: learning rates to choose from; four orders of magnitude by default.
    - `settings`: passed to `evaluate`.

    **Returns:** `Curves`, and the learning rate `[points]` chosen at each point.

    **Raises:** `ValueError` for an unknown optimiser, no rates, or what `evaluate` refuses.
    """
    rates, curves = at_each_rate(
        optimizer, rates, activation, lambda rule, theta: evaluate(rule, theta, family, **settings)
    )
    goal = curves[0].goal
    score = np.stack([c.score for c in curves])
    mean = score.mean(axis=1)
    # A rate at which networks overflow is the worst.
    mean = np.where(np.isfinite(mean), mean, -np.inf if goal.higher_is_better else np.inf)
    best = (np.argmax if goal.higher_is_better else np.argmin)(mean, axis=0)
    points = np.arange(score.shape[-1])
    loss = np.stack([c.loss for c in curves])
    return (
        Curves(curves[0].steps, score[best, :, points].T, loss[best, :, points].T, goal),
        np.asarray(rates)[best],
    )


def at_each_rate(
    optimizer: str,
    rates: Sequence[float] | None,
    activation: str,
    run: Callable[[Backprop, LearningRate], Found],
) -> tuple[tuple[float, ...], list[Found]]:
    """Return the learning rates, `RATES` if there are none given, and what `run` found at each.

    **Raises:** `ValueError` for an unknown optimiser or an empty list of rates.
    """
    rule = Backprop(optimizer, activation=activation)
    rates = RATES[optimizer] if rates is None else tuple(rates)
    if not rates:
        raise ValueError("rates must hold at least one learning rate; got none.")
    return rates, [run(rule, LearningRate(jnp.asarray(rate, float))) for rate in rates]
