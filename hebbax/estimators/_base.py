"""What the estimators have in common."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import jax
import numpy as np
from jaxtyping import PyTree
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from hebbax._errors import shown
from hebbax._options import AT_LEAST_1, allows
from hebbax.devices import check_not_forked
from hebbax.estimators import _learning
from hebbax.estimators._inputs import Scaling, check_standardize
from hebbax.estimators._rules import FoundRule, find_rule
from hebbax.networks import Architecture, Given, between
from hebbax.rules import AbstractRule

STEPS = 20
"""Updates where neither the caller nor the rule's card says how many."""


def _counts(value: Any) -> bool:
    return allows(Annotated[int, AT_LEAST_1], value)


def check_counts(**counts: Any) -> None:
    """Refuse what is neither a positive whole number nor None. **Raises:** `ValueError`."""
    for name, value in counts.items():
        if value is not None and not _counts(value):
            raise ValueError(f"{name} must be a positive whole number; got {shown(value)}.")


class PlasticEstimator(BaseEstimator):
    """Parameters, input checks and the inner loop; see the estimators themselves."""

    rule: Any
    hidden: Given
    steps: int | None
    batch_size: int
    standardize: str | None
    random_state: Any

    rule_: AbstractRule
    theta_: PyTree
    network_: PyTree
    updates_: int
    _found: FoundRule
    _scaling: Scaling

    def _begin(self) -> np.random.RandomState:
        """Check the parameters and find the rule; return the source of random numbers.

        From here on the estimator is not fitted, until there is a new network.
        """
        check_not_forked()
        self.__dict__.pop("network_", None)
        check_standardize(self.standardize)
        check_counts(steps=self.steps)
        if not _counts(self.batch_size):
            raise ValueError(
                f"batch_size must be a positive whole number; got {shown(self.batch_size)}."
            )
        units = self.hidden
        known = isinstance(units, Architecture) or (
            isinstance(units, Sequence) and all(map(_counts, units))
        )
        if not known:
            raise ValueError(
                f"hidden must hold the units of each hidden layer, such as (64,), or be an "
                f"Architecture, such as hebbax.networks.cnn(image=(28, 28, 1)); "
                f"got {shown(self.hidden)}."
            )
        random = check_random_state(self.random_state)
        self._found = find_rule(self.rule)
        self.rule_, self.theta_ = self._found.rule, self._found.theta
        least = self.rule_.least_batch
        if self.batch_size < least:
            raise ValueError(
                f"batch_size must be at least {least} for this {type(self.rule_).__name__}; "
                f"got {self.batch_size}."
            )
        return random

    def _steps(self) -> int:
        if self.steps is not None:
            return int(self.steps)
        return self._found.trained_updates or STEPS

    def _draw(self, random: np.random.RandomState, inputs: int, outputs: int) -> PyTree:
        """Draw a network."""
        key = jax.random.key(random.randint(2**31 - 1))
        sizes = between(self.hidden, inputs, outputs)
        return _learning.draw(self.rule_, self.theta_, key, sizes)

    def _learn(
        self,
        net: PyTree,
        batches: Iterable[np.ndarray],
        x: np.ndarray,
        y: np.ndarray | None,
        scaling: Scaling,
        updates: int = 0,
    ) -> None:
        """Apply the rule to the rows of each batch; keep what was learned if it is finite."""
        longest, before = self._found.measured_updates, updates
        for rows in batches:
            labels = None if y is None else y[rows]
            net = _learning.update(self.rule_, self.theta_, net, x[rows], labels)
            updates += 1
        _learning.check_finite(net, updates, self._found)
        if longest is not None and before <= longest < updates:
            warnings.warn(
                f"the rule was trained and measured with no more than {longest:,} updates; this "
                f"network has had {updates:,}.",
                RuntimeWarning,
                stacklevel=3,
            )
        self.network_, self.updates_, self._scaling = net, updates, scaling

    def _standardized(self, X: Any) -> np.ndarray:
        """Check and standardise what a fitted estimator is asked about."""
        check_not_forked()
        x: Any = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self._scaling.apply(x)
