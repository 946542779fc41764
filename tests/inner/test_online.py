import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.rules._backprop import Backprop, LearningRate

STEPS = 30


@pytest.fixture
def family(key):
    """Four clusters that are easy to tell apart."""
    y = np.arange(80) % 4
    x = np.eye(4)[y] * 3 + 0.3 * np.asarray(jax.random.normal(key, (80, 4)))
    return hx.tasks.from_arrays(x[:40], y[:40], x[40:], y[40:])


def test_each_example_is_predicted_before_it_is_learnt_from(family, key):
    rule, theta = Backprop("sgd"), LearningRate(jnp.asarray(0.3))
    found = hx.evaluate_online(rule, theta, family, steps=STEPS, seeds=3, key=key)
    assert found.correct.shape == (3, STEPS)

    # The same by hand, for the second lifetime.
    k_task, k_net, k_order = jax.random.split(jax.random.split(key, 3)[1], 3)
    x, y = family.draw(k_task).test_set()
    order = jax.random.permutation(k_order, len(x))[:STEPS]
    assert len(set(np.asarray(order).tolist())) == STEPS
    net, correct = rule.init_network(theta, k_net, (4, 4)), []
    predict, update = jax.jit(rule.predict), jax.jit(rule.update)
    for index in order:
        logits = predict(theta, net, x[index][None])
        correct.append(bool(jnp.argmax(logits) == jnp.argmax(y[index])))
        net, _ = update(theta, net, x[index][None], y[index][None])
    assert found.correct[1].tolist() == correct

    np.testing.assert_allclose(found.cumulative[:, -1], found.correct.mean(axis=1))
    np.testing.assert_allclose(found.cumulative[:, 4], found.after(5))
    assert found.correct[:, -10:].mean() > found.correct[:, :5].mean()


def test_lifetimes_do_not_depend_on_how_many_run_side_by_side(family, key, monkeypatch):
    rule, theta = Backprop("sgd"), LearningRate(jnp.asarray(0.3))

    def run(steps):
        return hx.evaluate_online(rule, theta, family, steps=steps, seeds=5, key=key).correct

    all_at_once = run(12)
    monkeypatch.setattr("hebbax.inner._online.AT_ONCE", 2)
    np.testing.assert_array_equal(run(11), all_at_once[:, :11])


def test_one_output_is_judged_by_its_sign(key):
    family = hx.tasks.toy("and")
    rule, theta = Backprop("adam"), LearningRate(jnp.asarray(0.05))
    found = hx.evaluate_online(rule, theta, family, hidden=(8,), steps=200, seeds=2, key=key)
    assert found.correct[:, -50:].mean() > 0.85


def test_the_best_rate_is_chosen_after_each_number_of_examples(family, key):
    settings = {"steps": STEPS, "seeds": 2, "key": key}
    rates = (1e-4, 0.3, 30.0)
    best, chosen = hx.best_online_backprop("sgd", family, rates=rates, **settings)
    each = np.stack(
        [
            hx.evaluate_online(
                Backprop("sgd"), LearningRate(jnp.asarray(rate)), family, **settings
            ).cumulative
            for rate in rates
        ]
    )
    np.testing.assert_allclose(best.mean(axis=0), each.mean(axis=1).max(axis=0))
    for point in range(STEPS):
        np.testing.assert_array_equal(best[:, point], each[rates.index(chosen[point]), :, point])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 0}, "steps must be at least 1; got 0"),
        ({"seeds": 0}, "seeds must be at least 1; got 0"),
        ({"steps": 41}, "steps must be at most 40, the examples of the test set of arrays; got 41"),
    ],
)
def test_settings_out_of_range_are_refused(family, options, said):
    rule, theta = Backprop("sgd"), LearningRate(jnp.asarray(0.3))
    with pytest.raises(ValueError, match=said):
        hx.evaluate_online(rule, theta, family, **options)


def test_no_rates_are_refused(family):
    with pytest.raises(ValueError, match="at least one learning rate"):
        hx.best_online_backprop("sgd", family, rates=())
