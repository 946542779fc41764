"""What options of Blur do, and which are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_blur import SIZES, close, predict, update

import hebbax as hx
from hebbax.rules.blur import (
    Network,
    Normalization,
)


@pytest.mark.parametrize("normalization", [Normalization(), None], ids=["batch", "none"])
def test_predictions_stand_alone(key, normalization):
    """With stored statistics an example's prediction does not depend on its batch."""
    rule = hx.Blur(normalization=normalization)
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    x = jax.random.normal(jax.random.key(2), (8, 5))
    net, _ = update(rule, theta, net, x, jnp.eye(3)[jnp.arange(8) % 3])
    together = predict(rule, theta, net, x)
    close(together[3:4], predict(rule, theta, net, x[3:4]))
    if normalization is not None:
        # On the batch of the last update, stored statistics are those of the batch.
        close(together, predict(rule, theta, Network(net.layers), x), atol=1e-4)


def test_passes_are_normalized_apart(key):
    rules = {p: hx.Blur(normalization={"passes": p}) for p in ("both", "forward", "backward")}
    rules["none"] = hx.Blur(normalization=None)
    x = jax.random.normal(jax.random.key(2), (8, SIZES[0]))
    y = jax.nn.one_hot(jnp.arange(8) % SIZES[-1], SIZES[-1])
    ups, downs = {}, {}
    for name, rule in rules.items():
        theta = rule.init(key)
        net = rule.init_network(theta, key, SIZES)
        assert (theta.forward_mean is None) == (name in ("backward", "none"))
        assert (theta.backward_mean is None) == (name in ("forward", "none"))
        assert (net.statistics is None) == (name in ("backward", "none"))
        ups[name] = jax.jit(rule.forward)(theta, net, x)
        downs[name] = jax.jit(rule.backward)(theta, net, ups["both"], y)
    close(ups["forward"], ups["both"])
    close(ups["backward"], ups["none"])
    close(downs["backward"], downs["both"])
    close(downs["forward"], downs["none"])
    assert not np.allclose(ups["both"][0], ups["none"][0])
    assert not np.allclose(downs["both"][0], downs["none"][0])


def test_without_labels_nothing_changes(key):
    rule = hx.Blur()
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    x = jnp.ones((2, 5))
    same, _ = update(rule, theta, net, x, None)
    close(same, net, atol=0)


def test_mean_does_not_depend_on_the_batch_size_and_sum_does(key):
    x = jax.random.normal(key, (4, 5))
    y = jax.nn.one_hot(jnp.arange(4) % 3, 3)
    changes = {}
    for reduction in ("mean", "sum"):
        rule = hx.Blur(reduction=reduction, normalization=None)
        theta = rule.init(key)
        net = rule.init_network(theta, key, SIZES)

        def change(x, y, rule=rule, theta=theta, net=net):
            new, _ = update(rule, theta, net, x, y)
            return jax.tree.map(jnp.subtract, new, net)

        once, twice = change(x, y), change(jnp.tile(x, (2, 1)), jnp.tile(y, (2, 1)))
        changes[reduction] = once, twice
    close(*changes["mean"])
    once, twice = changes["sum"]
    close(jax.tree.map(lambda a: 2 * a, once), twice)


def test_saturation_bounds_synapses(key):
    rule = hx.Blur(saturation="tanh", synapse_update=100.0)
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    net, _ = update(rule, theta, net, jnp.ones((8, 5)), jnp.eye(3)[jnp.arange(8) % 3])
    bound = float(theta.saturation) + rule.saturation.epsilon
    assert max(float(np.abs(w).max()) for w in jax.tree.leaves(net.layers)) <= 1.0001 * bound


def test_synapse_normalization_ignores_scale(key):
    rule = hx.Blur(normalization=None, synapse_normalization="activations")
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    x = jax.random.normal(key, (4, 5))
    scaled = jax.tree.map(lambda w: 7 * w, net)
    close(predict(rule, theta, net, x), predict(rule, theta, scaled, x))


def test_stored_normalization_makes_unit_columns(key):
    rule = hx.Blur(synapse_normalization="stored", synapse_update=0.0)
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    net, _ = update(rule, theta, net, jnp.ones((2, 5)), jnp.eye(3)[:2])
    first = net.layers[0]
    np.testing.assert_allclose(
        jnp.sum(first.weight**2, axis=2) + first.bias**2, np.ones((2, 6)), rtol=1e-5
    )


def test_genome_size():
    """About 4 k² + O(k) numbers (BLUR table 1)."""
    for k in (2, 3, 8):
        theta = hx.Blur(states=k).init(jax.random.key(0))
        assert sum(a.size for a in jax.tree.leaves(theta)) == 4 * k * k + 4 * k + 4


def test_rule_is_hashable_and_compares_by_options():
    assert hash(hx.Blur(states=3)) == hash(hx.Blur(states=3))
    assert hx.Blur(states=3) == hx.Blur(states=3)
    assert hx.Blur(states=3) != hx.Blur(states=4)


BAD = {
    "states": 1,
    "forward_activation": "tanhh",
    "backward_activation": "softmax",
    "last_activation": "",
    "backward_update": "multiply",
    "normalization": "layer",
    "synapse_normalization": "weights",
    "oja": "yes",
    "saturation": "exp",
    "feedback": "label",
    "reduction": "max",
    "genome_init": "zeros",
    "layer_genomes": 0,
}


@pytest.mark.parametrize(("option", "value"), [*BAD.items()])
def test_bad_options_are_named(option, value, unchecked):
    with pytest.raises(ValueError, match=option) as error:
        hx.Blur(**{option: value})

    assert repr(value) in str(error.value)


def test_the_nearest_name_is_offered():
    with pytest.raises(ValueError, match=r"Did you mean 'tanh'\?"):
        hx.Blur(forward_activation="tanhh")


def test_sizes_that_do_not_fit_are_refused(key, unchecked):
    rule = hx.Blur()
    theta = rule.init(key)
    net = rule.init_network(theta, key, SIZES)
    good_x, good_y = jnp.ones((4, 5)), jnp.ones((4, 3))
    for x, y, words in (
        (jnp.ones((4, 6)), good_y, r"\[batch, 5\]"),
        (jnp.ones(5), None, r"\[batch, 5\]"),
        (good_x, jnp.ones((4, 2)), r"\[4, 3\]"),
        (good_x, jnp.ones((3, 3)), r"\[4, 3\]"),
    ):
        with pytest.raises(ValueError, match=words):
            rule.update(theta, net, x, y)
    for sizes in ((5,), (5, 0), ()):
        with pytest.raises(ValueError, match="at least two positive layer sizes"):
            rule.init_network(theta, key, sizes)


def test_layer_genomes_need_their_depth(key):
    rule = hx.Blur(layer_genomes=2)
    with pytest.raises(ValueError, match="2 synapse layers"):
        rule.init_network(rule.init(key), key, SIZES)


ACTIVATIONS = ["none", "tanh", "relu", "relu_tanh", "sigmoid", "leaky_relu"]


# Each once in either place.
@pytest.mark.parametrize(
    ("forward", "backward"), [*zip(ACTIVATIONS, ACTIVATIONS[2:] + ACTIVATIONS[:2], strict=True)]
)
def test_activations_of_both_passes(key, forward, backward):
    rule = hx.Blur(forward_activation=forward, backward_activation=backward)
    theta = rule.init(key)
    net = rule.init_network(theta, key, (4, 5, 3))
    net, _ = update(rule, theta, net, jnp.ones((2, 4)), jnp.eye(3)[:2])
    assert all(np.all(np.isfinite(w)) for w in jax.tree.leaves(net))
