"""Opponents have what a rule has: its normalisation, today's optimisers, its hand-set start."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import close

import hebbax as hx
from hebbax.networks import between
from hebbax.rules import Backprop
from hebbax.rules.blur import Normalization, SynapseNormalization

NORMALIZED = hx.Blur(normalization=Normalization(last=False))


def batch(key, rows=12, inputs=5, classes=3):
    x = 3 + 2 * jax.random.normal(key, (rows, inputs))
    return x, jax.nn.one_hot(jnp.arange(rows) % classes, classes)


def standardized(u, axes):
    mean = jnp.mean(u, axes, keepdims=True)
    variance = jnp.mean((u - mean) ** 2, axes, keepdims=True)
    return (u - mean) / jnp.sqrt(variance + 1e-5)


@pytest.mark.parametrize("last", [False, True])
def test_it_is_batch_normalisation(key, last):
    """Weights, gains and shifts go down the gradient of the network written plainly."""
    rule = Backprop("sgd", 0.3, normalization="batch", normalize_last=last)
    theta = rule.init(key)
    net = rule.init_network(theta, key, (5, 4, 3))
    x, y = batch(key)

    def loss(parameters):
        (w1, w2), (b1, b2), gains, shifts = parameters
        h = jnp.tanh(standardized(x @ w1 + b1[None], 0) * gains[0][None] + shifts[0][None])
        logits = h @ w2 + b2[None]
        if last:
            logits = standardized(logits, 0) * gains[1][None] + shifts[1][None]
        return hx.losses.cross_entropy(logits, y)

    def parameters(net):
        network = net.network
        return (net.perceptron.weights, net.perceptron.biases, network.gains, network.shifts)

    gradient = jax.jit(jax.grad(loss))(parameters(net))
    expected = jax.tree.map(lambda p, g: p - 0.3 * g, parameters(net), gradient)
    after, _ = jax.jit(rule.update)(theta, net, x, y)
    close(parameters(after), expected, atol=1e-6)
    assert len(after.network.gains) == 1 + last


def test_channels_share_their_statistics(key):
    """In a convolution, mean and deviation are over the batch and all places."""
    rule = Backprop("sgd", normalization="batch")
    sizes = between(hx.networks.cnn(4, image=(8, 8, 1)), 64, 3, None)
    net = jax.jit(lambda: rule.init_network(rule.init(key), key, sizes))()
    assert net.network.gains[0].shape == (4,)
    x = jax.random.normal(key, (6, 64))

    @jax.jit
    def first(net):
        """Return the sums of the first layer, and what its units see of them."""
        drives, seen = [], []
        net.perceptron.signals(x, jnp.tanh, lambda _, drive: drives.append(drive) or drive)
        net.network(x, lambda u: seen.append(u) or jnp.tanh(u))
        return drives[0], seen[0]

    drive, seen = first(net)
    expected = standardized(drive.reshape(1, 4, -1), (0, 2)).reshape(drive.shape)
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_predictions_use_stored_statistics(key):
    """Each row stands alone, and the statistics are those of the changed network."""
    rule = Backprop("adam", 0.05, normalization="batch")
    theta = rule.init(key)
    net = rule.init_network(theta, key, (5, 4, 3))
    x, y = batch(key)
    net, _ = jax.jit(rule.update)(theta, net, x, y)
    predict = jax.jit(rule.predict)
    whole = predict(theta, net, x)
    np.testing.assert_allclose(predict(theta, net, x[:1]), whole[:1], rtol=1e-5)
    said, _ = jax.jit(lambda network: network(x, jnp.tanh))(net.network)
    np.testing.assert_allclose(said, whole, rtol=1e-5)
    assert float(net.updates) == 1
    assert rule.least_batch == 2


def test_normalize_last_needs_normalization():
    with pytest.raises(ValueError, match="normalize_last must be False without normalization"):
        Backprop(normalize_last=True)


@pytest.mark.parametrize("optimizer", ["nadamw", "muon"])
def test_optimizers_of_today_learn(optimizer):
    settings = {"hidden": (16,), "steps": 60, "batch": 64, "seeds": 2, "at": (60,)}
    curves, rate = hx.best_backprop(
        optimizer, hx.tasks.toy("xor"), rates=(0.01, 0.1), normalization="batch", **settings
    )
    assert curves.accuracy.mean() > 0.9
    assert rate[0] in (0.01, 0.1)


def test_rules_say_what_they_normalize():
    assert (hx.Blur(normalization=None).normalizes_hidden, hx.Vsml().normalizes_last) == (
        False,
    ) * 2
    assert (NORMALIZED.normalizes_hidden, NORMALIZED.normalizes_last) == (True, False)
    assert hx.Blur(normalization=Normalization()).normalizes_last
    backward = hx.Blur(normalization=Normalization(passes="backward"))
    assert not backward.normalizes_hidden


def test_the_best_of_what_a_hand_would_set():
    """It is at least as good as each candidate, and there is one for each η̃ and norm."""
    synapses = SynapseNormalization("activations", learn=True)
    rule = hx.Blur(synapse_normalization=synapses, normalization=None)
    candidates = rule.hand_set()
    assert len({(float(t.eta_tilde), float(t.rescale)) for _, t in candidates}) == len(candidates)
    family = hx.tasks.toy("xor")
    settings = {"hidden": (8,), "steps": 3, "batch": 32, "seeds": 2, "at": (1, 3)}
    best, sizes = hx.best_untrained(rule, family, **settings)
    for size, theta in candidates[::9]:
        one = hx.evaluate(rule, theta, family, **settings)
        assert (best.accuracy.mean(axis=0) >= one.accuracy.mean(axis=0)).all()
        assert size > 0
    assert set(sizes) <= {size for size, _ in candidates}
    assert hx.best_untrained(hx.Vsml(), family, **settings) is None
