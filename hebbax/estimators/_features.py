"""`PlasticFeatures`: features that a rule makes without labels, for scikit-learn."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from hebbax.estimators import _learning
from hebbax.estimators._base import STEPS, PlasticEstimator, check_counts, unmasked
from hebbax.estimators._inputs import Scaling, measure
from hebbax.networks import Given, between
from hebbax.rules import AbstractRule

COMPONENTS = 32
"""Features where neither the caller nor the rule says how many."""
REFERENCE = 1024
"""Training rows that are measured where a rule's features depend on each other."""


@eqx.filter_jit
def _alone(rule: AbstractRule, theta: PyTree, net: PyTree, x: Any, measured: PyTree) -> jax.Array:
    return rule.predict_alone(theta, net, x, measured)


class PlasticFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, PlasticEstimator):
    """Features from a network that a learned rule trains without labels.

    `fit` draws a fresh network and applies the rule to `steps` random batches of the training
    data. `transform` returns the activity of its last layer. Where a rule normalises it over the
    batch, as `UnsupervisedRule` does, the moments are those of training rows rather than of the
    rows it is asked for, so that each row's features stand alone.

    **Arguments:**

    - `rule`: the name of a shipped rule (`hx.zoo.list()`), a rule file or run directory, or a
      pair (rule, θ). It must learn without labels.
    - `n_components`: how many features; None for as many as the rule was made for, else 32.
    - `hidden`: units of the hidden layers, or an `Architecture` that knows its image, such as
      `networks.cnn(image=(28, 28, 1))`.
    - `steps`: updates. None for as many as the rule's lifetimes had in meta-training, as its card
      says, or 20 where there is no card.
    - `standardize`: `all` brings all columns to one mean and one deviation, as suits images, whose
      border would be blown up otherwise; `columns` each to its own, as suits tables whose columns
      have units of their own; None leaves them as they are.
    - `batch_size`, `random_state`: as in `PlasticClassifier`.

    **Attributes** of a fitted transformer: `rule_`, `theta_`, `network_` (the network state φ),
    `updates_` (how many made it), `n_features_in_`, and `feature_names_in_` where the columns
    have names.
    """

    network_: PyTree
    updates_: int

    def __init__(
        self,
        rule: str | Path | tuple[AbstractRule, PyTree] = "unsupervised/small",
        *,
        n_components: int | None = None,
        hidden: Given = (64,),
        steps: int | None = None,
        batch_size: int = 128,
        standardize: str | None = "all",
        random_state: Any = None,
    ):
        self.rule = rule
        self.n_components = n_components
        self.hidden = hidden
        self.steps = steps
        self.batch_size = batch_size
        self.standardize = standardize
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "PlasticFeatures":
        """Train a fresh network on `X` `[n, in]`; `y` is not read.

        **Raises:** `ValueError` for bad parameters or data, if the rule does not learn without
        labels, and if the network overflows.
        """
        self.__dict__.pop("network_", None)
        random = self._begin(self.rule)
        check_counts(n_components=self.n_components)
        if not self.rule_.learns_without_labels:
            raise ValueError(
                f"rule must learn without labels, which {type(self.rule_).__name__} does not."
            )
        features = self._components()
        if self.n_components not in (None, features):
            raise ValueError(
                f"n_components must be {features} or None, since this rule was made for "
                f"{features} features; got {self.n_components}."
            )
        unmasked(X=X)
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        scaling = Scaling(measure(X), self.standardize)
        x = scaling.apply(X)
        key = jax.random.key(random.randint(2**31 - 1))
        sizes = between(self.hidden, x.shape[1], features)
        net = _learning.draw(self.rule_, self.theta_, key, sizes)
        steps = int(self.steps) if self.steps is not None else self._found.trained_updates or STEPS
        for rows in _learning.batches(len(x), steps, self.batch_size, random):
            net = _learning.update(self.rule_, self.theta_, net, x[rows], None)
        _learning.check_finite(net, steps, self._found)
        self.network_, self.updates_, self._scaling = net, steps, scaling
        self._warn_of_length(0, steps)
        self._measured = None
        if not self.rule_.predicts_alone:
            (rows,) = _learning.batches(len(x), 1, REFERENCE, random)
            self._measured = self.rule_.measure(self.theta_, self.network_, jnp.asarray(x[rows]))
        self._n_features_out = features
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the features `[n, features]` of the rows of `X`, float32."""
        check_is_fitted(self, "network_")
        x = self._standardized(X)
        rule, theta, net = self.rule_, self.theta_, self.network_
        measured = self._measured
        return _learning.in_pieces(lambda x: _alone(rule, theta, net, x, measured), x)

    def _components(self) -> int:
        wanted = COMPONENTS if self.n_components is None else int(self.n_components)
        return self.rule_.outputs_for(wanted)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        assert tags.transformer_tags is not None
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
