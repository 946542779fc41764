"""`PlasticClassifier`: what scikit-learn's checks do not ask."""

import pickle

import jax
import jax.numpy as jnp
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tiny_classifier import classifier

import hebbax as hx
from hebbax import zoo
from hebbax.estimators._rules import FoundRule


def test_learns_and_is_repeatable(wine):
    X, y = wine
    one, same = (classifier().fit(X[::2], y[::2]) for _ in range(2))
    assert one.score(X[1::2], y[1::2]) > 0.9
    np.testing.assert_array_equal(one.predict_proba(X), same.predict_proba(X))
    other = classifier(random_state=1).fit(X[::2], y[::2])
    assert np.abs(other.predict_proba(X) - one.predict_proba(X)).max() > 1e-3
    np.testing.assert_allclose(one.predict_proba(X).sum(axis=1), 1)
    assert one.updates_ == one.n_updates_ > 0
    np.testing.assert_allclose(np.exp(one.predict_log_proba(X)), one.predict_proba(X), rtol=1e-9)


def test_takes_frames_and_any_labels(wine):
    X, y = wine
    names = np.asarray(["red", "white", "rosé"])
    frame = pd.DataFrame(X, columns=[f"column {n}" for n in range(13)])
    fitted = classifier().fit(frame, pd.Series(names[y]))
    assert fitted.classes_.tolist() == ["red", "rosé", "white"]
    assert fitted.feature_names_in_.tolist() == frame.columns.tolist()
    plain = classifier().fit(X, np.asarray([0, 2, 1])[y])
    np.testing.assert_array_equal(fitted.predict(frame), fitted.classes_[plain.predict(X)])
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[frame.columns[::-1]])


def test_small_data_and_few_classes():
    X, y = load_iris(return_X_y=True)
    two = classifier().fit(X[:100:10], y[:100:10] == 1)
    assert two.n_updates_ == 50
    assert two.predict_proba(X).shape == (150, 2)
    assert two.score(X[:100], y[:100] == 1) > 0.9
    with pytest.raises(ValueError, match="one class only"):
        classifier().fit(X[:50], y[:50])


def test_scikit_learns_own_tools(wine):
    X, y = wine
    pipeline = make_pipeline(StandardScaler(), classifier(standardize=None))
    scores = cross_val_score(pipeline, X, y, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.9
    search = GridSearchCV(classifier(), {"steps": [1, 5]}, cv=2).fit(X, y)
    assert search.best_params_["steps"] in (1, 5)
    assert search.predict(X).shape == y.shape


def test_clone_and_pickle(wine, tmp_path):
    X, y = wine
    rule, theta = zoo.load("blur/mnist")
    fitted = classifier(rule=(rule, theta), steps=3).fit(X, y)
    expected = fitted.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), expected)
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    again = joblib.load(tmp_path / "fitted.joblib")
    np.testing.assert_array_equal(again.predict_proba(X), expected)
    copy = clone(fitted)
    assert not hasattr(copy, "network_")
    np.testing.assert_array_equal(copy.fit(X, y).predict_proba(X), expected)
    again.partial_fit(X, y)
    assert again.updates_ == again.n_updates_ == 3 + 2


# Rules


def test_a_rule_by_name_file_folder_and_pair(wine, tmp_path):
    X, y = wine
    rule, theta = zoo.load("blur/mnist")
    hx.save_rule(tmp_path / "rule.safetensors", rule, theta)
    by_name, *others = (
        classifier(rule=given, steps=2).fit(X, y).predict_proba(X)
        for given in (
            "blur/mnist",
            str(tmp_path / "rule.safetensors"),
            tmp_path,
            (rule, theta),
        )
    )
    for other in others:
        np.testing.assert_array_equal(other, by_name)


def test_other_families(wine, key):
    X, y = wine
    for rule, hidden in (
        (hx.Backprop("adam", learning_rate=0.05), (8,)),
        (hx.MetaRnn(inputs=13, outputs=3, state_size=4), ()),
    ):
        fitted = classifier(rule=(rule, rule.init(key)), hidden=hidden, steps=20).fit(X, y)
        assert fitted.updates_ == 20
        assert fitted.predict_proba(X).shape == (178, 3)


