"""What rows mean to `PlasticClassifier`: scales, batches, weights and unequal classes."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, log_loss
from tiny_classifier import classifier

import hebbax as hx
from hebbax.estimators import _learning
from hebbax.estimators._inputs import Moments, Scaling, measure

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
