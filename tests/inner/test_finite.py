"""Numbers that end: networks that overflow, inputs that are too large, a θ that is none."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax import plots

RULE = hx.Blur(normalization=None)
GROWING = 1e6
"""A keep gate with which synapses overflow after six updates."""


@pytest.fixture(scope="module")
def theta():
    found = RULE.init(jax.random.key(0))
    return eqx.tree_at(lambda t: t.f_tilde, found, jnp.float32(GROWING))


@pytest.fixture
def rows(key):
    y = np.arange(40) // 5 % 2
    return np.asarray(jax.random.normal(key, (40, 3))), y


@pytest.fixture
def images(rows):
    x, y = rows
    return hx.tasks.from_arrays(x, y, x, y)


def test_evaluate_says_when_and_how_many(theta, images):
    settings = {"hidden": (4,), "batch": 8, "seeds": 3}
    with pytest.warns(hx.NotFiniteWarning, match=r"3 of 3 networks end: from update \d ") as seen:
        every = hx.evaluate(RULE, theta, images, steps=9, **settings)
    assert len(seen) == 1
    first = int(str(seen[0].message).split("from update ")[1].split()[0])
    assert 4 <= first <= 8
    # Judged once in the end, the same update is found.
    with pytest.warns(hx.NotFiniteWarning, match=f"from update {first} on"):
        last = hx.evaluate(RULE, theta, images, steps=9, at=[9], **settings)
    assert not every.finite[-1]
    assert every.finite[: first - 1].all()
    np.testing.assert_array_equal(last.accuracy, 0)
    np.testing.assert_array_equal(every.accuracy[:, -1], 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hx.evaluate(RULE, theta, images, steps=first - 1, **settings)


def test_online(theta, images):
    with pytest.warns(hx.NotFiniteWarning, match="2 of 2 networks end: from update [4-8] "):
        curves = hx.evaluate_online(RULE, theta, images, steps=20, seeds=2)
    assert not curves.correct[:, 10:].any()


def test_stream(theta, rows):
    with pytest.warns(hx.NotFiniteWarning, match="2 of 2 networks end: from update [4-8] "):
        curves = hx.evaluate_stream(RULE, theta, *rows, chunk=4, seeds=2)
    assert (curves.predicted[:, -4:] == -1).all()
    assert (curves.accuracy < 1).all()
    assert np.isfinite(curves.kappa).all()
    (line, *_) = plots.stream_curves({"rule": curves}, window=8).axes[0].get_legend().get_texts()
    assert "numbers end in row" in line.get_text()


def test_large_inputs_are_said(rows):
    x, y = rows
    rule = hx.Backprop("sgd")
    settings = {"chunk": 4, "window": None, "hidden": ()}
    with pytest.warns(hx.NotFiniteWarning, match="1 of 1 networks end: from update 1 "):
        hx.evaluate_stream(rule, rule.init(jax.random.key(0)), 1e25 * x, y, **settings)


@pytest.mark.parametrize("call", ["evaluate", "online", "stream", "estimator", "meta_train"])
def test_a_theta_of_nan_is_refused(theta, images, rows, key, call):
    theta = eqx.tree_at(lambda t: t.nu, theta, theta.nu.at[0, 0].set(jnp.nan))
    calls = {
        "evaluate": lambda: hx.evaluate(RULE, theta, images),
        "online": lambda: hx.evaluate_online(RULE, theta, images),
        "stream": lambda: hx.evaluate_stream(RULE, theta, *rows),
        "estimator": lambda: hx.PlasticClassifier((RULE, theta)).fit(*rows),
        "meta_train": lambda: hx.meta_train(
            RULE, images, hx.objectives.QueryCrossEntropy(1, 2, 2), hx.methods.CMAES(),
            steps=1, key=key, theta=theta,
        ),
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"theta must be finite; theta\.nu holds NaN"):
        calls[call]()


def test_rates_that_overflow_are_no_reason_to_warn(images):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves, _ = hx.best_backprop("sgd", images, rates=(0.1, 1e30), steps=4, batch=8, seeds=2)
    assert curves.finite.all()


def test_answers_that_are_not_finite_are_wrong():
    outputs = jnp.asarray([[2.0, 1.0], [jnp.nan, 1.0], [jnp.inf, 1.0]])
    y = jnp.eye(2)[jnp.zeros(3, int)]
    assert hx.losses.correct(outputs, y).tolist() == [True, False, False]
    assert hx.losses.correct(outputs[:, :1] - 3, y[:, 1:]).tolist() == [True, False, False]


def test_curves_end_with_a_cross(images):
    loss = np.asarray([[1.0, 1.0, np.nan], [1.0, 1.0, 1.0]])
    curves = hx.Curves(np.arange(1, 4), np.asarray([[0.5, 0.6, 0.0], [0.5, 0.6, 0.7]]), loss)
    figure = plots.learning_curves({"task": {"rule": curves}})
    line, cross = sorted(figure.axes[0].lines, key=lambda line: -len(line.get_xdata()))
    assert np.isnan(line.get_ydata()[-1])
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (2, 0.6)
    assert "numbers end" in figure.legends[0].get_texts()[-1].get_text()


def test_regions_without_numbers_are_white(theta):
    figure = plots.decision_regions(
        RULE, theta, [hx.tasks.toy("xor")], hidden=(4,), updates=(0, 9), batch=8, resolution=8
    )
    fresh, late = (axes for axes in figure.axes)
    assert "% right" in fresh.get_xlabel()
    assert late.get_xlabel() == "numbers ended"
    assert (late.images[0].get_array() == 1).all()


def test_estimators_say_what_they_cannot_answer(rows):
    x, y = rows
    rule = hx.Backprop("sgd", learning_rate=10.0)
    pair = rule, rule.init(jax.random.key(0))
    classifier = hx.PlasticClassifier(pair, hidden=(), standardize=None, steps=2).fit(x, y)
    with pytest.raises(ValueError, match=r"not finite for 1 of 40 rows of X, .* row 7"):
        classifier.predict(np.where(np.arange(40)[:, None] == 7, np.sign(x) * 3e38, x))
