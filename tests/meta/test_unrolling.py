import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx

STEPS, BATCH, SIZES = 4, 5, (3, 4, 2)


@pytest.fixture(
    params=[
        hx.Blur(init_scale=0.1, normalization=None),
        hx.Backprop("adam", learning_rate=0.1),
        hx.Hebbian(),
    ],
    ids=["blur", "backprop", "hebbian"],
)
def case(request, key):
    rule = request.param
    theta = rule.init(key)
    net = rule.init_network(theta, jax.random.key(1), SIZES)
    xs = jax.random.normal(jax.random.key(2), (STEPS, BATCH, SIZES[0]))
    ys = jax.nn.one_hot(jnp.arange(STEPS * BATCH).reshape(STEPS, BATCH) % 2, 2)
    return rule, theta, net, xs, ys


def close(a, b):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6), a, b)


def test_equals_a_loop(case):
    rule, theta, net, xs, ys = case
    last, predictions = hx.unroll(rule, theta, net, xs, ys)
    update, expected = jax.jit(rule.update), []
    for x, y in zip(xs, ys, strict=True):
        net, prediction = update(theta, net, x, y)
        expected.append(prediction)
    assert predictions.shape == (STEPS, BATCH, 2)
    close(predictions, jnp.stack(expected))
    close(last, net)


def test_predictions_come_before_the_update(case):
    rule, theta, net, xs, ys = case
    _, predictions = hx.unroll(rule, theta, net, xs[:1], ys[:1])
    close(predictions[0], rule.predict(theta, net, xs[0]))


def test_remat_changes_nothing():
    rule = hx.Hebbian()
    theta = rule.init(jax.random.key(0))
    net = rule.init_network(theta, jax.random.key(1), SIZES)
    xs = jax.random.normal(jax.random.key(2), (STEPS, BATCH, SIZES[0]))
    ys = jax.nn.one_hot(jnp.arange(STEPS * BATCH).reshape(STEPS, BATCH) % 2, 2)

    def loss(theta, remat):
        net_after, predictions = hx.unroll(rule, theta, net, xs, ys, remat=remat)
        return jnp.sum(predictions**2) + jnp.sum(rule.predict(theta, net_after, xs[0]) ** 2)

    (kept, kept_gradient), (again, again_gradient) = (
        jax.value_and_grad(loss)(theta, remat) for remat in (False, True)
    )
    np.testing.assert_allclose(again, kept, rtol=1e-6)
    assert max(float(jnp.abs(g).max()) for g in jax.tree.leaves(kept_gradient)) > 0.1
    jax.tree.map(
        lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-4),
        again_gradient,
        kept_gradient,
    )


def test_without_labels(case):
    rule, theta, net, xs, _ = case
    last, predictions = hx.unroll(rule, theta, net, xs, None)
    for x, found in zip(xs, predictions, strict=True):
        net, expected = rule.update(theta, net, x, None)
        close(found, expected)
    close(last, net)


@pytest.mark.parametrize("shape", [(5, 3), (0, 5, 3), (2, 2, 5, 3)])
def test_bad_xs(unchecked, case, shape):
    rule, theta, net, _, ys = case
    with pytest.raises(ValueError, match=r"xs must have the shape \[steps, batch, in\]"):
        hx.unroll(rule, theta, net, jnp.zeros(shape), ys)


@pytest.mark.parametrize("shape", [(5, 2), (3, 5, 2), (4, 4, 2)])
def test_bad_ys(unchecked, case, shape):
    rule, theta, net, xs, _ = case
    with pytest.raises(ValueError, match=r"ys must have the shape \[4, 5, out\]"):
        hx.unroll(rule, theta, net, xs, jnp.zeros(shape))
