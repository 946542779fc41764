"""Who a rule is compared with: learners that have all that it has, but a θ that was found."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from hebbax.inner._evaluation import Curves
from hebbax.inner._tuning import RATES, best_backprop, best_untrained
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily

NORMALIZED = "-normalized"
"""Ends the name of an optimiser on a network that normalises as the rule's do."""
UNTRAINED = "untrained"


class Opponent(NamedTuple):
    """A learner at its best.

    **Fields:**

    - `name`: that of an optimiser, perhaps with `NORMALIZED` at its end, or `UNTRAINED`.
    - `candidates`: how many step sizes it is tried with.
    - `best`: `best(family, **settings of evaluate)` returns its curves with the best step size at
      each point, and that.
    """

    name: str
    candidates: int
    best: Callable[..., tuple[Curves, np.ndarray]]


def opponents(rule: AbstractRule, optimizers: Iterable[str] = tuple(RATES)) -> tuple[Opponent, ...]:
    """Return who `rule` is to be compared with.

    The rule itself as a hand would set it, if one could; backpropagation with each optimiser; and,
    if the rule's networks normalise over the batch, the same on networks that do so too.
    """
    found = []
    candidates = len(rule.hand_set())
    if candidates:
        found.append(Opponent(UNTRAINED, candidates, partial(_untrained, rule)))
    kinds: list[tuple[str, dict[str, Any]]] = [("", {})]
    if rule.normalizes_hidden:
        same = {"normalization": "batch", "normalize_last": rule.normalizes_last}
        kinds.append((NORMALIZED, same))
    for ending, options in kinds:
        for name in optimizers:
            best = partial(best_backprop, name, **options)
            found.append(Opponent(name + ending, len(RATES[name]), best))
    return tuple(found)


def _untrained(
    rule: AbstractRule, family: AbstractFamily, **settings: Any
) -> tuple[Curves, np.ndarray]:
    found = best_untrained(rule, family, **settings)
    assert found is not None
    return found
