import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hebbax as hx
from hebbax._optax import updates
from hebbax.losses._classification import cross_entropy
from hebbax.rules import _backprop as rules_backprop

SIZES = (3, 5, 4, 2)
RATE = 0.1
OPTAX = {
    "sgd": optax.sgd(RATE),
    "momentum": optax.sgd(RATE, momentum=0.9),
    "adam": optax.adam(RATE),
}


def batches(outputs=2):
    x = jax.random.normal(jax.random.key(2), (3, 6, 3))
    y = (jnp.arange(18).reshape(3, 6) % 3 == 0).astype(jnp.int32)
    return x, y[..., None].astype(float) if outputs == 1 else jax.nn.one_hot(y, outputs)


def forward(network, x, activation):
    for w, b in zip(network.weights[:-1], network.biases[:-1], strict=True):
        x = activation(x @ w + b[None])
    return x @ network.weights[-1] + network.biases[-1][None]


def check(rule, optimizer, activation, outputs):
    theta = rule.init(jax.random.key(0))
    net = rule.init_network(theta, jax.random.key(1), (*SIZES[:-1], outputs))
    xs, ys = batches(outputs)
    found, predictions = hx.unroll(rule, theta, net, xs, ys)
    network, state = net.network, optimizer.init(net.network)

    @jax.jit
    def step(network, state, x, y):
        def loss(network):
            said = forward(network, x, activation)
            return cross_entropy(said, y), said

        gradient, said = jax.grad(loss, has_aux=True)(network)
        change, state = updates(optimizer, gradient, state, network)
        return said, optax.apply_updates(network, change), state

    for x, y, prediction in zip(xs, ys, predictions, strict=True):
        said, network, state = step(network, state, x, y)
        np.testing.assert_allclose(prediction, said, atol=1e-5)
    moved = float(jnp.abs(network.weights[0] - net.network.weights[0]).max())
    assert moved > 1e-3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found.network, network)
    said = jax.jit(rule.predict)(theta, found, xs[0])
    np.testing.assert_allclose(said, forward(network, xs[0], activation), atol=1e-5)


@pytest.mark.parametrize("name", OPTAX)
def test_equals_optax(name):
    check(hx.Backprop(name, learning_rate=RATE), OPTAX[name], jnp.tanh, 2)


def test_one_output_and_another_activation():
    rule = hx.Backprop("sgd", learning_rate=RATE, activation="relu")
    check(rule, OPTAX["sgd"], jax.nn.relu, 1)


def test_own_optimiser():
    check(hx.Backprop(optax.rmsprop, learning_rate=RATE), optax.rmsprop(RATE), jnp.tanh, 2)


def test_theta_is_the_learning_rate(key):
    rule = hx.Backprop("sgd", learning_rate=0.25)
    theta = rule.init(key)
    assert float(theta.learning_rate) == 0.25
    net = rule.init_network(theta, key, SIZES)
    xs, ys = batches()
    still, _ = jax.jit(rule.update)(type(theta)(jnp.zeros(())), net, xs[0], ys[0])
    jax.tree.map(np.testing.assert_array_equal, still, net)


def test_without_labels_nothing_changes(key):
    rule = hx.Backprop()
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    x = batches()[0][0]
    after, prediction = jax.jit(rule.update)(theta, net, x, None)
    jax.tree.map(np.testing.assert_array_equal, after, net)
    np.testing.assert_array_equal(prediction, jax.jit(rule.predict)(theta, net, x))


def test_initial_weights(key):
    net = hx.Backprop().init_network(hx.Backprop().init(key), key, (400, 300, 10)).network
    assert net.sizes == (400, 300, 10)
    assert float(net.weights[0].std()) == pytest.approx(1 / 20, rel=0.02)
    assert all(not b.any() for b in net.biases)


def test_unknown_options():
    with pytest.raises(ValueError, match=r"optimizer must be one of .* Did you mean 'adam'\?"):
        hx.Backprop("adma")
    with pytest.raises(ValueError, match=r"activation must be one of .* Did you mean 'relu'\?"):
        hx.Backprop(activation="relo")


@pytest.mark.parametrize("sizes", [(3,), (), (3, 0, 2), (-1, 2)])
def test_bad_sizes(key, sizes):
    rule = hx.Backprop()
    with pytest.raises(ValueError, match="sizes must hold at least two positive layer sizes"):
        rule.init_network(rule.init(key), key, sizes)


@pytest.mark.parametrize("rule", [hx.Backprop(), hx.Hebbian()], ids=["backprop", "hebbian"])
def test_shapes_that_do_not_fit(unchecked, key, rule):
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    x, y = jnp.zeros((6, 3)), jnp.zeros((6, 2))
    for bad in (jnp.zeros((6, 4)), jnp.zeros(3)):
        with pytest.raises(ValueError, match=r"x must have the shape \[batch, 3\]"):
            rule.update(theta, net, bad, y)
        with pytest.raises(ValueError, match=r"x must have the shape \[batch, 3\]"):
            rule.predict(theta, net, bad)
    for bad in (jnp.zeros((6, 3)), jnp.zeros((5, 2)), jnp.zeros(6)):
        with pytest.raises(ValueError, match=r"y must be one-hot with the shape \[6, 2\]"):
            rule.update(theta, net, x, bad)


@pytest.mark.parametrize("name", OPTAX)
def test_the_meta_gradient_survives_an_input_that_is_always_zero(name):
    rule = hx.Backprop(name)
    xs, ys = batches()
    xs = xs.at[..., 2].set(0)

    @jax.jit
    def loss(theta):
        net = rule.init_network(theta, jax.random.key(1), SIZES)
        net, _ = hx.unroll(rule, theta, net, xs, ys)
        return cross_entropy(rule.predict(theta, net, xs[0]), ys[0])

    theta = rule.init(jax.random.key(0))
    found = jax.jit(jax.grad(loss))(theta).learning_rate
    step = 1e-3
    up, down = (loss(jax.tree.map(lambda a, s=s: a + s, theta)) for s in (step, -step))
    np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=0.05)


def test_adam_takes_the_steps_of_optax_bit_by_bit():
    gradient = jnp.asarray(np.random.default_rng(0).normal(size=50) * np.logspace(-9, 2, 50))
    gradient = gradient.astype(jnp.float32)
    ours, plain = rules_backprop.OPTIMIZERS["adam"](0.1), optax.adam(0.1)
    found, expected = (updates(o, gradient, o.init(gradient), None)[0] for o in (ours, plain))
    np.testing.assert_array_equal(found, expected)
