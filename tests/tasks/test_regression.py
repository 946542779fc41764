"""Families whose targets are real numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equinox import filter_jit

import hebbax as hx

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(60, 3)) * (1.0, 100.0, 0.01), RANDOM.normal(size=60) * 7 + 3
BACKPROP = hx.Backprop("adam", learning_rate=0.02)
RATE = BACKPROP.init(jax.random.key(0))


def test_sinusoids_are_those_of_the_paper():
    family = hx.tasks.sinusoids()
    waves = jax.vmap(lambda k: family.draw(k).wave)(jax.random.split(jax.random.key(0), 500))
    amplitude, phase = np.asarray(waves).T
    assert 0.1 <= amplitude.min() < 0.2
    assert 4.9 < amplitude.max() <= 5.0
    assert 0.0 <= phase.min() < 0.1
    assert 3.0 < phase.max() <= np.pi
    task = filter_jit(family.draw)(jax.random.key(1))
    x, y = filter_jit(task.stream)(jax.random.key(2), 3, 50)
    assert x.shape == y.shape == (3, 50, 1)
    assert -5 <= float(x.min()) < -4.5
    assert 4.5 < float(x.max()) <= 5
    np.testing.assert_allclose(y, task.wave[0] * jnp.sin(x - task.wave[1]), rtol=1e-5)
    assert task.draw(jax.random.key(3)) is task
    with pytest.raises(ValueError, match=r"fix one with family\.draw"):
        family.test_set()


def test_arrays_are_standardised_and_split():
    family = hx.tasks.regression(X, Y)
    assert (family.inputs, family.outputs) == (3, 1)
    assert len(family.test_x) == 10
    assert len(family.train_x) == 50
    assert family.support == 42
    np.testing.assert_allclose(family.train_x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(family.train_y.std(axis=0), 1, rtol=1e-4)
    x, y = filter_jit(family.query)(jax.random.key(0), 500)
    support = {tuple(row) for row in np.asarray(family.train_x[:42])}
    assert not support & {tuple(row) for row in np.asarray(x)}
    assert y.shape == (500, 1)


def test_arrays_as_they_are_and_a_test_set():
    both = np.stack([Y, -Y], axis=1)
    family = hx.tasks.regression(X[:40], both[:40], X[40:], both[40:], standardize=False)
    x, y = family.test_set()
    np.testing.assert_array_equal(x, X[40:].astype(np.float32))
    np.testing.assert_array_equal(y, both[40:].astype(np.float32))
    assert family.outputs == 2


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        ((X, Y[:-1]), {}, "y must have a row for each row of x; got 60 rows and 59 targets"),
        ((X, Y, X), {}, "test_x and test_y must be given both"),
        ((X, Y, X[:, :2], Y), {}, "test_x must have the columns of x, 3; got 2"),
        ((X[:1], Y[:1]), {}, "at least two rows to learn from"),
        ((X, np.full(60, np.nan)), {}, "y must be finite"),
        ((X, Y), {"feedback": "both"}, "feedback must be 'residual' or 'target'; got 'both'"),
    ],
)
def test_bad_arrays_are_refused(arguments, settings, words):
    with pytest.raises(ValueError, match=words):
        hx.tasks.regression(*arguments, **settings)


def test_curves_carry_the_metric():
    curves = hx.evaluate(
        BACKPROP, RATE, hx.tasks.sinusoids(), hidden=(20,), steps=60, batch=32, seeds=2, at=(1, 60)
    )
    assert curves.metric == "squared_error"
    assert not curves.higher_is_better
    np.testing.assert_array_equal(curves.score, curves.loss)
    assert (curves.after(60) < curves.after(1)).all()
    with pytest.raises(ValueError, match="no accuracy but a score, the squared_error"):
        _ = curves.accuracy
    figure = hx.plots.learning_curves({"waves": {"Adam": curves}})
    assert figure.axes[0].get_ylabel() == "test squared error"


def test_the_best_rate_is_that_of_the_least_error():
    settings = {"hidden": (), "steps": 5, "batch": 8, "seeds": 2}
    family = hx.tasks.regression(X, X[:, 0] * 2)
    rates = (1e-3, 0.1, 3.0)
    best, chosen = hx.best_backprop("sgd", family, rates=rates, at=(5,), **settings)
    assert chosen.tolist() == [0.1]
    assert best.score.mean() < 1
    assert best.metric == "squared_error"


def test_wrapped_families_keep_their_goal():
    family = hx.tasks.regression(X, Y)
    assert hx.tasks.noisy(family, pixels=0.1).goal == family.goal
    assert hx.tasks.projected(family).goal == family.goal
    assert hx.tasks.regression(X, Y, feedback="target").goal != family.goal
