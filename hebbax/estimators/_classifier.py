"""`PlasticClassifier`: networks that a supervised rule trains, for scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from hebbax._errors import shown
from hebbax.estimators._base import FLOATS, checked_weight, unmasked
from hebbax.estimators._rows import Rows, distinct
from hebbax.estimators._rules import STREAM_RULE, TABLE_RULE
from hebbax.estimators._supervised import SupervisedEstimator
from hebbax.losses import CLASSES
from hebbax.networks import Given
from hebbax.rules import AbstractRule

TEMPERATURES = np.geomspace(0.25, 16.0, 49)
"""What predictions may be divided by to be as sure as they are right."""


class PlasticClassifier(ClassifierMixin, SupervisedEstimator):
    """A classifier whose networks are trained by a learned rule: no gradient, no learning rate.

    `fit` draws fresh networks and applies the rule to random batches of the training data. Each
    network is judged by a fifth of the rows, or less, that it does not learn from: they decide when
    it is enough, and how sure predictions may be: either the networks after some update, or their
    averages over the last updates. The networks' predictions are averaged.
    `partial_fit` learns online: one update for each `batch_size` of the rows it is given, in their
    order, or for fewer where the rule learns from rows in turn.

    What `fit` finds depends neither on the order of the rows nor on whether a row is there twice or
    has a weight of two.

    **Arguments:**

    - `rule`: the name of a shipped rule (`hx.zoo.list()`), a rule file or run directory, or a
      pair (rule, θ). Its predictions must not depend on each other. None for `blur/lasting` in
      `fit`, and in `partial_fit` for `blur/stream`, or `blur/mnist` in versions without that.
    - `hidden`: units of the hidden layers, or an `Architecture` that knows its image, such as
      `networks.cnn(image=(28, 28, 1))`.
    - `steps`: updates of `fit`. None for as many as held-out rows ask for, at most 300 and 30 for
      each time that all rows are seen; or 50 where there are fewer than 20 rows. With a number, no
      rows are held out and predictions stay as sure as they are.
    - `batch_size`: examples in each update.
    - `n_networks`: networks that learn side by side in one program.
    - `standardize`: bring the inputs to mean 0 and deviation 1 as measured on the training data,
      which is what rules are meta-trained on: each of the `"columns"` by itself, or `"all"` by
      one mean and one deviation, which suits pixels. None for inputs that are so already.
      `partial_fit` forgets what it measured, as `hebbax.standardize_online` does.
    - `class_weight`: what the rows of each class count, by its label, or `"balanced"`, so that all
      classes count the same in all; None for 1. `partial_fit` takes no `"balanced"`.
    - `warm_start`: whether `fit` goes on with the networks there are.
    - `random_state`: decides synapses and batches, hence every bit of the result.

    **Attributes** of a fitted classifier: `classes_`, `rule_`, `theta_`, `networks_` (the states φ,
    side by side), `network_` (that of the first), `n_updates_` (how many made each; `updates_`
    too), `temperature_` (what predictions are divided by), `n_features_in_`, and
    `feature_names_in_` where the columns have names.

    Rules that normalise over the batch, such as `blur/mnist`, learn nothing from one row and little
    from a few at a time: give `partial_fit` some dozens.
    """

    classes_: np.ndarray
    _goal = CLASSES

    def __init__(
        self,
        rule: str | Path | tuple[AbstractRule, PyTree] | None = None,
        *,
        hidden: Given = (64, 64, 64),
        steps: int | None = None,
        batch_size: int = 128,
        n_networks: int = 5,
        standardize: str | None = "columns",
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
    ):
        self.rule = rule
        self.hidden = hidden
        self.steps = steps
        self.batch_size = batch_size
        self.n_networks = n_networks
        self.standardize = standardize
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "PlasticClassifier":
        """Train fresh networks on `X` `[n, in]` and labels `y` `[n]` of any type.

        `sample_weight` `[n]` says how much each row counts, at least 0.

        **Raises:** `ValueError` for bad parameters or data, and if the networks overflow.
        """
        before = self._before()
        known: Any = self.__dict__.get("classes_", np.empty(0))
        random = self._begin_supervised(TABLE_RULE if self.rule is None else self.rule, before)
        unmasked(X=X, y=y, sample_weight=sample_weight)
        X, y = validate_data(self, X, y, dtype=[*FLOATS], reset=before is None)
        check_classification_targets(y)
        weight = checked_weight(sample_weight, X)
        self.classes_ = np.unique(y[weight > 0])
        if before is not None and not np.array_equal(self.classes_, known):
            raise ValueError(
                f"classes must stay those of the first fit, {known.tolist()}, with warm_start; "
                f"got {self.classes_.tolist()}."
            )
        X, y, weight = X[weight > 0], y[weight > 0], weight[weight > 0]
        self._check_classes()
        codes = np.searchsorted(self.classes_, y)
        rows = distinct(X, codes, weight * self._class_weights(y, weight)[codes])
        self._learn_table(before, rows, rows.y, random)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> "PlasticClassifier":
        """Learn from some more rows; a fitted classifier goes on with its networks.

        `classes` are all labels that will ever occur; the first call needs them.

        **Raises:** `ValueError` as `fit`, or if `y` holds a label that is not among the classes.
        """
        first = not hasattr(self, "networks_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight must be None or a weight for each label in partial_fit, which does "
                f"not know how frequent classes are; got {self.class_weight!r}."
            )
        random = None
        if first:
            random = self._begin_supervised(STREAM_RULE if self.rule is None else self.rule)
        unmasked(X=X, y=y, sample_weight=sample_weight)
        X, y = validate_data(self, X, y, reset=first, dtype=[*FLOATS])
        check_classification_targets(y)
        weight = checked_weight(sample_weight, X)
        if first:
            self.classes_ = np.unique(classes)
            self._check_classes()
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(
                f"classes must stay those of the first call, {self.classes_.tolist()}; "
                f"got {np.unique(classes).tolist()}."
            )
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y must hold labels among classes, {self.classes_.tolist()}; "
                f"got {unknown.tolist()[:10]}."
            )
        codes = np.searchsorted(self.classes_, y)
        weight = weight * self._class_weights(y, weight)[codes]
        self._check_chunk(weight)
        self._learn_chunk(random, X, self._one_hot(codes), weight)
        return self

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of the probability of each class, `[n, classes]`."""
        return _log_softmax(self._mean(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, `[n, classes]`, columns as in `classes_`."""
        share = np.exp(self.predict_log_proba(X))
        return share / share.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each row."""
        best = self._mean(X).argmax(axis=1)
        return self.classes_[best]

    def _judge(self, said: np.ndarray, rows: Rows) -> tuple[float, float]:
        """Return the least cross-entropy of any temperature, and that temperature.

        It is taken as if one more row, all in all, were of a class by chance: few rows that are all
        right do not make predictions sure.
        """
        chance = 1 / len(said)

        def loss(temperature: float) -> float:
            share = _log_softmax(said / temperature)
            right = share[np.arange(len(said)), rows.y]
            lost = (1 - chance) * right + chance * share.mean(axis=1)
            return -float(np.average(lost, weights=rows.weight))

        losses = [loss(temperature) for temperature in TEMPERATURES]
        best = int(np.argmin(losses))
        return losses[best], float(TEMPERATURES[best])

    def _targets(self, rows: Rows) -> np.ndarray:
        return self._one_hot(rows.y)

    def _check_classes(self) -> None:
        if len(self.classes_) < 2:
            raise ValueError(
                f"at least two classes are needed; got one class only, {self.classes_.tolist()}."
            )

    def _class_weights(self, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        if self.class_weight is None:
            return np.ones(len(self.classes_))
        weights = compute_class_weight(
            self.class_weight, classes=self.classes_, y=y, sample_weight=weight
        )
        if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
            raise ValueError(
                f"class_weight must hold finite numbers of at least 0, not all of them 0; "
                f"got {shown(self.class_weight)}."
            )
        return weights

    def _one_hot(self, codes: np.ndarray) -> np.ndarray:
        return np.eye(len(self.classes_), dtype=np.float32)[codes]


def _log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))
