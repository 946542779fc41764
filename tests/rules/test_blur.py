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
from tiny_blur import SIZES, close, predict, update

import hebbax as hx
from hebbax.rules.blur import (
    Network,
    Normalization,
    Oja,
    Saturation,
    SynapseNormalization,
    Synapses,
)

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
        "forward_update": 0.05,
        "self_regulation": True,
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


def test_update_is_finite_and_differentiable(case):
    rule, theta, net, x, y = case

    def loss(theta):
        carried, _ = rule.update(theta, net, x, y)
        return jnp.sum(rule.predict(theta, carried, x) ** 2)

    gradient = jax.jit(jax.grad(loss))(theta)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))
    assert any(np.any(g != 0) for g in jax.tree.leaves(gradient))
