"""`PlasticClassifier`: what scikit-learn's checks do not ask."""

import pickle

import jax
import jax.numpy as jnp
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine, make_classification
from sklearn.exceptions import NotFittedError
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hebbax as hx
from hebbax import zoo
from hebbax.estimators import _learning
from hebbax.estimators._inputs import Moments, Scaling, measure
from hebbax.estimators._rules import FoundRule


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True)


def classifier(**options):
    settings = {"rule": "blur/mnist", "hidden": (16,), "n_networks": 2, "random_state": 0}
    return hx.PlasticClassifier(**{**settings, **options})


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


# Learning online


def test_online(wine):
    X, y = wine
    order = np.random.RandomState(0).permutation(len(X))
    X, y = X[order], y[order]
    online = classifier()
    for start in range(0, 120, 40):
        rows = slice(start, start + 40)
        online.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert online.updates_ == 3
    assert online.score(X[120:], y[120:]) > 0.8
    # Later rows weigh more where inputs are standardised.
    seen = online._scaling.moments
    weight = np.exp(-np.repeat([80, 40, 0], 40) / hx.inner.WINDOW)
    assert seen.rows == pytest.approx(weight.sum())
    mean = np.average(X[:120], axis=0, weights=weight)
    np.testing.assert_allclose(seen.mean, mean)
    np.testing.assert_allclose(
        seen.deviation, np.sqrt(np.average((X[:120] - mean) ** 2, axis=0, weights=weight))
    )


def test_online_in_even_shares(wine):
    X, y = wine
    online = classifier(batch_size=100).partial_fit(X, y, classes=np.unique(y))
    assert online.updates_ == 2
    online.partial_fit(X[:2], y[:2])
    assert online.updates_ == 3
    assert np.isfinite(online.predict_proba(X)).all()
    with pytest.raises(ValueError, match=r"X must hold at least 2 rows .*got 1 sample"):
        online.partial_fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="batch_size must be at least 2 for this Blur; got 1"):
        classifier(batch_size=1).fit(X, y)


def test_online_with_bad_classes(wine):
    X, y = wine
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier().partial_fit(X, y)
    online = classifier(batch_size=178).partial_fit(X, y, classes=[0, 1, 2, 7])
    assert online.predict_proba(X).shape == (178, 4)
    before = online.networks_
    with pytest.raises(ValueError, match=r"among classes, \[0, 1, 2, 7\]; got \[3\]"):
        online.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="must stay those of the first call"):
        online.partial_fit(X, y, classes=[0, 1, 2])
    assert online.networks_ is before


# Inputs and batches


def test_standardized():
    random = np.random.RandomState(0)
    x = random.normal(size=(30, 4)) * [1, 50, 0, 0.1] + [0, 7, 1e6, -3]
    columns = Scaling(measure(x), "columns").apply(x)
    assert columns.dtype == np.float32
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(columns.std(axis=0), [1, 1, 0, 1], atol=1e-5)
    everything = Scaling(measure(x[:, :2]), "all").apply(x[:, :2])
    np.testing.assert_allclose([everything.mean(), everything.std()], [0, 1], atol=1e-5)
    np.testing.assert_array_equal(Scaling(measure(x), None).apply(x), x.astype(np.float32))
    family = hx.tasks.from_arrays(x, np.arange(30) % 2, x, np.arange(30) % 2)
    np.testing.assert_allclose(family.test_set()[0], columns, atol=1e-5)
    with pytest.raises(ValueError, match="too large for single precision"):
        Scaling(measure(x), "columns").apply(1e39 * x)
    one = measure(x[:1])
    assert isinstance(one, Moments)
    np.testing.assert_array_equal(Scaling(one, "columns").apply(x[:1]), np.zeros((1, 4)))


def test_batches_take_each_row_equally_often():
    random = np.random.RandomState(0)
    for n, steps, size in ((10, 5, 4), (3, 2, 6), (7, 1, 7)):
        found = list(_learning.batches(n, steps, size, random))
        assert [len(rows) for rows in found] == [size] * steps
        counts = np.bincount(np.concatenate(found), minlength=n)
        assert counts.max() - counts.min() <= 1


def test_many_rows_in_pieces(wine):
    X, y = wine
    fitted = classifier(steps=2).fit(X, y)
    many = np.concatenate([X] * 3)
    np.testing.assert_array_equal(
        fitted.predict_proba(many), np.concatenate([fitted.predict_proba(X)] * 3)
    )


# Unequal classes, weights, and the order of rows


