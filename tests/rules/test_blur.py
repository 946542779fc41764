"""What must hold of Blur whatever the genome: symmetries, options, bad input."""

import dataclasses
import functools
import typing
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.rules.blur import (
    Network,
    Normalization,
    Oja,
    Saturation,
    SynapseNormalization,
    Synapses,
)

SIZES = (5, 6, 4, 3)
# Few sets that combine what does not exclude each other: interactions are tested as well.
OPTIONS = {
    "default": {},
    "program": {
        "normalization": None,
        "synapse_normalization": None,
        "reduction": "sum",
        "oja": "full",
        "feedback": "error",
    },
    "three states": {
        "states": 3,
        "genome_init": "random",
        "init_scale": 0.3,
        "normalization": {"last": False},
        "backward_update": "multiplicative",
        "oja": "first",
        "saturation": "tanh",
    },
    "symmetric": {
        "symmetric": True,
        "normalization": {"passes": "forward"},
        "forward_presynaptic": True,
        "oja": {"form": "weights", "apart": False},
        "feedback": "residual",
    },
    "single state": {
        "single_state": True,
        "symmetric": True,
        "oja": {"form": "activations", "learn": False},
        "bias": False,
    },
    "stored": {
        "synapse_normalization": {"form": "stored", "learn": True},
        "normalization": {"passes": "backward"},
        "backward_update": "multiplicative_second_state",
        "saturation": "exponential",
    },
    "bounded": {
        "synapse_normalization": {"bounded": True},
        "bias": False,
        "places": "root",
    },
    "layer genomes": {
        "layer_genomes": 3,
        "init_scale": 0.1,
        "oja": "relative",
        "learn_keep": False,
        "fan_in": True,
        "learn_synapse_gain": True,
    },
}


def test_the_sets_hold_every_choice():
    """Of every option with a list of allowed values, and both of every switch."""
    rules = [hx.Blur(**{"init_scale": 0.2, **options}) for options in OPTIONS.values()]
    for options in (hx.Blur, Normalization, SynapseNormalization, Oja, Saturation):
        for name, hint in typing.get_type_hints(options).items():
            allowed = set(typing.get_args(hint)) if typing.get_origin(hint) is Literal else set()
            allowed |= {True, False} if hint is bool else set()
            found = {getattr(each, name) for rule in rules for each in parts(rule, options)}
            assert allowed <= found, (options.__name__, name, allowed - found)


def parts(rule, kind):
    """Return the rule, or its groups of options, of one kind."""
    groups = (rule, *(getattr(rule, field.name) for field in dataclasses.fields(rule)))
    return [each for each in groups if isinstance(each, kind)]


@pytest.fixture(params=[*OPTIONS.values()], ids=[*OPTIONS])
def rule(request):
    return hx.Blur(**{"init_scale": 0.2, **request.param})


@pytest.fixture
def case(rule):
    return make_case(rule)


@eqx.filter_jit
def begun(rule):
    theta = rule.init(jax.random.key(0))
    return theta, rule.init_network(theta, jax.random.key(1), SIZES)


@functools.cache
def make_case(rule):
    theta, net = begun(rule)
    x = jax.random.normal(jax.random.key(2), (8, SIZES[0]))
    y = jax.nn.one_hot(jnp.arange(8) % SIZES[-1], SIZES[-1])
    return rule, theta, net, x, y


@eqx.filter_jit
def update(rule, theta, net, x, y):
    return rule.update(theta, net, x, y)


@eqx.filter_jit
def predict(rule, theta, net, x):
    return rule.predict(theta, net, x)


def close(a, b, atol=2e-5):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, atol=atol, rtol=1e-5), a, b)


def permute_hidden(net, order):
    """Renumber the units of the first hidden layer."""
    first, second, *rest = net.layers
    first = Synapses(
        first.weight[:, order], None if first.bias is None else first.bias[:, order], None
    )
    backward = None if second.backward is None else second.backward[:, order]
    second = Synapses(second.weight[:, :, order], second.bias, backward)
    statistics = net.statistics
    if statistics is not None and statistics[0].mean.shape[1] > 1:
        lowest = jax.tree.map(lambda a: a[:, order], statistics[0])
        statistics = (lowest, *statistics[1:])
    return Network((first, second, *rest), statistics, net.updates)


def test_permuting_hidden_units_permutes_the_result(case):
    rule, theta, net, x, y = case
    order = jnp.asarray([3, 1, 5, 0, 2, 4])
    plain, prediction = update(rule, theta, net, x, y)
    permuted, same = update(rule, theta, permute_hidden(net, order), x, y)
    close(prediction, same)
    close(permute_hidden(plain, order), permuted)


