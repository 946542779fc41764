"""What must hold for Vsml whatever its weights."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_vsml import SIZES, SMALL, begin, close, differ, run

import hebbax as hx

OPTIONS = {
    "default": {},
    "all other": {
        "feedback": "next_datum", "feed_label": True, "ticks": 2, "error_as": "message",
        "reduction": "sum", "layer_norm": True, "gate_offset": 0.0, "initial": "all",
    },
    "vanilla": {"cell": "vanilla", "bound": None},
}  # fmt: skip


@pytest.fixture(params=OPTIONS.values(), ids=OPTIONS)
def case(request):
    rule = hx.Vsml(**SMALL, **request.param)
    return rule, *begin(rule, SIZES)


def count(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("options", "meta_parameters", "learned"),
    [
        ({}, 2772, 250_880),
        ({"feed_label": True}, 2836, 250_880),
        ({"message_size": 8, "error_as": "message", "output_channel": 1}, 2384, 250_880),
        ({"message_size": 8, "error_as": "message", "layer_norm": True}, 2416, 250_880),
        ({"coordinates": ("time", "input")}, 2772 + 2 * 64, 250_880),
        ({"cell": "vanilla", "error_as": "message"}, 3 * 16**2 + 16, 125_440),
    ],
)
def test_counts_for_784_inputs_and_10_outputs(options, meta_parameters, learned, key):
    rule = hx.Vsml(**options)
    theta = jax.eval_shape(rule.init, key)
    net = jax.eval_shape(lambda t: rule.init_network(t, key, (784, 10)), theta)
    assert count(theta) == meta_parameters
    assert count(net.layers) == learned


# Symmetries


def permuted(net, axis, order, layer):
    """Permute the inputs (axis 3) or outputs (axis 2) of a layer's sub-RNNs."""
    layers = list(net.layers)
    layers[layer] = jax.tree.map(lambda a: jnp.take(a, order, axis), layers[layer])
    return eqx.tree_at(lambda n: n.layers, net, tuple(layers))


def test_permuting_inputs(case):
    rule, theta, net, x, y = case
    order = jnp.array([2, 0, 3, 1])
    after, prediction = run(rule, "update", theta, net, x, y)
    after_p, prediction_p = run(rule, "update", theta, permuted(net, 3, order, 0), x[:, order], y)
    close(prediction_p, prediction)
    close(after_p, permuted(after, 3, order, 0))


def test_permuting_hidden_units(case):
    rule, theta, net, x, y = case
    order = jnp.array([1, 2, 0])

    def permute(net):
        net = permuted(permuted(net, 2, order, 0), 3, order, 1)
        return eqx.tree_at(lambda n: n.downward[0], net, net.downward[0][:, :, order])

    after, prediction = run(rule, "update", theta, net, x, y)
    after_p, prediction_p = run(rule, "update", theta, permute(net), x, y)
    close(prediction_p, prediction)
    close(after_p, permute(after))


def test_permuting_classes(case):
    rule, theta, net, x, y = case
    order = jnp.array([1, 0])

    def permute(net):
        net = permuted(net, 2, order, 1)
        if net.feedback is None:
            return net
        return eqx.tree_at(lambda n: n.feedback, net, net.feedback[:, :, order])

    after, prediction = run(rule, "update", theta, net, x, y)
    after_p, prediction_p = run(rule, "update", theta, permute(net), x, y[:, order])
    close(prediction_p, prediction[:, order])
    close(after_p, permute(after))
    assert np.max(np.abs(prediction - prediction[:, order])) > 1e-3


def test_no_difference_arises_between_equal_hidden_units(key):
    """Only the random initial state tells hidden units apart, or their coordinates."""
    for coordinates in ((), ("output", "input")):
        rule = hx.Vsml(**SMALL, coordinates=coordinates)
        theta, net, x, y = begin(rule, SIZES)
        same = jax.tree.map(jnp.zeros_like, net)
        after, _ = run(rule, "update", theta, same, x, y)
        hidden = after.layers[0].h
        assert differ(hidden, hidden[:, :, ::-1]) == bool(coordinates)


# The inner loop


def test_prediction_comes_before_the_change(case):
    rule, theta, net, x, y = case
    after, prediction = run(rule, "update", theta, net, x[:1], y[:1])
    close(prediction, run(rule, "predict", theta, net, x[:1]))
    assert differ(after.layers, net.layers)
    close(run(rule, "predict", theta, net, x)[:1], prediction)


def test_without_labels_nothing_changes(case):
    rule, theta, net, x, _ = case
    after, prediction = run(rule, "update", theta, net, x, None)
    close(after, net, 0)
    close(prediction, run(rule, "predict", theta, net, x))


def test_rows_are_data_one_after_another(case):
    rule, theta, net, x, y = case
    after, prediction = run(rule, "update", theta, net, x, y)
    for index in range(len(x)):
        row = slice(index, index + 1)
        net, one = run(rule, "update", theta, net, x[row], y[row])
        close(prediction[row], one)
    close(after, net)


def test_errors(key):
    rule = hx.Vsml(feed_label=True)
    prediction, y = jnp.array([[1.0, -2.0, 0.5]]), jnp.array([[0.0, 1.0, 0.0]])
    error, label = rule.errors(prediction, y)

    def loss(z):
        return hx.losses.cross_entropy(z, y)

    close(error, jax.grad(loss)(prediction))
    close(label, y, 0)
    one = hx.Vsml().errors(jnp.array([[0.7]]), jnp.array([[1.0]]))
    close(one, jnp.array([[[1 / (1 + math.exp(-0.7)) - 1]]]))


def test_loss_of_a_fresh_rule_is_that_of_guessing(key):
    rule = hx.Vsml()

    @jax.jit
    def predict(key):
        k_theta, k_net, k_x = jax.random.split(key, 3)
        theta = rule.init(k_theta)
        net = rule.init_network(theta, k_net, (100, 10))
        return rule.predict(theta, net, jax.random.normal(k_x, (6, 100)))

    loss = hx.losses.cross_entropy(predict(key), jax.nn.one_hot(jnp.arange(6), 10))
    assert float(loss) == pytest.approx(math.log(10), abs=5e-3)


def test_parameters_fit_any_size(case):
    rule, theta, _, _, _ = case
    sizes = (1, 2, 1, 3)
    _, net, x, y = begin(rule, sizes)
    after, prediction = run(rule, "update", theta, net, x[:1], y[:1])
    assert after.sizes == sizes
    assert prediction.shape == (1, 3)
    assert np.all(np.isfinite(prediction))


# JAX


def test_is_pure_hashable_and_vmaps(case):
    rule, *_ = case
    again = type(rule)(**{name: getattr(rule, name) for name in vars(rule)})
    assert rule == again
    assert hash(rule) == hash(again)
    lifetimes = [begin(rule, SIZES, seed) for seed in range(3)]
    together = jax.tree.map(lambda *a: np.stack(a), *lifetimes)
    alone = [run(rule, "update", *lifetime) for lifetime in lifetimes]
    found = jax.jit(jax.vmap(rule.update))(*together)
    close(found, jax.tree.map(lambda *a: np.stack(a), *alone))
