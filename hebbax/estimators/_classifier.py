"""`PlasticClassifier`: networks that a supervised rule trains, for scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from hebbax.estimators import _learning
from hebbax.estimators._base import PlasticEstimator
from hebbax.estimators._inputs import Scaling, measure
from hebbax.networks import Given
from hebbax.rules import AbstractRule

FLOATS = (np.float64, np.float32)


class PlasticClassifier(ClassifierMixin, PlasticEstimator):
    """A classifier whose network is trained by a learned rule: no gradient, no learning rate.

    `fit` draws a fresh network and applies the rule to `steps` random batches of the training
    data. `partial_fit` learns online: one update for each `batch_size` of the rows it is given,
    in their order.

    **Arguments:**

    - `rule`: the name of a shipped rule (`hx.zoo.list()`), a rule file or run directory, or a
      pair (rule, θ). Its predictions must not depend on each other.
    - `hidden`: units of the hidden layers, or an `Architecture` that knows its image, such as
      `networks.cnn(image=(28, 28, 1))`.
    - `steps`: updates of `fit`. None for as many as the rule's lifetimes had in meta-training, as
      its card says, or 20 where there is no card. A rule need not stay stable for longer.
    - `batch_size`: examples in each update.
    - `standardize`: bring the inputs to mean 0 and deviation 1 as measured on the training data,
      which is what rules are meta-trained on: each of the `"columns"` by itself, or `"all"` by
      one mean and one deviation, which suits pixels. None for inputs that are so already.
      `partial_fit` measures all rows it has seen so far.
    - `random_state`: decides synapses and batches, hence every bit of the result.

    **Attributes** of a fitted classifier: `classes_`, `rule_`, `theta_`, `network_` (the network
    state φ), `updates_` (how many made it), `n_features_in_`, and `feature_names_in_` where the
    columns have names.

    Rules that normalise over the batch, such as `blur/mnist`, learn nothing from one row and little
    from a few at a time: give `partial_fit` some dozens.
    """

    classes_: np.ndarray

    def __init__(
        self,
        rule: str | Path | tuple[AbstractRule, PyTree] = "blur/mnist",
        *,
        hidden: Given = (64,),
        steps: int | None = None,
        batch_size: int = 128,
        standardize: str | None = "columns",
        random_state: Any = None,
    ):
        self.rule = rule
        self.hidden = hidden
        self.steps = steps
        self.batch_size = batch_size
        self.standardize = standardize
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "PlasticClassifier":
        """Train a fresh network on `X` `[n, in]` and labels `y` `[n]` of any type.

        **Raises:** `ValueError` for bad parameters or data, and if the network overflows.
        """
        random = self._begin_supervised()
        X, y = validate_data(self, X, y, dtype=[*FLOATS])
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self._check_classes()
        scaling = Scaling(measure(X), self.standardize)
        x = scaling.apply(X)
        net = self._draw(random, x.shape[1], len(self.classes_))
        batches = _learning.batches(len(x), self._steps(), self.batch_size, random)
        self._learn(net, batches, x, self._one_hot(codes), scaling)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> "PlasticClassifier":
        """Learn from some more rows; a fitted classifier goes on with its network.

        `classes` are all labels that will ever occur; the first call needs them.

        **Raises:** `ValueError` as `fit`, or if `y` holds a label that is not among the classes.
        """
        first = not hasattr(self, "network_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        random = self._begin_supervised() if first else None
        X, y = validate_data(self, X, y, reset=first, dtype=[*FLOATS])
        check_classification_targets(y)
        least = self.rule_.least_batch
        if len(X) < least:
            raise ValueError(
                f"X must hold at least {least} rows for each call of partial_fit, for this "
                f"{type(self.rule_).__name__} learns nothing from fewer; got {len(X)} sample(s)."
            )
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
        if random is not None:
            scaling = Scaling(measure(X), self.standardize)
            net, before = self._draw(random, X.shape[1], len(self.classes_)), 0
        else:
            moments, how = self._scaling
            scaling = Scaling(moments.including(X), how)
            net, before = self.network_, self.updates_
        x = scaling.apply(X)
        # Even shares rather than a last one of a few rows, from which some rules learn badly.
        parts = min(-(-len(x) // self.batch_size), len(x) // self.rule_.least_batch)
        shares = np.array_split(np.arange(len(x)), parts)
        labels = self._one_hot(np.searchsorted(self.classes_, y))
        self._learn(net, shares, x, labels, scaling, before)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, `[n, classes]`, columns as in `classes_`."""
        logits = self._logits(X)
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        return logits / logits.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each row."""
        best = self._logits(X).argmax(axis=1)
        return self.classes_[best]

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "network_")
        x = self._standardized(X)
        rule, theta, net = self.rule_, self.theta_, self.network_
        logits = _learning.in_pieces(lambda x: _learning.predict(rule, theta, net, x), x)
        return logits.astype(np.float64)

    def _begin_supervised(self) -> np.random.RandomState:
        random = self._begin()
        rule = self.rule_
        if not rule.learns_from_labels:
            raise ValueError(
                f"rule must learn from labels, which {type(rule).__name__} does not; "
                f"PlasticFeatures takes it."
            )
        if not rule.predicts_alone:
            raise ValueError(
                f"rule must predict each row by itself, which {type(rule).__name__} does not."
            )
        return random

    def _check_classes(self) -> None:
        if len(self.classes_) < 2:
            raise ValueError(
                f"at least two classes are needed; got one class only, {self.classes_.tolist()}."
            )

    def _one_hot(self, codes: np.ndarray) -> np.ndarray:
        return np.eye(len(self.classes_), dtype=np.float32)[codes]