def test_permuting_inputs_permutes_the_first_synapses(case):
    rule, theta, net, x, y = case
    order = jnp.asarray([4, 2, 0, 1, 3])

    def permute(net):
        first, *rest = net.layers
        layers = (Synapses(first.weight[:, :, order], first.bias, None), *rest)
        return Network(layers, net.statistics, net.updates)

    plain, prediction = update(rule, theta, net, x, y)
    permuted, same = update(rule, theta, permute(net), x[:, order], y)
    close(prediction, same)
    close(permute(plain), permuted)


def test_permuting_examples_leaves_the_network(case):
    rule, theta, net, x, y = case
    order = jnp.asarray([7, 2, 0, 4, 1, 3, 6, 5])
    plain, prediction = update(rule, theta, net, x, y)
    permuted, shuffled = update(rule, theta, net, x[order], y[order])
    close(prediction[order], shuffled)
    close(plain, permuted)


@pytest.mark.slow
def test_population_equals_a_loop(rule):
    keys = jax.random.split(jax.random.key(5), 3)
    thetas = jax.vmap(rule.init)(keys)
    nets = jax.jit(jax.vmap(lambda t, k: rule.init_network(t, k, SIZES)))(thetas, keys)
    x = jax.random.normal(jax.random.key(2), (8, SIZES[0]))
    y = jax.nn.one_hot(jnp.arange(8) % SIZES[-1], SIZES[-1])
    population = jax.jit(jax.vmap(rule.update, (0, 0, None, None)))
    together, predictions = population(thetas, nets, x, y)
    for i in range(3):
        theta, net = jax.tree.map(lambda a, i=i: a[i], (thetas, nets))
        alone, prediction = update(rule, theta, net, x, y)
        close(jax.tree.map(lambda a, i=i: a[i], together), alone)
        close(predictions[i], prediction)


def test_prediction_is_what_update_predicted(case):
    rule, theta, net, x, y = case
    # Without stored statistics, those of the batch serve.
    net = Network(net.layers)
    _, prediction = update(rule, theta, net, x, y)
    close(predict(rule, theta, net, x), prediction)


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


def test_update_is_finite_and_differentiable(case):
    rule, theta, net, x, y = case

    def loss(theta):
        carried, _ = rule.update(theta, net, x, y)
        return jnp.sum(rule.predict(theta, carried, x) ** 2)

    gradient = jax.jit(jax.grad(loss))(theta)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))
    assert any(np.any(g != 0) for g in jax.tree.leaves(gradient))


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


def test_relative_oja_grows_slowly_and_keep_gates_can_stay_open(key):
    """What is added is orthogonal to what is there, so norms grow with the root of time."""
    norms = {}
    for form in (None, "relative"):
        rule = hx.Blur(oja=form, learn_keep=False, synapse_update=1.0)
        theta = rule.init(key)
        assert theta.f_tilde is None
        net = rule.init_network(theta, key, (4, 5, 3))
        x, y = eqx.filter_jit(hx.tasks.iris().stream)(key, 1, 64)
        after, _ = update(rule, theta, net, x[0], y[0])

        def columns(net):
            return [jnp.sum(s.weight**2, axis=2) + s.bias**2 for s in net.layers]

        change = jax.tree.map(jnp.subtract, after, net)
        norms[form] = [
            np.asarray(new - old - size)
            for new, old, size in zip(columns(after), columns(net), columns(change), strict=True)
        ]
    # By Pythagoras.
    assert max(abs(a).max() for a in norms["relative"]) < 1e-4
    assert max(abs(a).max() for a in norms[None]) > 1e-2


