import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=16)
    return jnp.asarray(rng.normal(size=(16, 4)), jnp.float32), jnp.eye(3)[y]


def test_without_replacement_it_is_adam(batch, key):
    adam, continual = hx.Backprop("adam", activation="relu"), hx.ContinualBackprop(0.0)
    theta = adam.init(key)
    one, two = (rule.init_network(theta, key, (4, 6, 5, 3)) for rule in (adam, continual))
    plain, replacing = jax.jit(adam.update), jax.jit(continual.update)
    for _ in range(5):
        one, said = plain(theta, one, *batch)
        two, other = replacing(theta, two, *batch)
        np.testing.assert_allclose(said, other, rtol=1e-5, atol=1e-6)
    for a, b in zip(*map(jax.tree.leaves, (one.network, two.network)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_least_useful_of_the_old_is_replaced(batch, key):
    rule = hx.ContinualBackprop(0.1, maturity=2.0, learning_rate=1e-3)
    theta = rule.init(key)
    net = rule.init_network(theta, key, (4, 10, 3))
    weights = net.network.weights
    # A unit that nobody hears.
    silent = weights[1].at[7].set(0.0)
    net = with_weights(net, (weights[0], silent))
    update = jax.jit(rule.update)
    for _ in range(2):
        net, _ = update(theta, net, *batch)
        assert float(net.age[0].min()) > 0
    before = net.network.weights[0]
    net, _ = update(theta, net, *batch)
    assert np.flatnonzero(np.asarray(net.age[0]) == 0).tolist() == [7]
    np.testing.assert_array_equal(net.network.weights[1][7], 0)
    np.testing.assert_array_equal(net.optimizer[0].mu.weights[0][:, 7], 0)
    others = np.arange(10) != 7
    assert float(np.abs(net.network.weights[0] - before)[:, 7].min()) > 1e-2
    assert float(np.abs(net.network.weights[0] - before)[:, others].max()) < 1e-2
    # As many in the end as the share says: a tenth of some ten units at each update.
    for _ in range(4):
        net, _ = update(theta, net, *batch)
    assert 2 <= int((net.age[0] < 5).sum()) <= 5


def with_weights(net, weights):
    return dataclasses.replace(net, network=dataclasses.replace(net.network, weights=weights))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("options", [{"replacement": 2.0}, {"decay": -1.0}, {"activation": "no"}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        hx.ContinualBackprop(**options)
