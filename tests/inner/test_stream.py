import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

import hebbax as hx
from hebbax.rules import LearningRate


@pytest.fixture
def rows(key):
    y = np.arange(50) // 5 % 3
    x = 3 * np.eye(3)[y] + 0.3 * np.asarray(jax.random.normal(key, (50, 3)))
    return x, y


def test_rows_are_predicted_before_they_are_learnt_from(rows, key):
    x, y = rows
    rule, theta = hx.Backprop("sgd"), LearningRate(jnp.asarray(0.3))
    found = hx.evaluate_stream(rule, theta, x, y, chunk=8, hidden=(4,), seeds=2, key=key)
    standard = jnp.asarray(hx.standardize_online(x))
    net = rule.init_network(theta, jax.random.split(key, 2)[1], (3, 4, 3))
    predict, update = jax.jit(rule.predict), jax.jit(rule.update)
    said = []
    for start in range(0, 50, 8):
        part = slice(start, start + 8)
        said += np.argmax(predict(theta, net, standard[part]), axis=1).tolist()
        if start + 8 <= 50:
            net, _ = update(theta, net, standard[part], jnp.eye(3)[y[part]])
    assert found.predicted[1].tolist() == said
    assert found.seconds > 0


def test_measures(rows):
    labels = np.asarray([0, 0, 0, 1, 1, 2])
    predicted = np.asarray([[0, 0, 1, 1, 0, 2], [0, 0, 0, 0, 0, 0]])
    curves = hx.StreamCurves(predicted, labels, 3, 0.0)
    np.testing.assert_allclose(curves.accuracy, [4 / 6, 1 / 2])
    for index, said in enumerate(predicted):
        np.testing.assert_allclose(
            curves.balanced_accuracy[index], balanced_accuracy_score(labels, said)
        )
        np.testing.assert_allclose(curves.kappa[index], cohen_kappa_score(labels, said), atol=1e-12)
    np.testing.assert_allclose(curves.over_time(2)[0], [1, 1, 0.5, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(curves.over_time(9)[0, -1], curves.accuracy[0])


def test_the_best_rate(rows):
    x, y = rows
    found, rate = hx.best_stream_backprop("momentum", x, y, rates=(1e-6, 0.1), hidden=(), chunk=4)
    alone = hx.evaluate_stream(
        hx.Backprop("momentum"), LearningRate(jnp.asarray(0.1)), x, y, hidden=(), chunk=4
    )
    assert rate == 0.1
    np.testing.assert_array_equal(found.predicted, alone.predicted)
    other, _ = hx.best_stream_backprop("nadamw", x, y, rates=(0.1,), hidden=(), chunk=4)
    assert not np.array_equal(found.predicted, other.predicted)


def test_standardisation_sees_the_past_only_and_forgets_it(key):
    x = np.asarray(jax.random.normal(key, (400, 2)), np.float64) * [1, 1e3] + [1e6, 0]
    found = hx.standardize_online(x, window=50.0)
    changed = x.copy()
    changed[200:] += 1
    np.testing.assert_array_equal(hx.standardize_online(changed, window=50.0)[:200], found[:200])
    weight = np.exp(-np.arange(300)[::-1] / 50)
    mean = np.average(x[:300], axis=0, weights=weight)
    deviation = np.sqrt(np.average((x[:300] - mean) ** 2, axis=0, weights=weight))
    np.testing.assert_allclose(found[300], (x[300] - mean) / deviation, rtol=1e-4)
    everything = hx.standardize_online(x, window=np.inf)
    np.testing.assert_allclose(
        everything[-1], (x[-1] - x[:-1].mean(axis=0)) / x[:-1].std(axis=0), rtol=1e-4
    )
    assert not hx.standardize_online(np.full((9, 1), 0.1)).any()
    assert not found[0].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chunk": 0}, "chunk must be at least 1; got 0"),
        ({"seeds": 0}, "seeds must be at least 1; got 0"),
        ({"classes": 2}, "classes must be from 3, for these labels, to 32767; got 2"),
        ({"window": 0.5}, "window must be a finite number of at least 1; got 0.5"),
    ],
)
def test_refused(rows, settings, message):
    with pytest.raises(ValueError, match=message):
        hx.best_stream_backprop("sgd", *rows, **settings)


def test_arrays_that_do_not_fit(rows):
    x, y = rows
    rule, theta = hx.Backprop("sgd"), LearningRate(jnp.asarray(0.3))
    with pytest.raises(ValueError, match="got 50 rows and 49 classes"):
        hx.evaluate_stream(rule, theta, x, y[1:])
    with pytest.raises(ValueError, match="must count classes from 0"):
        hx.evaluate_stream(rule, theta, x, y - 1)
    with pytest.raises(ValueError, match="must be finite"):
        hx.evaluate_stream(rule, theta, np.full_like(x, np.inf), y, window=None)
    with pytest.raises(ValueError, match="optimizer"):
        hx.best_stream_backprop("rmsprop", x, y)
    with pytest.raises(ValueError, match="at least one learning rate"):
        hx.best_stream_backprop("sgd", x, y, rates=())
