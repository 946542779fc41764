import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.analysis import locality
from hebbax.analysis._locality import (
    INTO_RECEIVER,
    NEIGHBOURS,
    OUT_OF_SENDER,
    OWN,
    RECEIVER,
    SAME_LAYER,
    SENDER,
)

RULES = {
    "Hebb": (hx.Hebbian(oja=False), {SENDER, RECEIVER}),
    "Oja": (hx.Hebbian(), {OWN, SENDER, RECEIVER}),
    "BLUR": (hx.Blur(), {SENDER, RECEIVER}),
    "presynaptic states of the forward pass": (
        hx.Blur(forward_presynaptic=True),
        {SENDER, RECEIVER},
    ),
    "changes in both passes": (hx.Blur(forward_update=0.1), {SENDER, RECEIVER}),
    "saturation": (hx.Blur(saturation="tanh"), {OWN, SENDER, RECEIVER}),
    "Oja's term of BLUR": (
        hx.Blur(oja="weights", symmetric=True, single_state=True),
        # The backward synapse is a state of the same synapse, and its sum runs over its receivers.
        {OWN, SENDER, RECEIVER, INTO_RECEIVER, OUT_OF_SENDER},
    ),
    "stored synapses normalised": (
        hx.Blur(synapse_normalization="stored", symmetric=True, single_state=True),
        {OWN, SENDER, RECEIVER, INTO_RECEIVER},
    ),
    "VSML": (hx.Vsml(state_size=4, message_size=3), {OWN, SENDER, RECEIVER}),
    "VSML, errors a datum later": (
        hx.Vsml(state_size=4, message_size=3, feedback="next_datum"),
        {OWN, SENDER, RECEIVER},
    ),
    "VSML, plain cell in copies": (
        hx.Vsml(cell="vanilla", state_size=4, batch="half_averaged", copies=2),
        {OWN, SENDER, RECEIVER},
    ),
    "unsupervised": (
        hx.UnsupervisedRule(
            top_units=None, hidden_channels=2, top_channels=2, signal_channels=1, rank=2
        ),
        {OWN, SENDER, RECEIVER, INTO_RECEIVER, OUT_OF_SENDER, SAME_LAYER, NEIGHBOURS},
    ),
}


SLOW = ("unsupervised",)


def cases(values):
    return [
        pytest.param(*case, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, case in values
    ]


@pytest.mark.parametrize(("rule", "used"), cases(RULES.items()))
def test_signals_that_are_used(rule, used, key):
    found = locality(rule, rule.init(key), draws=1)
    assert set(found.used) == used
    assert found.local == (used <= {OWN, SENDER, RECEIVER})
    assert max(found.sensitivity.values()) == 1


@pytest.mark.parametrize("rule", cases((name, case[:1]) for name, case in RULES.items()))
def test_the_change_is_that_of_the_update(rule, key):
    """What is differentiated is what `update` does."""
    if isinstance(rule, hx.Vsml) and (rule.feedback == "next_datum" or rule.copies > 1):
        pytest.skip("more than one pass and its ticks happens in an update")
    rows = 1 if isinstance(rule, hx.Vsml) else 2

    @jax.jit
    def both(key):
        theta = rule.init(key)
        net = rule.init_network(theta, key, (3, 4, 2))
        x, y = jax.random.normal(key, (rows, 3)), jnp.eye(2)[:rows]
        step = rule.plasticity(theta, net, x, y)
        changed, _ = rule.update(theta, net, x, y)
        found = step.change(step.neurons, step.synapses)
        if isinstance(rule, hx.Vsml):
            # `plasticity` runs a forward pass first, which moves the sub-RNNs.
            return found, states(changed)
        return found, rule.plasticity(theta, changed, x, y).synapses

    found, expected = both(key)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def states(net):
    return [
        jnp.transpose(jnp.concatenate([layer.h, layer.c]), (3, 2, 0, 1)).reshape(
            *layer.h.shape[:1:-1], -1
        )
        for layer in net.layers
    ]


def test_rules_that_do_not_say(key):
    rule = hx.Backprop()
    with pytest.raises(NotImplementedError, match="Backprop does not say which signals"):
        locality(rule, rule.init(key))


@pytest.mark.parametrize("option", ["batch", "draws"])
def test_bad_counts(option, key):
    rule = hx.Hebbian()
    with pytest.raises(ValueError, match=f"{option} must be at least 1; got 0"):
        locality(rule, rule.init(key), **{option: 0})
