"""Learning algorithm cloning: the targets are backpropagation, and what is judged is what runs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.rules.vsml._meta_parameters import halved
from hebbax.teachers import random_synapses
from hebbax.teachers._cloning import (
    FORGET,
    KEEP,
    MEMORY,
    CloneBackprop,
    backpropagation,
    begin,
    cloning_rule,
    pass_through,
    weights,
)

RATE, BIAS_RATE = 0.3, 0.2


def drawn(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_targets_are_the_gradients_of_each_synapse():
    c, x, e = 0.5 * drawn(0, MEMORY, 1, 3, 4), drawn(1, 5, 4), drawn(2, 5, 3)
    target = backpropagation(c, x, e, RATE, BIAS_RATE)
    w, b = (a[0] for a in weights(c, BIAS_RATE))

    def output(x, w, b):
        return jnp.tanh(x) * w + b

    dw, db = weights(target.c, BIAS_RATE)
    row, i, j = (a.ravel() for a in np.indices((5, 3, 4)))
    at, error = (x[row, j], w[i, j], b[i, j]), e[row, i]
    gx, gw, gb = jax.vmap(jax.grad(output, argnums=(0, 1, 2)))(*at)
    for found, expected in {
        "y": (target.y, output(*at)),
        "e": (target.e, error * gx),
        "dw": (dw, -RATE * error * gw),
        "db": (db, -RATE * BIAS_RATE * error * gb),
    }.values():
        np.testing.assert_allclose(found.ravel(), expected, rtol=1e-4, atol=1e-6)


def test_what_is_judged_is_what_the_rule_does(key):
    """Messages and states of a layer of `Vsml` are means of those of the judged sub-RNNs."""
    rule = cloning_rule(5, gains=(3.0, 0.5))
    theta = rule.init(key)
    net = rule.init_network(theta, key, (4, 3))
    x, y = drawn(1, 6, 4), jax.nn.one_hot(jnp.arange(6) % 3, 3)
    after, prediction = eqx.filter_jit(rule.update)(theta, net, x, y)
    error = jax.nn.softmax(prediction) - y
    found, states = pass_through(halved(theta, 0.0), net.layers[0], x, error)
    message = 3.0 * jnp.mean(found.y, axis=2)
    np.testing.assert_allclose(prediction, 100 * jnp.tanh(message / 100), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        after.layers[0].c, jnp.mean(states.c, axis=1, keepdims=True), rtol=1e-4, atol=1e-6
    )


def test_sub_rnns_begin_with_a_memory(key):
    rule = cloning_rule(6)
    theta = begin(rule, key)
    blocks = np.split(np.asarray(theta.b), 4)
    np.testing.assert_array_equal(blocks[2], [KEEP] * 3 + [FORGET] * 3)
    for block in (*blocks[:2], blocks[3]):
        assert not block.any()
    np.testing.assert_array_equal(theta.W, rule.init(key).W)
    for layer in rule.init_network(theta, key, (30, 20)).layers:
        w, b = weights(layer.c, BIAS_RATE)
        assert 0.1 < float(jnp.std(w)) < 0.25
        assert not b.any()


def test_the_gradient_of_the_objective(key):
    """A small step along it lowers the loss by its length times the norm."""
    rule, family = cloning_rule(8), random_synapses(8)
    objective = CloneBackprop(steps=2, batch=4, query=24)
    episode = family.sample(key, 2, 4, 24)
    theta = begin(rule, key)
    net = rule.init_network(theta, key, (8, 8))

    @jax.jit
    @jax.value_and_grad
    def loss(theta):
        return objective.unroll_and_judge(rule, theta, net, episode)[1][0]

    first, gradient = loss(theta)
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
    length = 0.01
    moved = jax.tree.map(lambda t, g: t - length * g / norm, theta, gradient)
    np.testing.assert_allclose(first - loss(moved)[0], length * norm, rtol=0.2)


def test_the_shipped_clone_on_fresh_random_data():
    rule, theta = hx.zoo.load("vsml/backprop")
    episode = random_synapses().sample(jax.random.key(123), 2, 64, 72)
    net = rule.init_network(theta, jax.random.key(0), (24, 24))
    judged = jax.jit(lambda t: CloneBackprop().unroll_and_judge(rule, t, net, episode)[1][1])
    metrics = judged(theta)
    assert metrics["error_w"] < 0.04
    assert metrics["error_e"] < 0.2
    assert metrics["error_y"] < 0.12
    untaught = judged(begin(rule, jax.random.key(0)))
    assert all(untaught[name] > 3 * metrics[name] for name in metrics)


@pytest.mark.slow
def test_the_shipped_clone_learns_as_backpropagation_does():
    """Digits of 8 by 8 pixels, which it has never seen, through a hidden layer."""
    rule, theta = hx.zoo.load("vsml/backprop")
    curves = hx.evaluate(
        rule, theta, hx.tasks.digits(), hidden=(16,), steps=100, batch=32, seeds=2, at=(100,)
    )
    assert curves.accuracy.min() > 0.8


def test_bad_input(key):
    with pytest.raises(ValueError, match="state_size must be at least 3; got 2"):
        cloning_rule(2)
    rule, family = cloning_rule(4), random_synapses(5)
    net = rule.init_network(rule.init(key), key, (5, 5))
    objective = CloneBackprop(query=10)
    episode = family.sample(key, 2, 8, 10)
    with pytest.raises(ValueError, match="3 times the side of the family, 15; got 10"):
        objective.unroll_and_judge(rule, begin(rule, key), net, episode)
    for name in ("rate", "bias_rate"):
        with pytest.raises(ValueError, match=f"{name} must be a finite number above 0; got 0.0"):
            CloneBackprop(**{name: 0.0})
