"""What the estimators have in common."""

import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from jaxtyping import PyTree
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, validate_data

from hebbax._errors import shown
from hebbax._options import AT_LEAST_1, allows
from hebbax._programs import keep_programs
from hebbax.data.rows import check_unmasked
from hebbax.devices import check_not_forked
from hebbax.estimators._inputs import Scaling, check_standardize
from hebbax.estimators._rules import FoundRule, find_rule
from hebbax.networks import Architecture, Given
from hebbax.rules import AbstractRule

STEPS = 20
"""Updates where neither the caller nor the rule's card says how many."""
FLOATS = (np.float64, np.float32)


def _counts(value: Any) -> bool:
    return allows(Annotated[int, AT_LEAST_1], value)


def unmasked(**arrays: Any) -> None:
    """Refuse arrays with masked values, whose masks scikit-learn would lose.

    **Raises:** `ValueError` naming the array.
    """
    for name, array in arrays.items():
        if np.ma.isMaskedArray(array):
            check_unmasked(name, array)


def checked_weight(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """Return the weights of rows, 1 where none are given.

    **Raises:** `ValueError` if they are not a number of at least 0 for each row, or too large to be
    summed up.
    """
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    with np.errstate(over="ignore"):
        if not np.isfinite(weight.sum()):
            raise ValueError(
                f"sample_weight must have a finite sum; got numbers up to {weight.max():.3g}."
            )
    return weight


def check_counts(**counts: Any) -> None:
    """Refuse what is neither a positive whole number nor None. **Raises:** `ValueError`."""
    for name, value in counts.items():
        if value is not None and not _counts(value):
            raise ValueError(f"{name} must be a positive whole number; got {shown(value)}.")


class PlasticEstimator(BaseEstimator):
    """Parameters and their checks; see the estimators themselves."""

    rule: Any
    hidden: Given
    steps: int | None
    batch_size: int
    standardize: str | None
    random_state: Any

    rule_: AbstractRule
    theta_: PyTree
    _found: FoundRule
    _scaling: Scaling

    def _begin(self, rule: Any) -> np.random.RandomState:
        """Check the parameters and find the rule; return the source of random numbers."""
        check_not_forked()
        keep_programs()
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
        self._found = find_rule(rule)
        self.rule_, self.theta_ = self._found.rule, self._found.theta
        least = self.rule_.least_batch
        if self.batch_size < least:
            raise ValueError(
                f"batch_size must be at least {least} for this {type(self.rule_).__name__}; "
                f"got {self.batch_size}."
            )
        return random

    def _warn_of_length(self, before: int, updates: int) -> None:
        """Warn if a network has by now had more updates than its rule's card tells of."""
        longest = self._found.measured_updates
        if longest is not None and before <= longest < updates:
            warnings.warn(
                f"the rule was trained and measured with no more than {longest:,} updates; this "
                f"network has had {updates:,}.",
                RuntimeWarning,
                stacklevel=4,
            )

    def _standardized(self, X: Any) -> np.ndarray:
        """Check and standardise what a fitted estimator is asked about."""
        check_not_forked()
        unmasked(X=X)
        x: Any = validate_data(self, X, reset=False, dtype=[*FLOATS])
        return self._scaling.apply(x)
