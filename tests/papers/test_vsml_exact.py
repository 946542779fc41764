"""The learner that is cloned is backpropagation: its gradients come from `jax.grad`."""

import json

import jax
import jax.numpy as jnp
import numpy as np

import hebbax as hx
from hebbax.papers.vsml._exact import Exact
from hebbax.papers.vsml._lives import live, smooth
from hebbax.teachers import CloneBackprop, cloning_rule

SIZES = (5, 4, 3)
UP, DOWN, RATE, BIAS_RATE = 6.0, 2.0, 0.1, 0.3


def test_updates_are_gradient_descent(key):
    """With rates of each layer that its size and the gains decide, and nothing else does."""
    clone = cloning_rule(gains=(UP, DOWN), spread=0.5)
    rule = Exact(clone, CloneBackprop(bias_rate=BIAS_RATE).weights, RATE, BIAS_RATE)
    net = rule.init_network((), key, SIZES)
    x = jax.random.normal(key, (7, 5))
    y = jax.nn.one_hot(jnp.arange(7) % 3, 3)

    def loss(net):
        said = rule.predict((), net, x)
        return hx.losses.cross_entropy(said, y), said

    gradient, said = jax.jit(jax.grad(loss, has_aux=True))(net)
    after, prediction = jax.jit(rule.update)((), net, x, y)
    np.testing.assert_allclose(prediction, said, rtol=1e-6)
    # Means up divide by the inputs and means down by the outputs, where the gradient has sums.
    error_scale = {1: 1.0, 0: DOWN / SIZES[2] / (UP / SIZES[1])}
    for index, scale in error_scale.items():
        moved_w = after[index].w - net[index].w
        moved_b = after[index].b - net[index].b
        expected = -RATE * scale * gradient[index].w * SIZES[index] / UP
        np.testing.assert_allclose(moved_w, expected, rtol=1e-4, atol=1e-7)
        expected = -RATE * BIAS_RATE * scale * gradient[index].b / UP
        np.testing.assert_allclose(moved_b, expected, rtol=1e-4, atol=1e-7)


def test_it_begins_with_the_weights_of_the_clone(key):
    clone = cloning_rule(spread=0.5)
    net = Exact(clone, CloneBackprop().weights).init_network((), key, SIZES)
    states = clone.init_network(clone.init(key), key, SIZES).layers
    for layer, state in zip(net, states, strict=True):
        np.testing.assert_allclose(layer.w, CloneBackprop().weights(state.c)[0][0].T, rtol=1e-6)
        assert not layer.b.any()
        assert layer.w.std() > 0.2


def test_a_life_is_kept_and_the_same_again(key, tmp_path):
    rule = Exact(cloning_rule(gains=(30.0, 10.0)), CloneBackprop().weights)
    settings = {"hidden": (8,), "steps": 60, "batch": 32, "key": key}
    file = tmp_path / "lives" / "one.json"
    life = live(rule, (), hx.tasks.digits(), **settings, file=file)
    assert life.online.shape == life.loss.shape == (60,)
    # What it learnt shows in both, and the test is of unseen data.
    assert life.online[-20:].mean() > life.online[:5].mean() + 0.2
    assert 0.5 < life.test < 1
    assert json.loads(file.read_text())["test"] == life.test
    again = live(rule, (), hx.tasks.digits(), **settings)
    np.testing.assert_array_equal(again.online, life.online)
    file.write_text(json.dumps({"online": [1.0], "loss": [2.0], "test": 3.0}))
    assert live(rule, (), hx.tasks.digits(), **settings, file=file).test == 3.0


def test_running_means():
    lines = np.asarray([[1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(smooth(lines, 2), [[1.0, 1.5, 2.5, 3.5]])
