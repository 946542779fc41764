"""`PlasticRegressor`: networks that a supervised rule teaches real numbers, for scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data

from hebbax.estimators._base import FLOATS, checked_weight, unmasked
from hebbax.estimators._inputs import Moments, measure
from hebbax.estimators._rows import Rows, distinct
from hebbax.estimators._rules import REGRESSION_RULE
from hebbax.estimators._supervised import SupervisedEstimator
from hebbax.losses import Regression
from hebbax.networks import Given
from hebbax.rules import AbstractRule


class PlasticRegressor(RegressorMixin, SupervisedEstimator):
    """A regressor whose networks are trained by a learned rule: no gradient, no learning rate.

    As `PlasticClassifier`, but targets are real numbers, one or several for each row. They are
    brought to mean 0 and deviation 1, and networks are told the residual, target minus prediction.

    **Arguments:**

    - `rule`: as in `PlasticClassifier`; None for `blur/lasting`.
    - `hidden`, `steps`, `batch_size`, `n_networks`, `standardize`, `warm_start`, `random_state`: as
      in `PlasticClassifier`.

    **Attributes** of a fitted regressor: `rule_`, `theta_`, `networks_` (the states φ, side by
    side), `network_` (that of the first), `n_updates_` (how many made each; `updates_` too),
    `n_features_in_`, and `feature_names_in_` where the columns have names.
    """

    _goal = Regression()
    _scale: Moments

    def __init__(
        self,
        rule: str | Path | tuple[AbstractRule, PyTree] | None = None,
        *,
        hidden: Given = (64, 64, 64),
        steps: int | None = None,
        batch_size: int = 128,
        n_networks: int = 5,
        standardize: str | None = "columns",
        warm_start: bool = False,
        random_state: Any = None,
    ):
        self.rule = rule
        self.hidden = hidden
        self.steps = steps
        self.batch_size = batch_size
        self.n_networks = n_networks
        self.standardize = standardize
        self.warm_start = warm_start
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "PlasticRegressor":
        """Train fresh networks on `X` `[n, in]` and numbers `y` `[n]` or `[n, out]`.

        `sample_weight` `[n]` says how much each row counts, at least 0.

        **Raises:** `ValueError` for bad parameters or data, and if the networks overflow.
        """
        before = self._before()
        rule = REGRESSION_RULE if self.rule is None else self.rule
        random = self._begin_supervised(rule, before)
        X, y, weight = self._checked(X, y, sample_weight, reset=before is None)
        if not (weight > 0).any():
            raise ValueError("sample_weight must be above 0 for some row; got zeros only.")
        rows = distinct(X, y, weight)
        self._scale = measure(rows.y, rows.weight, "y")
        self._learn_table(before, rows, np.zeros(len(rows.y)), random)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "PlasticRegressor":
        """Learn from some more rows; a fitted regressor goes on with its networks.

        Inputs are standardised by statistics that forget, targets by those of all rows so far.

        **Raises:** `ValueError` as `fit`.
        """
        first = not hasattr(self, "networks_")
        random = None
        if first:
            random = self._begin_supervised(REGRESSION_RULE if self.rule is None else self.rule)
        X, y, weight = self._checked(X, y, sample_weight, reset=first)
        self._check_chunk(weight)
        self._scale = measure(y, name="y") if first else self._scale.including(y, name="y")
        self._learn_chunk(random, X, self._standard(y), weight)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the numbers expected for each row, `[n]` or `[n, out]`."""
        said = self._mean(X) * self._spread() + self._scale.mean
        return said[:, 0] if self._flat else said

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, reset: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows, targets `[n, out]` and weights."""
        unmasked(X=X, y=y, sample_weight=sample_weight)
        X, y = validate_data(
            self, X, y, dtype=[*FLOATS], multi_output=True, y_numeric=True, reset=reset
        )
        weight = checked_weight(sample_weight, X)
        y = np.asarray(y, np.float64)
        flat = y.ndim == 1
        y = y[:, None] if flat else y
        if not reset and y.shape[1] != len(self._scale.mean):
            raise ValueError(
                f"y must hold {len(self._scale.mean)} numbers a row, as before; got {y.shape[1]}."
            )
        self._flat = flat
        return X, y, weight

    def _spread(self) -> np.ndarray:
        """Return the deviation of each target; 1 where it is constant."""
        deviation = self._scale.deviation
        constant = deviation <= 1e-10 * np.abs(self._scale.mean)
        return np.where(constant, 1.0, deviation)

    def _standard(self, y: np.ndarray) -> np.ndarray:
        return ((y - self._scale.mean) / self._spread()).astype(np.float32)

    def _targets(self, rows: Rows) -> np.ndarray:
        return self._standard(rows.y)

    def _judge(self, said: np.ndarray, rows: Rows) -> tuple[float, float]:
        """Return the mean squared error; predictions stay as they are."""
        errors = np.square(said - self._standard(rows.y)).sum(axis=1)
        return float(np.average(errors, weights=rows.weight)), 1.0

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        return tags
