"""Rules on networks of any architecture, against the same networks written with XLA's own parts."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.networks import Architecture, Conv, Flatten, Local, Pool, Residual
from hebbax.rules import activations

RATE = 0.3
IMAGE, OUTPUTS, BATCH = (6, 5, 2), 3, 4
INPUTS = int(np.prod(IMAGE))
ARCHITECTURES = {
    "convolutions": Architecture(Conv(4, 3, 2), Conv(4, 2, 1, "valid", groups=2), 5),
    "local": Architecture(Local(4, 3, 2), Conv(4, 2, groups="depthwise"), Local(2, 2, padding=1)),
    "pooled": Architecture(Conv(2, padding=1), Pool(2, 1), Conv(2, (2, 1)), Pool(2), Flatten(), 4),
    "residual": Architecture(
        Conv(2),
        Residual((Conv(3), Conv(2))),
        Residual((Conv(4, 3, 2),), (Conv(4, 1, 2),)),
        Pool(),
        Residual((4,)),
    ),
}


def wired(name):
    return ARCHITECTURES[name].bind(INPUTS, OUTPUTS, IMAGE)


def batch():
    x = jax.random.normal(jax.random.key(1), (BATCH, INPUTS))
    return x, jax.nn.one_hot(jnp.arange(BATCH) % OUTPUTS, OUTPUTS)


def pooled(image, pool):
    size = image.shape[1:3] if pool.size is None else (pool.size,) * 2
    stride = size if pool.stride is None else (pool.stride,) * 2
    total = jax.lax.reduce_window(image, 0.0, jax.lax.add, (1, *size, 1), (1, *stride, 1), "VALID")
    return total / math.prod(size)


def plain(wiring, weights, biases, x, activation):
    """Return the logits of the network, whose weights are [rows, senders]."""
    layers = [x.reshape(-1, *IMAGE)]
    for layer, weight, bias in zip(wiring.layers, weights, biases, strict=True):
        total, start = 0, 0
        for c in layer.connections:
            a = layers[c.source]
            for fixed in c.fixed:
                if isinstance(fixed, Pool):
                    a = pooled(a, fixed)
                else:
                    a = a.transpose(0, 3, 1, 2).reshape(len(a), 1, 1, -1)
            if c.block is None:
                total = total + a
                continue
            w = weight[:, start : start + c.senders]
            start += c.senders
            if not isinstance(c.block, Conv):
                flat = a.transpose(0, 3, 1, 2).reshape(len(a), -1)
                total = total + (flat @ w.T)[:, None, None]
                continue
            kernel = c.block.kernel
            size = (kernel,) * 2 if isinstance(kernel, int) else kernel
            padding = c.block.padding
            padding = [(padding,) * 2] * 2 if isinstance(padding, int) else padding.upper()
            numbers = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
            if isinstance(c.block, Local):
                w = w.reshape(c.upper.channels, *c.upper[:2], -1).transpose(1, 2, 3, 0)
                total = total + jax.lax.conv_general_dilated_local(
                    a, w, (c.block.stride,) * 2, padding, size, **numbers
                )
            else:
                w = w.reshape(c.upper.channels, -1, *size).transpose(2, 3, 1, 0)
                total = total + jax.lax.conv_general_dilated(
                    a, w, (c.block.stride,) * 2, padding, feature_group_count=c.groups, **numbers
                )
        h, w, channels = layer.shape
        if bias.size == channels:
            total = total + bias[None, None, None]
        else:
            total = total + bias.reshape(1, channels, h, w).transpose(0, 2, 3, 1)
        layers.append(total if layer is wiring.layers[-1] else activation(total))
    return layers[-1].reshape(len(x), -1)


def loss(parameters, wiring, x, y, activation):
    logits = plain(wiring, *parameters, x, activations.plain(activation))
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), axis=1))


def special_case(activation):
    """Blur's options that make backpropagation."""
    return hx.Blur(
        states=2,
        forward_activation=f"{activation}_and_derivative",
        backward_activation="none",
        backward_update="multiplicative_second_state",
        symmetric=True,
        single_state=True,
        normalization=None,
        synapse_normalization=None,
        fan_in=True,
        feedback="error",
        synapse_update=RATE,
    )


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("convolutions", "tanh"),
        ("local", "softplus"),
        ("pooled", "leaky_relu"),
        ("residual", "softplus"),
    ],
)
def test_blur_and_backprop_are_gradient_descent(key, name, activation):
    wiring, (x, y) = wired(name), batch()
    blur = special_case(activation)
    sgd = hx.Backprop(optimizer="sgd", learning_rate=RATE, activation=activation)
    theta = blur.init(key)

    @jax.jit
    def all_three(theta):
        net = blur.init_network(theta, key, wiring)
        before = tuple(s.weight[0] for s in net.layers), tuple(s.bias[0] for s in net.layers)
        gradient = jax.grad(loss)(before, wiring, x, y, activation)
        true = jax.tree.map(lambda w, g: w - RATE * g, before, gradient)
        after, said = blur.update(theta, net, x, y)
        logits = plain(wiring, *before, x, activations.plain(activation))
        state = sgd.init_network(sgd.init(key), key, wiring)
        network = dataclasses.replace(
            state.network, weights=tuple(w.T for w in before[0]), biases=before[1]
        )
        state = dataclasses.replace(state, network=network)
        state, _ = sgd.update(sgd.init(key), state, x, y)
        return before, true, logits, after, said, state.network

    before, true, logits, after, said, network = all_three(theta)
    np.testing.assert_allclose(said, logits, atol=1e-5)
    assert all(float(np.max(np.abs(w - b))) > 1e-4 for w, b in zip(true[0], before[0], strict=True))
    for index, (w, b) in enumerate(zip(*true, strict=True)):
        np.testing.assert_allclose(after.layers[index].weight[0], w, atol=1e-6)
        np.testing.assert_allclose(after.layers[index].bias[0], b, atol=1e-6)
        np.testing.assert_allclose(network.weights[index].T, w, atol=1e-6)
        np.testing.assert_allclose(network.biases[index], b, atol=1e-6)


