"""The parts of the unsupervised rule against loops, and what each of them promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.rules.unsupervised import _hidden as hidden
from hebbax.rules.unsupervised import _planes as planes
from hebbax.rules.unsupervised import _readouts as readouts
from hebbax.rules.unsupervised import _signals as signals
from hebbax.rules.unsupervised import _tiles as tiles
from hebbax.rules.unsupervised._convolutions import BATCH, UNITS, block, convolve
from hebbax.rules.unsupervised._parameters import Linear


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.fixture
def theta():
    rule = hx.UnsupervisedRule(
        hidden_channels=5, top_channels=4, signal_channels=3, rank=2, top_units=None
    )
    theta = jax.jit(rule.init)(jax.random.key(0))
    return jax.tree.map(lambda a: a + 0.1 * normal(1, *a.shape), theta)


def convolve_by_loops(m, w, over):
    m, w = np.asarray(m), np.asarray(w)
    out = np.zeros((*m.shape[:2], w.shape[2]))
    half = len(w) // 2
    for t in range(m.shape[0]):
        for u in range(m.shape[1]):
            for k in range(len(w)):
                a, b = (t + k - half, u) if over == BATCH else (t, u + k - half)
                if 0 <= a < m.shape[0] and 0 <= b < m.shape[1]:
                    out[t, u] += m[a, b] @ w[k]
    return out


@pytest.mark.parametrize("over", [BATCH, UNITS], ids=["batch", "units"])
@pytest.mark.parametrize("taps", [3, 5])
def test_convolutions(over, taps):
    m, w = normal(0, 6, 4, 3), normal(1, taps, 3, 2)
    np.testing.assert_allclose(convolve(m, w, over), convolve_by_loops(m, w, over), atol=1e-5)


@pytest.mark.parametrize("over", [BATCH, UNITS], ids=["batch", "units"])
@pytest.mark.parametrize("taps", [1, 3, 5])
def test_gradient_of_convolutions(over, taps):
    """A convolution is linear in both: its gradients along any step are what the step adds."""
    m, w = normal(0, 6, 4, 3), normal(1, taps, 3, 2)
    g, step_m, step_w = normal(2, 6, 4, 2), normal(3, *m.shape), normal(4, *w.shape)

    @jax.jit
    def gradients(m, w, g):
        return jax.vjp(lambda m, w: convolve(m, w, over), m, w)[1](g)

    of_m, of_w = gradients(m, w, g)
    added_m = np.sum(g * convolve_by_loops(step_m, w, over))
    added_w = np.sum(g * convolve_by_loops(m, step_w, over))
    np.testing.assert_allclose(jnp.sum(of_m * step_m), added_m, rtol=1e-4)
    np.testing.assert_allclose(jnp.sum(of_w * step_w), added_w, rtol=1e-4)


def plain_hidden_state(p, inputs):
    """`hidden_state` by single blocks, whose gradients JAX puts together."""
    m = block(inputs, p.batch_conv_1, BATCH)
    m = m + block(block(m, p.unit_conv_1a, UNITS), p.unit_conv_1b, UNITS)
    m = block(m, p.batch_conv_2, BATCH)
    return m + block(block(m, p.unit_conv_2a, UNITS), p.unit_conv_2b, UNITS)


@pytest.mark.parametrize("rows", [1, 24, 10_000], ids=["tiny tiles", "uneven tiles", "one tile"])
def test_gradient_of_hidden_states(theta, rows, monkeypatch):
    """However the arrays are cut into tiles, also where these do not come out even."""
    monkeypatch.setattr(tiles, "_ROWS", rows)
    inputs = normal(2, 8, 7, 16)
    with jax.enable_x64(True):
        p, inputs = jax.tree.map(lambda a: a.astype("float64"), (theta.h, inputs))

        def gradient(function):
            def loss(p, inputs):
                h = function(p, inputs)
                return jnp.sum(h * jnp.sin(jnp.arange(h.size).reshape(h.shape))), h

            return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(p, inputs)

        found, expected = gradient(hidden.hidden_state), gradient(plain_hidden_state)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), found, expected)
        assert np.asarray(found[0][1]).min() >= 0


@pytest.mark.parametrize(("units", "entries"), [(4, 50), (60, 3)], ids=["direct", "factored"])
def test_products_with_readouts(units, entries):
    left, right = normal(0, 2, units, entries), normal(1, 2, units, entries)
    w = normal(2, 2, units, 5)
    assert readouts._factored_is_cheaper(units, entries, 5, products=2) == (units == 60)
    for n in range(2):
        u = np.asarray(left[n] @ right[n].T) / entries
        sym = (u + u.T) / np.sqrt(2) * (1 - np.eye(units)) / np.sqrt(units)
        psd = np.asarray(left[n] @ left[n].T) / entries / np.sqrt(units)
        for found, expected in (
            (readouts.low_rank(left, right)[n], u),
            (readouts.symmetric_times(left, right, w)[n], sym @ w[n]),
            (readouts.times_symmetric(w.swapaxes(1, 2), left, right)[n], w[n].T @ sym),
            (readouts.times_square(w.swapaxes(1, 2), left)[n], w[n].T @ psd),
        ):
            np.testing.assert_allclose(found, expected, atol=2e-5)


def test_columns_and_squash():
    w = normal(0, 30, 4) * jnp.asarray([[0.5, 1.0, 30.0, 1e4]])
    np.testing.assert_allclose(jnp.sqrt(jnp.mean(planes.columns(w) ** 2, 0)), 1, rtol=1e-4)
    sizes = jnp.sqrt(jnp.mean(planes.squash(w) ** 2, 0))
    assert np.all(sizes <= 1)
    assert float(sizes[-1]) > 0.99
    np.testing.assert_allclose(planes.squash(1e-4 * w[:, :2]), 1e-4 * w[:, :2], rtol=1e-5)


def test_the_learned_part_never_shortens_the_weights():
    w = planes.columns(normal(0, 6, 4))
    across = normal(1, 6, 4)
    along = planes.orthogonal(across + 3 * w, w)
    assert float(jnp.mean((across + 3 * w) * w)) > 1
    assert abs(float(jnp.mean(along * w))) < 1e-5
    against = across - 3 * w
    np.testing.assert_array_equal(planes.orthogonal(against, w), against)


def test_the_mean_bias_is_never_pushed_up():
    h = jax.nn.relu(normal(0, 8, 6, 5))
    for sign in (1, -1):
        change = planes.change_biases(Linear(sign * jnp.ones(5), jnp.zeros(())), h)
        # It is subtracted.
        assert float(jnp.mean(change)) >= -1e-6
        assert float(jnp.mean(change**2)) <= 1
        assert float(jnp.std(change)) > 1e-2


def test_weight_statistics():
    below, above = np.asarray(normal(0, 5, 3)), np.asarray(normal(1, 3, 7))
    found = hidden.weight_statistics(jnp.asarray(below), jnp.asarray(above))
    for unit in range(3):
        expected = []
        for w in (below[:, unit], above[unit]):
            expected += [np.abs(w).mean(), np.sqrt((w**2).mean()), w.mean(), w.std()]
        np.testing.assert_allclose(found[unit], expected, rtol=1e-4)
    first = hidden.weight_statistics(None, jnp.asarray(above))
    np.testing.assert_array_equal(first, jnp.concatenate([found[:, 4:]] * 2, axis=1))
    top = hidden.weight_statistics(jnp.asarray(below), None)
    np.testing.assert_array_equal(top, jnp.concatenate([found[:, :4]] * 2, axis=1))


def test_position():
    place = np.asarray(hidden.position(9, jnp.dtype("float32")))
    np.testing.assert_allclose(place[:, 1], np.cos(4 * np.pi * np.arange(9) / 8), atol=1e-5)
    np.testing.assert_allclose(place[[0, 4, 8]], [[0, 1]] * 3, atol=1e-5)
    np.testing.assert_allclose(hidden.position(1, place.dtype), [[0, 1]])


def test_unit_inputs_ignore_scales(theta):
    """Weights of any size, activity of any size: only what the bias says is read as it stands."""
    activity = hidden.Activity(normal(0, 8, 6), normal(1, 8, 6))
    d, stats, bias = normal(2, 8, 6, 3), normal(3, 6, 8), normal(4, 6)
    found = hidden.unit_inputs(theta.h, activity, d, stats, bias)
    louder = hidden.Activity(z=300 * activity.z, x=200 * activity.x)
    same = hidden.unit_inputs(theta.h, louder, 500 * d, 40 * stats, bias)
    np.testing.assert_allclose(same, found, atol=3e-3)
    np.testing.assert_array_equal(found[:, :, 8], jnp.broadcast_to(bias[None], (8, 6)))


def test_propagated_signals_have_size_one():
    d = signals.propagate(normal(0, 8, 4, 3), normal(1, 6, 4))
    np.testing.assert_allclose(jnp.sqrt(jnp.mean(d**2, axis=2)), 1, atol=1e-3)
    expected = np.einsum("mj,bjc->bmc", normal(1, 6, 4), normal(0, 8, 4, 3))
    expected /= np.sqrt(np.mean(expected**2, axis=2, keepdims=True))
    np.testing.assert_allclose(d, expected, atol=1e-4)


def test_pooled_top_signal_follows_permutations(theta):
    """The form for any number of top units treats them all alike."""
    x = jax.nn.relu(normal(0, 8, 6))
    order = jnp.asarray([3, 1, 5, 0, 2, 4])
    d = signals.top_signal(theta.topd, x)
    assert d.shape == (8, 6, 3)
    np.testing.assert_allclose(signals.top_signal(theta.topd, x[:, order]), d[:, order], atol=1e-4)
    # Yet each unit hears of the others.
    other = signals.top_signal(theta.topd, x.at[:, 5].set(0))
    assert float(np.abs(other[:, :5] - d[:, :5]).max()) > 1e-3
