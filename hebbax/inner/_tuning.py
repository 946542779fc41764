"""Opponents at their best: the step size chosen for each number of updates by itself."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import jax.numpy as jnp
import numpy as np

from hebbax._arguments import check_arguments
from hebbax._options import POSITIVE
from hebbax.inner._evaluation import Curves, measure
from hebbax.rules import AbstractRule, Backprop, LearningRate
from hebbax.tasks import AbstractFamily

Found = TypeVar("Found")

# Four orders of magnitude each, around where the optimiser works at all.
RATES: dict[str, tuple[float, ...]] = {
    "sgd": tuple(np.logspace(-3, 1, 13).tolist()),
    "momentum": tuple(np.logspace(-3.5, 0.5, 13).tolist()),
    "adam": tuple(np.logspace(-4, 0, 13).tolist()),
    "nadamw": tuple(np.logspace(-4, 0, 13).tolist()),
    "muon": tuple(np.logspace(-4, 0, 13).tolist()),
}


def best_backprop(
    optimizer: str,
    family: AbstractFamily,
    *,
    rates: Sequence[Annotated[float, POSITIVE]] | None = None,
    activation: str = "tanh",
    normalization: Literal["batch"] | None = None,
    normalize_last: bool = False,
    **settings: Any,
) -> tuple[Curves, np.ndarray]:
    """Return the curves of backpropagation with the best learning rate for each point apart.

    The rate with the best mean score on the test set over the seeds is taken at each point, so the
    baseline is better than any single run could be: it is not weakened by tuning.

    **Arguments:**

    - `optimizer`: `sgd`, `momentum`, `adam`, `nadamw` or `muon`.
    - `rates`: learning rates to choose from; four orders of magnitude by default.
    - `activation`, `normalization`, `normalize_last`: as in `Backprop`. A rule that normalises
      has a fair opponent in one that does, see `AbstractRule.normalizes_hidden`.
    - `settings`: passed to `evaluate`. Rates at which networks overflow are no reason to warn.

    **Returns:** `Curves`, and the learning rate `[points]` chosen at each point.

    **Raises:** `ValueError` for an unknown optimiser, no rates, or what `evaluate` refuses.
    """
    check_arguments(best_backprop, locals())
    learner = Backprop(
        optimizer,
        activation=activation,
        normalization=normalization,
        normalize_last=normalize_last,
    )
    rates, curves = at_each_rate(
        learner, rates, lambda rule, theta: measure(rule, theta, family, **settings)[0]
    )
    return _best(rates, curves)


def best_untrained(
    rule: AbstractRule, family: AbstractFamily, **settings: Any
) -> tuple[Curves, np.ndarray] | None:
    """Return the curves of a rule as a hand would set it, at the best step size for each point.

    The rule's options are what they are; its θ is not meta-trained but `rule.hand_set()`. What a
    found θ is ahead of this is what meta-training added. `settings` are passed to `evaluate`.

    **Returns:** `Curves`, and the step size `[points]` chosen at each point; None for a rule that
    nobody could set by hand.
    """
    check_arguments(best_untrained, locals())
    candidates = rule.hand_set()
    if not candidates:
        return None
    curves = [measure(rule, theta, family, **settings)[0] for _, theta in candidates]
    return _best([size for size, _ in candidates], curves)


def _best(sizes: Sequence[float], curves: Sequence[Curves]) -> tuple[Curves, np.ndarray]:
    """Return at each point the curves with the best mean, and what of `sizes` they had."""
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
        np.asarray(sizes)[best],
    )


def at_each_rate(
    rule: Backprop,
    rates: Sequence[float] | None,
    run: Callable[[Backprop, LearningRate], Found],
) -> tuple[tuple[float, ...], list[Found]]:
    """Return the learning rates, `RATES` if there are none given, and what `run` found at each.

    **Raises:** `ValueError` for an empty list of rates.
    """
    rates = RATES[str(rule.optimizer)] if rates is None else tuple(rates)
    if not rates:
        raise ValueError("rates must hold at least one learning rate; got none.")
    return rates, [run(rule, LearningRate(jnp.asarray(rate, float))) for rate in rates]
