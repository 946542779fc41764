import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

import hebbax as hx
from hebbax.inner._unrolling import segment_length

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
    close(predictions[0], jax.jit(rule.predict)(theta, net, xs[0]))


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
        jax.jit(jax.value_and_grad(lambda theta, remat=remat: loss(theta, remat)))(theta)
        for remat in (False, True)
    )
    np.testing.assert_allclose(again, kept, rtol=1e-6)
    assert max(float(np.abs(g).max()) for g in jax.tree.leaves(kept_gradient)) > 0.1
    jax.tree.map(
        lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-4),
        again_gradient,
        kept_gradient,
    )


def _lifetime(steps):
    """Return a Hebbian rule's θ, network and batches."""
    rule = hx.Hebbian()
    theta = rule.init(jax.random.key(0))
    net = rule.init_network(theta, jax.random.key(1), SIZES)
    xs = jax.random.normal(jax.random.key(2), (steps, BATCH, SIZES[0]))
    ys = jax.nn.one_hot(jnp.arange(steps * BATCH).reshape(steps, BATCH) % 2, 2)
    return rule, theta, net, xs, ys


def _differentiated(remat, rule, theta, net, xs, ys, taken=None):
    """Return predictions, network and the gradients of both in θ, the network and the inputs."""

    def loss(theta, net, xs):
        after, predictions = hx.unroll(rule, theta, net, xs, ys, remat=remat, taken=taken)
        value = jnp.mean(predictions**2) + jnp.mean(rule.predict(theta, after, xs[0]) ** 2)
        return value, (after, predictions)

    gradients, (after, predictions) = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(
        theta, net, xs
    )
    return predictions, after, gradients


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 17])
def test_segments_change_nothing(steps):
    case = _lifetime(steps)
    kept = jax.jit(lambda: _differentiated(False, *case))()
    segments = jax.jit(lambda: _differentiated("segments", *case))()
    assert segments[0].shape == (steps, BATCH, 2)
    assert all(float(np.abs(g).max()) > 1e-3 for g in jax.tree.leaves(kept[2][0]))
    jax.tree.map(
        lambda p, q: np.testing.assert_allclose(p, q, rtol=2e-4, atol=1e-6), segments, kept
    )


@pytest.mark.parametrize("steps", [1, 2, 3, 6, 10, 17, 30, 100, 101, 300, 997, 1000])
def test_segments_are_as_few_and_short_as_can_be(steps):
    length = segment_length(steps)
    assert 1 <= length <= steps
    assert steps / length + length <= max(2.5 * np.sqrt(steps), 3)


def test_memory_of_segments_grows_with_the_root_of_the_steps():
    def temporaries(steps, remat):
        rule, *shapes = _lifetime(steps)

        def loss(theta, net, xs, ys):
            after, _ = hx.unroll(rule, theta, net, xs, ys, remat=remat)
            return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(after))

        compiled = jax.jit(jax.grad(loss)).lower(*jax.eval_shape(lambda: shapes)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    # Four times as much by the root; the network before every update would be 16 times.
    few, many = (temporaries(steps, "segments") for steps in (100, 1600))
    assert many / few < 6
    assert temporaries(1600, True) / temporaries(100, True) > 12
    assert temporaries(1600, True) > 4 * many


@pytest.mark.parametrize("remat", [False, True, "segments"])
def test_taken(remat):
    rule, theta, net, xs, ys = _lifetime(5)
    some = jax.jit(lambda taken: _differentiated(remat, rule, theta, net, xs, ys, taken))
    for taken in (0, 1, 3, 5):
        predictions, after, gradients = some(jnp.asarray(taken))
        np.testing.assert_array_equal(predictions[taken:], 0)
        if not taken:
            close(after, net)
            continue
        # Means are over all five, of which those not taken are zero.
        expected, last = hx.unroll(rule, theta, net, xs[:taken], ys[:taken])[::-1]
        close(predictions[:taken], expected)
        close(after, last)
        np.testing.assert_array_equal(gradients[2][max(taken, 1) :], 0)
        if taken == 5:
            whole = jax.jit(lambda: _differentiated(False, rule, theta, net, xs, ys)[2])()
            close(gradients, whole)


def test_unknown_remat(unchecked):
    with pytest.raises(ValueError, match="remat must be True, False or 'segments'; got 'some'"):
        hx.unroll(*_lifetime(2), remat="some")


def test_without_labels(case):
    rule, theta, net, xs, _ = case
    last, predictions = hx.unroll(rule, theta, net, xs, None)
    update = jax.jit(rule.update)
    for x, found in zip(xs, predictions, strict=True):
        net, expected = update(theta, net, x, None)
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


@pytest.mark.parametrize("remat", [False, True, "segments"])
def test_looks_after_every_update(remat):
    """Also at what is no array of examples; what is not taken is zero."""
    theta, (xs, ys) = {"rate": jnp.float32(0.1)}, (jnp.ones((4, 2, 3)), jnp.ones((4, 2, 2)) / 2)
    ys = ys.at[..., 0].set(1)
    look = eqx.Partial(lambda scale, net, prediction: (scale * jnp.sum(net), prediction[0]), 2.0)
    settings = {"remat": remat, "taken": jnp.asarray(3)}
    net, (sums, rows) = hx.unroll(
        tiny.Delta(), theta, jnp.zeros((3, 2)), xs, ys, look=look, **settings
    )
    same, predictions = hx.unroll(tiny.Delta(), theta, jnp.zeros((3, 2)), xs, ys, **settings)
    np.testing.assert_array_equal(net, same)
    np.testing.assert_allclose(rows, predictions[:, 0], rtol=1e-6)
    np.testing.assert_allclose(sums[2], 2 * jnp.sum(net), rtol=1e-6)
    assert sums[3] == 0