@pytest.mark.parametrize("form", ["full", "relative", "first", "weights", "activations"])
def test_oja_equals_a_plain_loop(key, form):
    """Equation 8 and its relatives, synapse by synapse."""
    options = {
        "normalization": None,
        "synapse_normalization": None,
        "init_scale": 0.3,
        "reduction": "sum",
    }
    plain, rule = hx.Blur(**options), hx.Blur(oja=Oja(form, extra=0.7), **options)
    theta = rule.init(key)
    bare = plain.init(key)
    f_tilde, eta_tilde = 0.9, -0.05

    def gates(t):
        values = (jnp.asarray(f_tilde), jnp.asarray(eta_tilde))
        return eqx.tree_at(lambda t: (t.f_tilde, t.eta_tilde), t, values)

    theta, bare = gates(theta), gates(bare)
    multiplier = 1.0 if theta.oja_multiplier is None else 1.3
    if theta.oja_multiplier is not None:
        theta = eqx.tree_at(lambda t: t.oja_multiplier, theta, jnp.asarray(multiplier))
    net = rule.init_network(theta, key, (4, 5, 3))
    x = jax.random.normal(jax.random.key(2), (6, 4))
    y = jax.nn.one_hot(jnp.arange(6) % 3, 3)
    without, _ = update(plain, bare, net, x, y)
    with_oja, _ = update(rule, theta, net, x, y)
    final = jax.jit(lambda: rule.backward(theta, net, rule.forward(theta, net, x), y))()
    mu_tilde = np.asarray(theta.mu_tilde)

    def expected(w, w_without, receivers):
        # w: senders (bias last, if any) by receivers, one synapse state after another.
        hebb = (w_without - f_tilde * w) / eta_tilde
        out = w_without.copy()
        for c, r, j in np.ndindex(w.shape):
            squares = sum(w[c, i, j] ** 2 for i in range(w.shape[1]))
            drive = sum(w[c, i, j] * hebb[c, i, j] for i in range(w.shape[1]))
            post = sum(
                float(mu_tilde[c] @ np.asarray(receivers[:, j, b])) ** 2 for b in range(len(x))
            )
            term = {
                "full": -(f_tilde - 1) * w[c, r, j] * squares - eta_tilde * w[c, r, j] * drive,
                "relative": -eta_tilde * w[c, r, j] * drive / squares,
                "first": -(f_tilde - 1) * multiplier * w[c, r, j] * squares,
                "weights": -abs(eta_tilde) * multiplier * w[c, r, j] * squares,
                "activations": -abs(eta_tilde) * multiplier * w[c, r, j] * post,
            }[form]
            out[c, r, j] += 0.7 * term
        return out

    def whole(synapses):
        return np.concatenate([synapses.weight, synapses.bias[:, :, None]], axis=2).swapaxes(1, 2)

    for index, before in enumerate(net.layers):
        close(
            whole(with_oja.layers[index]),
            expected(whole(before), whole(without.layers[index]), final[index]),
        )
    close(
        np.asarray(with_oja.layers[1].backward).swapaxes(1, 2),
        expected(
            np.asarray(net.layers[1].backward).swapaxes(1, 2),
            np.asarray(without.layers[1].backward).swapaxes(1, 2),
            final[0],
        ),
    )


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


GROWING = 16.0
"""A keep gate with which synapses overflow after 32 updates."""


def grown(rule, steps, keep, sizes=(3, 4, 2)):
    """Return a network after some updates with a keep gate above 1, and its predictions."""
    theta = eqx.tree_at(lambda t: t.f_tilde, rule.init(jax.random.key(0)), jnp.float32(keep))
    net = rule.init_network(theta, jax.random.key(1), sizes)
    xs = jax.random.normal(jax.random.key(2), (steps, 8, 3))
    ys = jax.nn.one_hot((xs[..., 0] > 0).astype(int), 2)

    def update(net, batch):
        return rule.update(theta, net, *batch)

    return jax.jit(lambda net: jax.lax.scan(update, net, (xs, ys)))(net)


BOUNDED = {"synapse_normalization": {"bounded": True}}


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"single_state": True}])
def test_bounded_synapses_do_not_overflow(options):
    net, predictions = grown(hx.Blur(**options, **BOUNDED), 200, GROWING)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((net, predictions)))
    net, _ = grown(hx.Blur(**options), 200, GROWING)
    assert not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(net))


def test_bounds_change_no_prediction(monkeypatch):
    net, predictions = grown(hx.Blur(init_scale=0.1), 60, 2.0)
    monkeypatch.setattr("hebbax.rules.blur._changes.LARGE", 2.0**50)
    monkeypatch.setattr("hebbax.rules.blur._changes.SMALLER", 2.0**-10)
    smaller, same = grown(hx.Blur(init_scale=0.1, **BOUNDED), 60, 2.0)
    assert max(np.abs(a.weight).max() for a in net.layers) > 2.0**55
    assert max(np.abs(a.weight).max() for a in smaller.layers) <= 2.0**51
    np.testing.assert_array_equal(predictions, same)


@pytest.mark.parametrize(
    "options",
    [
        {"synapse_normalization": {"form": "stored", "bounded": True}}, {"symmetric": True},
        {"oja": "full"}, {"oja": "relative"}, {"saturation": "tanh"},
    ],
)  # fmt: skip
def test_no_bounds_where_the_size_of_synapses_matters(options):
    with pytest.raises(ValueError, match="bounded only where the size of synapses does not matter"):
        hx.Blur(**{**BOUNDED, **options})


def test_oja_s_term_need_not_pull_both_directions_asunder(key):
    options = {"symmetric": True, "feedback": "error", "synapse_update": 1.0, "normalization": None}
    apart = hx.Blur(oja="relative", **options)
    same = hx.Blur(oja={"form": "relative", "apart": False}, **options)
    theta = apart.init(key)
    x, y = jax.random.normal(key, (6, 3)), jnp.eye(2)[jnp.asarray([0, 1, 1, 0, 1, 0])]
    nets = [rule.init_network(theta, key, (3, 4, 2)) for rule in (apart, same)]
    assert nets[1].layers[1].backward is None
    one, two = (
        update(rule, theta, net, x, y)[0] for rule, net in zip((apart, same), nets, strict=True)
    )
    for a, b in zip(one.layers, two.layers, strict=True):
        np.testing.assert_allclose(a.weight, b.weight, rtol=1e-6)
    assert not np.allclose(one.layers[1].backward[0], two.layers[1].weight[0].T, atol=1e-3)
