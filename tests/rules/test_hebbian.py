import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx

SIZES = (3, 4, 2)


@pytest.fixture(params=[False, True], ids=["plain", "oja"])
def case(request, key):
    rule = hx.Hebbian(oja=request.param, learning_rate=0.2)
    theta = rule.init(key)
    net = rule.init_network(theta, jax.random.key(1), SIZES)
    x = jax.random.normal(jax.random.key(2), (5, 3))
    return rule, theta, net, x, jax.nn.one_hot(jnp.arange(5) % 2, 2)


def by_loops(rule, net, x, y):
    """Return weights and biases after one update, synapse by synapse."""
    activity = [np.asarray(x, np.float64)]
    weights = [np.array(w, np.float64) for w in net.weights]
    biases = [np.array(b, np.float64) for b in net.biases]
    for index, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = activity[-1] @ w + b
        activity.append(z if index == len(weights) - 1 else np.tanh(z))
    if y is not None:
        activity[-1] = np.where(np.asarray(y) == 1, 1.0, -1.0)
    gamma, n = 0.2, len(x)
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        old_w, old_b = w.copy(), b.copy()
        for example in range(n):
            for j in range(w.shape[1]):
                post = activity[layer + 1][example, j]
                for i in range(w.shape[0]):
                    decay = post**2 * old_w[i, j] if rule.oja else 0
                    w[i, j] += gamma / n * (post * activity[layer][example, i] - decay)
                b[j] += gamma / n * (post - (post**2 * old_b[j] if rule.oja else 0))
    return weights, biases


@pytest.mark.parametrize("labels", [True, False])
def test_equals_loops_over_synapses(case, labels):
    rule, theta, net, x, y = case
    y = y if labels else None
    after, prediction = jax.jit(rule.update)(theta, net, x, y)
    weights, biases = by_loops(rule, net, x, y)
    for found, expected in zip((*after.weights, *after.biases), (*weights, *biases), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(prediction, jax.jit(rule.predict)(theta, net, x), atol=1e-6)


def test_the_label_clamps_the_top(case):
    """The last layer's change does not depend on what it said, only on the label."""
    rule, theta, net, x, y = case
    rule = hx.Hebbian(oja=False, learning_rate=0.2)
    louder = type(net)((net.weights[0], 3 * net.weights[1]), net.biases)
    update = jax.jit(rule.update)
    changes = [update(theta, n, x, y)[0].weights[1] - n.weights[1] for n in (net, louder)]
    np.testing.assert_allclose(*changes, atol=1e-5)
    flipped = update(theta, net, x, 1 - y)[0].weights[1] - net.weights[1]
    np.testing.assert_allclose(flipped, -changes[0], atol=1e-5)


def test_oja_stays_bounded_and_finds_the_principal_component(key):
    """One linear unit without labels: Oja's rule goes to the first principal axis, norm 1."""
    axis = np.array([0.8, 0.6])
    x = jax.random.normal(key, (400, 2)) * jnp.array([[2.0, 0.3]])
    x = (x - x.mean(axis=0)[None]) @ jnp.array([[0.8, 0.6], [-0.6, 0.8]])
    norms = {}
    for oja in (True, False):
        rule = hx.Hebbian(oja=oja, learning_rate=0.1)
        theta = rule.init(key)
        net = rule.init_network(theta, jax.random.key(1), (2, 1))
        net, _ = hx.unroll(rule, theta, net, jnp.broadcast_to(x, (100, *x.shape)), None)
        norms[oja] = float(jnp.linalg.norm(net.weights[0]))
        if oja:
            assert abs(float(net.weights[0][:, 0] @ axis)) == pytest.approx(1, abs=0.02)
    assert norms[True] == pytest.approx(1, abs=0.02)
    assert norms[False] > 100


def test_unknown_activation():
    with pytest.raises(ValueError, match="activation must be one of"):
        hx.Hebbian(activation="tanhh")