@pytest.fixture(scope="module")
def rare():
    """Return rows of which one in a hundred is of the second class."""
    settings = {"n_features": 8, "n_informative": 5, "n_redundant": 0, "n_clusters_per_class": 1}
    X, y = make_classification(
        3000, **settings, weights=[0.99], flip_y=0, class_sep=0.8, random_state=0
    )
    return X[::2], y[::2], X[1::2], y[1::2]


def test_classes_as_unequal_as_99_to_1(rare):
    """Better than the frequencies in all respects, and as sure as it is right."""
    X, y, test_X, test_y = rare
    assert 10 <= y.sum() <= 25
    fitted = hx.PlasticClassifier(random_state=0).fit(X, y)
    share, frequency = fitted.predict_proba(test_X)[:, 1], y.mean()
    always = np.full(len(test_y), frequency)
    assert fitted.score(test_X, test_y) > 1 - frequency
    assert log_loss(test_y, share) < 0.6 * log_loss(test_y, always)
    assert brier_score_loss(test_y, share) < 0.7 * brier_score_loss(test_y, always)
    assert share.mean() == pytest.approx(frequency, rel=0.5)


def test_balanced_weights_find_the_rare_class(rare):
    """Where classes overlap, what is rare is said more often; weights by label are of rows."""
    X, y = make_classification(
        800, 6, n_informative=4, weights=[0.9], class_sep=0.5, flip_y=0.1, random_state=0
    )
    plain, balanced = (
        hx.PlasticClassifier(class_weight=weight, random_state=0)
        .fit(X[::2], y[::2])
        .predict(X[1::2])
        for weight in (None, "balanced")
    )
    assert balanced.sum() > 1.5 * plain.sum()
    right = (balanced_accuracy_score(y[1::2], said) for said in (balanced, plain))
    assert next(right) > next(right)
    X, y, test_X, _ = rare
    by_label = classifier(class_weight={0: 1, 1: 99}, steps=5).fit(X, y)
    ones = classifier(steps=5).fit(X, y, sample_weight=np.where(y == 1, 99, 1))
    np.testing.assert_array_equal(by_label.predict_proba(test_X), ones.predict_proba(test_X))
    with pytest.raises(ValueError, match="class_weight must be None or a weight for each label"):
        classifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1])


def test_neither_order_nor_repetition_matter(wine):
    X, y = wine
    weight = np.random.RandomState(0).randint(0, 4, len(X))
    order = np.random.RandomState(1).permutation(len(X))
    expected = classifier().fit(X, y, sample_weight=weight).predict_proba(X)
    for rows in (np.repeat(order, weight[order]), np.repeat(np.arange(len(X)), weight)):
        np.testing.assert_array_equal(classifier().fit(X[rows], y[rows]).predict_proba(X), expected)
    same = classifier().fit(X[order], y[order], sample_weight=weight[order])
    np.testing.assert_array_equal(same.predict_proba(X), expected)


def test_columns_of_very_different_scale(wine):
    X, y = wine
    scales = 10.0 ** np.linspace(-12, 12, X.shape[1])
    scaled = classifier().fit((X * scales + scales)[::2], y[::2])
    assert scaled.score((X * scales + scales)[1::2], y[1::2]) > 0.9


def test_more_rows_more_updates():
    X, y = make_classification(3000, 10, n_informative=8, n_clusters_per_class=4, random_state=0)
    small = {"hidden": (32,), "n_networks": 2, "random_state": 0}
    few, many = (hx.PlasticClassifier(**small).fit(X[:n], y[:n]) for n in (60, 3000))
    assert few.n_updates_ < many.n_updates_


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


def test_chunks_of_any_size_need_two_programs(wine, monkeypatch):
    """A chunk is brought to one of two numbers of rows."""
    X, y = wine
    shapes = set()
    learn = _learning.learn

    def noting(*arguments):
        shapes.add(arguments[7].shape)
        return learn(*arguments)

    monkeypatch.setattr(_learning, "learn", noting)
    online = classifier()
    for size in (7, 178, 32, 2, 33, 128, 101):
        online.partial_fit(X[:size], y[:size], classes=[0, 1, 2])
    assert len(shapes) == 2


def test_weights_of_a_chunk(wine):
    """A row that weighs nothing is not there; equal weights are none."""
    X, y = wine
    one = classifier().partial_fit(X[:64], y[:64], [0, 1, 2], sample_weight=np.full(64, 3.0))
    same = classifier().partial_fit(X[:64], y[:64], [0, 1, 2])
    np.testing.assert_array_equal(one.predict_proba(X), same.predict_proba(X))
    other = classifier().partial_fit(X[:64], y[:64], [0, 1, 2], sample_weight=np.arange(64) % 2)
    assert not np.array_equal(other.predict_proba(X), same.predict_proba(X))
