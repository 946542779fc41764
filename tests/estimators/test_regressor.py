"""`PlasticRegressor`: what scikit-learn's checks do not ask."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.linear_model import LinearRegression

import hebbax as hx


@pytest.fixture(scope="module")
def friedman():
    X, y = make_friedman1(600, noise=0.5, random_state=0)
    return X[::2], y[::2], X[1::2], y[1::2]


def test_learns_what_is_not_linear(friedman):
    X, y, test_X, test_y = friedman
    fitted = hx.PlasticRegressor(random_state=0).fit(X, y)
    assert fitted.score(test_X, test_y) > LinearRegression().fit(X, y).score(test_X, test_y) + 0.05
    again = hx.PlasticRegressor(random_state=0).fit(X[::-1], y[::-1])
    np.testing.assert_array_equal(again.predict(test_X), fitted.predict(test_X))


def test_noisy_numbers_of_any_size():
    X, y = load_diabetes(return_X_y=True)
    fitted, large = (
        hx.PlasticRegressor(random_state=0).fit(X[::2], y[::2] * k + b)
        for k, b in ((1, 0), (1e6, -1e7))
    )
    assert fitted.score(X[1::2], y[1::2]) > 0.35
    assert large.score(X[1::2], y[1::2] * 1e6 - 1e7) > 0.35


def test_several_numbers(friedman):
    X, y, *_ = friedman
    settings = {"n_networks": 2, "random_state": 0}
    both = hx.PlasticRegressor(**settings).fit(X, np.stack([y, -3 * y], axis=1))
    assert both.predict(X).shape == (300, 2)
    assert both.score(X, np.stack([y, -3 * y], axis=1)) > 0.8
    one = hx.PlasticRegressor(**settings).fit(X, y)
    assert one.predict(X).shape == (300,)
    with pytest.raises(ValueError, match="y must hold 1 numbers a row, as before; got 2"):
        one.partial_fit(X, np.stack([y, y], axis=1))


def test_online(friedman):
    X, y, test_X, test_y = friedman
    online = hx.PlasticRegressor(n_networks=2, random_state=0)
    for _ in range(10):
        for start in range(0, 300, 60):
            online.partial_fit(X[start : start + 60], y[start : start + 60])
    assert online.n_updates_ == 50
    assert online.score(test_X, test_y) > 0.6


def test_weights(friedman):
    X, y, test_X, _ = friedman
    doubled = np.concatenate([X, X[:50]]), np.concatenate([y, y[:50]])
    weight = np.where(np.arange(300) < 50, 2.0, 1.0)
    settings = {"n_networks": 2, "steps": 5, "random_state": 0}
    one, same = (
        hx.PlasticRegressor(**settings).fit(*rows).predict(test_X)
        for rows in (doubled, (X, y, weight))
    )
    np.testing.assert_array_equal(one, same)


def test_any_rule_that_learns_from_labels_learns_numbers(friedman, key):
    X, y, *_ = friedman
    rule = hx.Backprop("adam", learning_rate=0.02)
    fitted = hx.PlasticRegressor((rule, rule.init(key)), n_networks=2, random_state=0).fit(X, y)
    assert fitted.score(X, y) > 0.6
