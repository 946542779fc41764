"""scikit-learn's own checks of estimators: all of them hold."""

import jax
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import hebbax as hx

# The rule for features is drawn here: a fixture comes too late for the parameters of a test.
RULE = hx.UnsupervisedRule(
    step_size=0.02, top_units=None, hidden_channels=3, top_channels=2, signal_channels=2, rank=1
)
SMALL = {"hidden": (16,), "batch_size": 32, "n_networks": 2}


def _unsupervised():
    return RULE, jax.jit(RULE.init)(jax.random.key(0))


# A parameter of any type may be stored; only `fit` refuses it.
pytestmark = pytest.mark.usefixtures("unchecked")


@parametrize_with_checks([hx.PlasticClassifier(**SMALL)])
def test_classifier(estimator, check):
    check(estimator)


@parametrize_with_checks([hx.PlasticRegressor(**SMALL)])
def test_regressor(estimator, check):
    check(estimator)


@parametrize_with_checks([hx.PlasticFeatures(_unsupervised(), hidden=(), steps=2, batch_size=8)])
def test_features(estimator, check):
    check(estimator)
