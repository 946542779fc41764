"""Units that follow the delta rule: they learn as it does, and disturb no others."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.rules.vsml import Layer
from hebbax.teachers import with_delta_rule
from hebbax.teachers._delta_rule import GAIN, STEP, still

INPUTS, OUTPUTS = 7, 3


@pytest.fixture(scope="module")
def parts():
    """Return a rule whose own units say nothing, and the same with the delta rule."""
    rule = hx.Vsml(state_size=4, message_size=2)
    theta = rule.init(jax.random.key(0))
    silent = dataclasses.replace(
        theta.forward_head, weight=jnp.zeros_like(theta.forward_head.weight)
    )
    theta = dataclasses.replace(theta, forward_head=silent)
    return rule, theta, with_delta_rule(rule, theta)


def data(rows, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, INPUTS)).astype(np.float32)
    return x, np.eye(OUTPUTS, dtype=np.float32)[rng.integers(OUTPUTS, size=rows)]


def test_alone_they_are_the_delta_rule(parts):
    """Of the predicted loss, weights follow the gradient, with tanh(x / 2) for x."""
    _, _, (rule, theta) = parts
    rows = 300
    x, y = data(rows)
    net = rule.init_network(theta, jax.random.key(1), (INPUTS, OUTPUTS))
    still_net = eqx.tree_at(
        lambda n: n.layers, net, tuple(jax.tree.map(jnp.zeros_like, n) for n in net.layers)
    )
    _, found = jax.jit(rule.update)(theta, still_net, x, y)
    w, beta = np.zeros((OUTPUTS, INPUTS)), np.zeros((OUTPUTS, INPUTS))
    kept = 1 / (1 + math.exp(-10))
    expected = []
    for row, label in zip(x.astype(float), y, strict=True):
        t = np.tanh(row / 2)
        # σ(x) tanh(w + β) − σ(−x) tanh(w − β) for states that are small.
        expected.append(GAIN * np.mean(t * w + beta, axis=1))
        p = np.exp(expected[-1] - expected[-1].max())
        error = np.tanh(STEP * (p / p.sum() - label))[:, None]
        # Once more the tick without an error, in which all states fade a little.
        into, out = 1 / (1 + np.exp(5 - row)), 1 / (1 + np.exp(5 + row))
        w = kept**2 * w - (into - out) / 2 * error
        third = 1 / (1 + math.exp(5))
        beta = kept**2 * beta - ((into + out) / 2 - third) * error
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.05)
    assert np.abs(expected).max() > 2


def test_the_others_do_what_they_did(parts):
    rule, theta, (joined, both) = parts
    x, y = data(5)
    silent = both.forward_head.weight.at[:, 0].set(0.0)
    both = eqx.tree_at(lambda t: t.forward_head.weight, both, silent)
    old = jnp.array([0, 1, 3, 4])

    def states(rule, theta, wide):
        net = rule.init_network(theta, jax.random.key(1), (INPUTS, OUTPUTS))
        first = jnp.asarray(np.random.default_rng(2).normal(size=(4, 1, OUTPUTS, INPUTS)), float)
        grid = jnp.zeros_like(net.layers[0].c).at[old if wide else jnp.arange(4)].set(first)
        net = eqx.tree_at(lambda n: n.layers, net, (Layer(jnp.zeros_like(grid), grid),))
        after = jax.jit(rule.update)(theta, net, x, y)[0].layers[0].c
        return after[old] if wide else after

    np.testing.assert_allclose(
        states(joined, both, wide=True), states(rule, theta, wide=False), rtol=1e-5, atol=1e-6
    )


def test_what_makes_them_drift_is_known(parts):
    """Without an error states stay, whatever else a meta-step changes."""
    _, _, (rule, theta) = parts
    moves = still(rule)
    rng = np.random.default_rng(0)
    moved = jax.tree.map(
        lambda a, m: a + 0.1 * jnp.asarray(rng.normal(size=a.shape), a.dtype) * m, theta, moves
    )
    moved = eqx.tree_at(lambda t: t.forward_head.weight, moved, theta.forward_head.weight)
    x, _ = data(400)
    net = rule.init_network(moved, jax.random.key(1), (INPUTS, OUTPUTS))

    @jax.jit
    def run(net, x):
        def one(net, row):
            return rule.forward(moved, net, row[None]).net, None

        return jax.lax.scan(one, net, x)[0]

    before, after = (n.layers[0].c[jnp.array([2, 5, 6])] for n in (net, run(net, x)))
    np.testing.assert_allclose(after, before, atol=0.05 * float(jnp.abs(before).max()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"error_as": "message"}, "takes the error as an input.*got cell='lstm', error_as='mess"),
        ({"layer_norm": True}, "does not normalise.*layer_norm=True"),
        ({"forget_offsets": (3.0, 9.0)}, r"without forget_offsets.*got \(3.0, 9.0\) and \(\)"),
        ({"coordinates": ("time",)}, r"got None and \('time',\)"),
    ],
)
def test_rules_it_does_not_fit_are_refused(options, message):
    rule = hx.Vsml(state_size=4, message_size=2, **options)
    with pytest.raises(ValueError, match=message):
        with_delta_rule(rule, rule.init(jax.random.key(0)))
