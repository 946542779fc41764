"""Cloning inside networks: what is judged is what runs, and its targets are backpropagation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.papers.vsml._exact import Exact
from hebbax.teachers import CloneBackprop, CloneInNetwork, begin, cloning_rule, random_synapses
from hebbax.teachers._cloning import backpropagation, weights

FAMILY = hx.tasks.digits()


def judged(objective, rule, theta, hidden, key):
    episode = FAMILY.sample(key, objective.steps, objective.batch, objective.query)
    net = rule.init_network(theta, key, (64, *hidden, 10))
    return net, episode, *eqx.filter_jit(objective.unroll_and_judge)(rule, theta, net, episode)


@pytest.mark.parametrize("hidden", [(), (5, 4)])
def test_what_is_judged_is_what_the_rule_does(hidden, key):
    rule = cloning_rule(5, gains=(3.0, 2.0))
    theta = begin(rule, key)
    net, episode, after, _ = judged(CloneInNetwork(steps=3, batch=8), rule, theta, hidden, key)
    plain, _ = hx.unroll(rule, theta, net, episode.x, episode.y)
    for ours, theirs in zip(after.layers, plain.layers, strict=True):
        np.testing.assert_allclose(ours.c, theirs.c, rtol=1e-4, atol=1e-5)


def test_given_errors_are_those_of_backpropagation(key, monkeypatch):
    """Put backpropagation in place of sub-RNNs: all errors vanish, and it learns as such."""
    rate, bias_rate = 0.1, 0.1
    rule = cloning_rule(3, gains=(20.0, 2.0))
    module = "hebbax.teachers._network_cloning."

    def up(theta, layer, x):
        w, b = weights(layer.c, bias_rate)
        return jnp.tanh(x)[:, None, :] * w + b, layer

    def down(theta, layer, x, error):
        answer = backpropagation(layer.c, x, error, rate, bias_rate)
        return answer.e, eqx.tree_at(lambda a: a.c, layer, layer.c + answer.c)

    monkeypatch.setattr(module + "pass_up", up)
    monkeypatch.setattr(module + "pass_down", down)
    exact = Exact(rule, lambda c: weights(c, bias_rate), rate, bias_rate)
    for given in (False, True):
        objective = CloneInNetwork(steps=4, batch=8, given=given, rate=rate, bias_rate=bias_rate)
        _, episode, after, (loss, metrics) = judged(objective, rule, rule.init(key), (6,), key)
        assert float(loss) < 1e-9
        assert all(error < 1e-5 for error in metrics.values())
        plain = exact.init_network((), key, (64, 6, 10))
        plain, _ = hx.unroll(exact, (), plain, episode.x, episode.y)
        for ours, theirs in zip(after.layers, plain, strict=True):
            np.testing.assert_allclose(
                weights(ours.c, bias_rate)[0][0].T, theirs.w, rtol=1e-4, atol=1e-6
            )


def test_given_errors_matter_below_other_layers_only(key):
    rule, theta = hx.zoo.load("vsml/backprop")
    for hidden in ((), (6,)):
        changed = [
            judged(CloneInNetwork(given=given), rule, theta, hidden, key)[2].layers[0].c
            for given in (False, True)
        ]
        assert bool(jnp.all(changed[0] == changed[1])) == (hidden == ())


def test_the_shipped_clone_is_near_backpropagation_and_an_untaught_one_is_not(key):
    rule, theta = hx.zoo.load("vsml/backprop")
    loss = [
        float(judged(CloneInNetwork(), rule, t, (8,), key)[3][0])
        for t in (theta, begin(rule, jax.random.key(0)))
    ]
    assert loss[1] > 5 * loss[0]


def test_on_random_synapses_it_is_what_synapses_are_taught_by(key):
    rule, family = cloning_rule(4), random_synapses(5)
    theta, net = begin(rule, key), rule.init_network(rule.init(key), key, (5, 5))
    episode = family.sample(key, 2, 8, 15)
    settings = {"steps": 2, "batch": 8, "query": 15, "rate": 0.2, "bias_rate": 0.3}
    found = [
        objective(**settings).unroll_and_judge(rule, theta, net, episode)[1]
        for objective in (CloneInNetwork, CloneBackprop)
    ]
    assert found[0] == found[1]


def test_bad_input(key):
    rule = cloning_rule(3)
    net = rule.init_network(rule.init(key), key, (4, 3))
    with pytest.raises(ValueError, match="rate must be a finite number above 0"):
        CloneInNetwork(rate=0.0)
    with pytest.raises(ValueError, match="CloneInNetwork needs truncations of one length"):
        CloneInNetwork().unroll_and_judge(rule, None, net, None, taken=jnp.asarray(1))