def test_bad_rules(wine, unsupervised, unchecked, tmp_path):
    X, y = wine
    for given, message in (
        ("blur/mnits", r"shipped rule \(.*blur/mnist.*\).*got 'blur/mnits'\. Did you mean"),
        (3, "a rule file or a pair"),
        (unsupervised, "must learn from labels"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier(rule=given).fit(X, y)
    (tmp_path / "rule.safetensors").write_bytes(b"nothing")
    with pytest.raises(hx.RuleFileError):
        classifier(rule=tmp_path).fit(X, y)


@pytest.mark.parametrize(
    ("card", "updates"),
    [
        ({}, None),
        ({"options": {"unrolls": 20}}, 20),
        ({"options": {"unrolls": [5, 50]}}, 50),
        ({"options": {"unrolls": "many"}}, None),
        ({"options": {"unrolls": 50, "final": 300}}, 300),
        ({"options": 3}, None),
    ],
)
def test_trained_updates(card, updates):
    assert FoundRule(hx.Hebbian(), None, card).trained_updates == updates


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a positive whole number; got 0"),
        ({"batch_size": 2.5}, "batch_size must be a positive whole number; got 2.5"),
        ({"n_networks": 0}, "n_networks must be a positive whole number; got 0"),
        ({"n_networks": None}, "n_networks must be a positive whole number; got None"),
        ({"batch_size": None}, "batch_size must be a positive whole number; got None"),
        ({"hidden": 64}, r"hidden must hold the units of each hidden layer.*got 64"),
        ({"hidden": (0,)}, "hidden must hold the units"),
        ({"standardize": "rows"}, "standardize must be one of columns, all; got 'rows'"),
    ],
)
def test_bad_parameters(options, message, wine, unchecked):
    with pytest.raises(ValueError, match=message):
        classifier(**options).fit(*wine)


def test_a_network_that_overflows(wine, key):
    X, y = wine
    rule = hx.Backprop("sgd", activation="relu")
    theta = jax.tree.map(lambda a: 1e30 * a, rule.init(key))
    fitted = classifier(rule=(rule, theta), hidden=(8,), steps=5)
    with pytest.raises(ValueError, match="overflowed within 5 updates"):
        fitted.fit(X, y)
    with pytest.raises(NotFittedError):
        fitted.predict(X)
    # A later failure leaves nothing of an earlier success.
    fitted.set_params(rule="blur/mnist", steps=5).fit(X, y)
    with pytest.raises(ValueError, match="overflowed"):
        fitted.set_params(rule=(rule, theta)).fit(X, y)
    with pytest.raises(NotFittedError):
        fitted.predict(X)


def test_warm_start_goes_on(wine):
    X, y = wine
    warm = classifier(rule="blur/lasting", steps=5, warm_start=True).fit(X, y)
    first = log_loss(y, warm.predict_proba(X))
    assert log_loss(y, warm.fit(X, y).predict_proba(X)) < first
    with pytest.raises(ValueError, match="must stay those of the first fit"):
        warm.fit(X[y < 2], y[y < 2])


def test_networks_are_averaged(wine):
    X, y = wine
    fitted = classifier(n_networks=3, steps=4).fit(X, y)
    assert {len(leaf) for leaf in jax.tree.leaves(fitted.networks_)} == {3}
    x = fitted._scaling.apply(X)
    rule, theta = fitted.rule_, fitted.theta_
    nets = [jax.tree.map(lambda a, i=i: a[i], fitted.networks_) for i in range(3)]
    predict = jax.jit(rule.predict)
    logits = jnp.mean(jnp.stack([predict(theta, net, jnp.asarray(x)) for net in nets]), 0)
    np.testing.assert_allclose(fitted.predict_proba(X), jax.nn.softmax(logits), atol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, fitted.network_, nets[0])
