"""`PlasticClassifier` that learns chunk by chunk."""

import numpy as np
import pytest
from tiny_classifier import classifier

import hebbax as hx
from hebbax.estimators import _learning


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