EVERY_OPTION = {
    "defaults": {},
    "stored norms, relative": {
        "synapse_normalization": "stored",
        "oja": "relative",
        "symmetric": True,
        "forward_presynaptic": True,
    },
    "Oja of activations": {
        "oja": "activations",
        "saturation": "tanh",
        "single_state": True,
        "layer_genomes": "all",
    },
    "Oja in full": {
        "oja": "full",
        "saturation": "exponential",
        "states": 3,
        "backward_update": "multiplicative",
        "learn_synapse_gain": True,
    },
}


# Each once in either place.
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("local", "defaults"),
        ("convolutions", "stored norms, relative"),
        ("residual", "Oja of activations"),
        ("pooled", "Oja in full"),
    ],
)
def test_blur_learns_with_all_its_options(key, name, options):
    """Updates, predictions and meta-gradients are finite, and all arrays of synapses change."""
    wiring, (x, y) = wired(name), batch()
    given = dict(EVERY_OPTION[options])
    if given.get("layer_genomes") == "all":
        given["layer_genomes"] = len(wiring.layers)
    rule = hx.Blur(**given)
    theta = jax.jit(rule.init)(key)

    @jax.jit
    def learn(theta):
        net = rule.init_network(theta, key, wiring)

        def judged(theta):
            after, _ = rule.update(theta, net, x, y)
            return jnp.sum(rule.predict(theta, after, x) ** 2), after

        (_, after), gradient = jax.value_and_grad(judged, has_aux=True)(theta)
        return net, after, gradient

    net, after, gradient = learn(theta)
    assert all(bool(np.all(np.isfinite(a))) for a in jax.tree.leaves((after, gradient)))
    for old, new in zip(net.layers, after.layers, strict=True):
        for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True):
            assert a.shape == b.shape
            assert bool(np.any(a != b))


def permuted(synapses, channels, order, *, into):
    """Reorder the channels that synapses come from or, with `into`, go to."""
    if into:
        return synapses.reshape(channels, -1)[order].reshape(synapses.shape)
    split = synapses.reshape(len(synapses), channels, -1)
    return split[:, order].reshape(synapses.shape)


def test_channels_can_be_permuted(key):
    """What a network with its hidden channels in another order learns is the same."""
    wiring = Architecture(Conv(4, 3, 2), Conv(3), 5).bind(INPUTS, OUTPUTS, IMAGE)
    x, y = batch()
    rule = hx.Blur(symmetric=True, oja="relative")
    theta, order = rule.init(key), jnp.asarray([2, 0, 3, 1])
    net = jax.jit(rule.init_network, static_argnums=2)(theta, key, wiring)

    def turn(net):
        first, second, *rest = net.layers
        first = dataclasses.replace(first, weight=first.weight[:, order], bias=first.bias[:, order])
        second = dataclasses.replace(
            second,
            weight=jax.vmap(lambda w: permuted(w, 4, order, into=False))(second.weight),
            backward=second.backward[:, order],
        )
        statistics = [jax.tree.map(lambda s: s[:, order], net.statistics[0]), *net.statistics[1:]]
        layers = (first, second, *rest)
        return dataclasses.replace(net, layers=layers, statistics=tuple(statistics))

    update = jax.jit(rule.update)
    after, said = update(theta, net, x, y)
    other, same = update(theta, turn(net), x, y)
    np.testing.assert_allclose(same, said, atol=1e-5)
    for a, b in zip(jax.tree.leaves(turn(after)), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5)


