"""Backpropagation as a special case of Blur (BLUR eq. 4), against `jax.grad`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.rules import activations

RATE = 0.3


def backprop_rule(activation, **options):
    return hx.Blur(
        states=2,
        forward_activation=f"{activation}_and_derivative",
        backward_activation="none",
        last_activation="none",
        backward_update="multiplicative_second_state",
        symmetric=True,
        single_state=True,
        normalization=None,
        synapse_normalization=None,
        fan_in=True,
        genome_init="backprop",
        synapse_update=RATE,
        **options,
    )


def loss(layers, x, y, activation, feedback):
    """The same perceptron's loss, summed over the batch."""
    a = x
    for index, (w, b) in enumerate(layers):
        a = a @ w + b[None]
        if index < len(layers) - 1:
            a = activations.plain(activation)(a)
    if feedback == "error":
        return -jnp.sum(y * jax.nn.log_softmax(a))
    if feedback == "residual":
        return jnp.sum((a - (2 * y - 1)) ** 2) / 2
    return -jnp.sum((2 * y - 1) * a)


FEEDBACKS = (("error", "mean"), ("residual", "sum"), ("target", "mean"))
ACTIVATIONS = ("tanh", "sigmoid", "relu", "softplus")
HIDDEN = ((), (6,), (6, 5, 4))


# Each activation in networks of each depth; feedback, which the top alone is given, takes turns.
@pytest.mark.parametrize(
    ("feedback", "reduction", "activation", "hidden"),
    [
        (*FEEDBACKS[(i + j) % 3], activation, hidden)
        for i, activation in enumerate(ACTIVATIONS)
        for j, hidden in enumerate(HIDDEN)
    ],
)
def test_equals_gradient_descent(key, hidden, activation, reduction, feedback):
    rule = backprop_rule(activation, reduction=reduction, feedback=feedback)
    theta = rule.init(key)
    net = rule.init_network(theta, key, (5, *hidden, 3))
    x = jax.random.normal(jax.random.key(1), (8, 5))
    y = jax.nn.one_hot(jnp.arange(8) % 3, 3)
    layers = [(s.weight[0].T, s.bias[0]) for s in net.layers]
    scale = RATE if reduction == "sum" else RATE / len(x)
    gradient = jax.jit(jax.grad(loss), static_argnums=(3, 4))(layers, x, y, activation, feedback)
    net, _ = jax.jit(rule.update)(theta, net, x, y)
    for (w, b), (dw, db), synapses in zip(layers, gradient, net.layers, strict=True):
        np.testing.assert_allclose(synapses.weight[0].T, w - scale * dw, atol=1e-6)
        np.testing.assert_allclose(synapses.bias[0], b - scale * db, atol=1e-6)


def test_learns_as_sgd_does(key):
    """Ten updates of the special case and of `Backprop` with SGD give the same networks."""
    rule = backprop_rule("tanh", feedback="error")
    theta = rule.init(key)
    net = rule.init_network(theta, key, (4, 7, 3))
    sgd = hx.Backprop("sgd", learning_rate=RATE)
    state = sgd.init_network(sgd.init(key), key, (4, 7, 3))
    state = jax.tree.unflatten(
        jax.tree.structure(state),
        [s.weight[0].T for s in net.layers] + [s.bias[0] for s in net.layers],
    )
    xs = jax.random.normal(jax.random.key(1), (10, 16, 4))
    ys = jax.nn.one_hot(jax.random.randint(jax.random.key(2), (10, 16), 0, 3), 3)
    _, ours = hx.unroll(rule, theta, net, xs, ys)
    _, theirs = hx.unroll(sgd, sgd.init(key), state, xs, ys)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
