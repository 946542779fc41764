"""`PlasticFeatures`: what scikit-learn's checks do not ask."""

import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import hebbax as hx


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def features(rule, **options):
    return hx.PlasticFeatures(
        rule, **{"hidden": (), "steps": 2, "batch_size": 16, "random_state": 0, **options}
    )


def test_features(unsupervised, iris):
    X, _ = iris
    fitted = features(unsupervised, n_components=5).fit(X)
    found = fitted.transform(X)
    assert found.shape == (150, 5)
    assert found.dtype == np.float32
    assert fitted.updates_ == 2
    assert fitted.get_feature_names_out().tolist() == [f"plasticfeatures{n}" for n in range(5)]
    # Each row stands alone.
    np.testing.assert_array_equal(fitted.transform(X[3:4]), found[3:4])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), found)
    np.testing.assert_array_equal(features(unsupervised, n_components=5).fit_transform(X), found)
    assert features(unsupervised).fit(X).transform(X).shape == (150, 32)


def test_in_a_pipeline(unsupervised, iris):
    X, y = iris
    step = features(unsupervised, n_components=5).set_output(transform="pandas")
    pipeline = make_pipeline(step, LogisticRegression(max_iter=1000)).fit(X, y)
    assert pipeline.score(X, y) > 0.6
    assert step.fit_transform(X).columns[0] == "plasticfeatures0"


@pytest.mark.slow
def test_a_rule_made_for_a_number_of_features(iris, key):
    rule = hx.UnsupervisedRule(
        top_units=3, hidden_channels=2, top_channels=2, signal_channels=2, rank=1, step_size=0.1
    )
    pair = rule, jax.jit(rule.init)(key)
    assert features(pair).fit(iris[0]).transform(iris[0]).shape == (150, 3)
    with pytest.raises(ValueError, match=r"n_components must be 3 or None.*got 4"):
        features(pair, n_components=4).fit(iris[0])


def test_another_rule_without_labels(iris, key):
    rule = hx.Hebbian()
    fitted = features((rule, rule.init(key)), n_components=2).fit(iris[0])
    assert fitted.transform(iris[0]).shape == (150, 2)


def test_bad_input(unsupervised, iris, key):
    X, _ = iris
    with pytest.raises(ValueError, match=r"shipped rule \(.*blur/mnist.*\).*'unsupervised/none'"):
        features("unsupervised/none").fit(X)
    with pytest.raises(ValueError, match="must learn without labels, which Blur does not"):
        features("blur/mnist").fit(X)
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        features(unsupervised, batch_size=1).fit(X)
    with pytest.raises(ValueError, match="n_components must be a positive whole number; got 0"):
        features(unsupervised, n_components=0).fit(X)
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        features(unsupervised).fit(X[:1])


def test_scikit_learn_is_not_imported_before_it_is_needed():
    assert {"PlasticClassifier", "PlasticFeatures", "PlasticRegressor"} <= set(dir(hx))
    code = "import hebbax, sys; sys.exit('sklearn.base' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="attribute PlasticCluster"):
        hx.PlasticCluster  # noqa: B018