def test_shared_synapses_change_by_the_root_of_their_places(key):
    """As much less than by the sum as their places say; those of dense layers as before."""
    wiring, (x, y) = wired("convolutions"), batch()
    rule = special_case("tanh")
    theta = rule.init(key)
    net = jax.jit(rule.init_network, static_argnums=2)(theta, key, wiring)
    root = dataclasses.replace(rule, places="root")
    by_sum, by_root = (jax.jit(r.update)(theta, net, x, y)[0].layers for r in (rule, root))
    assert [layer.places for layer in wiring.layers] == [9, 4, 1, 1]
    for layer, old, a, b in zip(wiring.layers, net.layers, by_sum, by_root, strict=True):
        for name in ("weight", "bias"):
            before = getattr(old, name)
            change = getattr(a, name) - before, getattr(b, name) - before
            assert float(np.max(np.abs(change[0]))) > 1e-3
            np.testing.assert_allclose(change[1], change[0] / layer.places**0.5, atol=1e-6)


def test_shifted_images_shift_states(key):
    """Where nothing falls over the edge, and for all statistics are the same."""
    wiring = Architecture(Conv(3), Conv(2)).bind(100, 2, (10, 10, 1))
    rule = hx.Blur()
    theta = rule.init(key)
    net = jax.jit(rule.init_network, static_argnums=2)(theta, key, wiring)
    image = jnp.zeros((2, 10, 10)).at[:, 3:5, 3:6].set(jax.random.normal(key, (2, 2, 3)))
    moved = jnp.roll(image, (1, 1), (1, 2))
    forward = jax.jit(rule.forward)
    there = [
        forward(theta, net, a.reshape(2, 100))[1].reshape(2, 2, 10, 10, 2) for a in (image, moved)
    ]
    rolled = jnp.roll(there[0], (1, 1), (2, 3))
    np.testing.assert_allclose(there[1][:, :, 2:9, 2:9], rolled[:, :, 2:9, 2:9], atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_feedback_through_the_weights_is_backpropagation(key, name):
    """With feedback that is its network's own weights; random feedback leaves the top alike."""
    wiring, (x, y) = wired(name), batch()
    align = hx.FeedbackAlignment(optimizer="sgd", learning_rate=RATE)
    direct = hx.FeedbackAlignment(direct=True, optimizer="sgd", learning_rate=RATE)
    sgd = hx.Backprop(optimizer="sgd", learning_rate=RATE)
    theta = sgd.init(key)

    @jax.jit
    def learn():
        state = align.init_network(theta, key, wiring)
        own = tuple(
            tuple(c.turned(part) for c, part in layer.parts(w.T[None]))
            for layer, w in zip(wiring.layers, state.network.weights, strict=True)
        )
        true, _ = sgd.update(theta, sgd.init_network(theta, key, wiring), x, y)
        same, _ = align.update(theta, dataclasses.replace(state, feedback=own), x, y)
        random, _ = align.update(theta, state, x, y)
        straight, _ = direct.update(theta, direct.init_network(theta, key, wiring), x, y)
        return state, true.network, same.network, random, straight.network

    state, true, same, random, straight = learn()
    for a, b in zip(jax.tree.leaves(true), jax.tree.leaves(same), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-6)
    for a, b in zip(jax.tree.leaves(state.feedback), jax.tree.leaves(random.feedback), strict=True):
        np.testing.assert_array_equal(a, b)
    for network in (random.network, straight):
        np.testing.assert_allclose(network.weights[-1], true.weights[-1], atol=1e-6)
        assert float(np.max(np.abs(network.weights[0] - true.weights[0]))) > 1e-4
        assert bool(np.any(network.weights[0] != state.network.weights[0]))


@pytest.mark.parametrize("oja", [False, True])
def test_a_convolution_of_one_place_learns_hebbian_as_dense_layers_do(key, oja):
    """A 1 x 1 image makes a convolution a dense layer; of more places each is an example."""
    rule = hx.Hebbian(oja=oja)
    theta = rule.init(key)
    x, y = jax.random.normal(key, (4, 3)), jax.nn.one_hot(jnp.arange(4) % 2, 2)
    dense = rule.init_network(theta, key, (3, 5, 2))
    conv = rule.init_network(theta, key, Architecture(Conv(5, 1)).bind(3, 2, (1, 1, 3)))
    after, said = jax.jit(rule.update)(theta, dense, x, y)
    other, same = jax.jit(rule.update)(theta, conv, x, y)
    np.testing.assert_allclose(same, said, atol=1e-6)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-6)
    # Two places with the same channels count as one with them.
    pair = rule.init_network(theta, key, Architecture(Conv(5, 1), Pool()).bind(6, 2, (1, 2, 3)))
    wide, _ = jax.jit(rule.update)(theta, pair, jnp.tile(x, (1, 2)), y)
    np.testing.assert_allclose(wide.weights[0], after.weights[0], atol=1e-6)


@pytest.mark.parametrize(
    "rule", [hx.Vsml(), hx.MetaRnn(inputs=INPUTS, outputs=OUTPUTS), hx.UnsupervisedRule()]
)
def test_rules_of_dense_layers_refuse_others(key, rule):
    theta = jax.eval_shape(rule.init, key)
    with pytest.raises(ValueError, match=r"takes dense layers .* networks.mlp\(64, 64\); got conv"):
        rule.init_network(theta, key, wired("convolutions"))
