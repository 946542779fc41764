"""Options of all rules by their types, and what rules say of themselves."""

import dataclasses
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax._options import allows
from hebbax.rules.blur import Normalization, Oja, Saturation, SynapseNormalization

CLASSES = (
    hx.Blur, hx.Vsml, hx.UnsupervisedRule, hx.Backprop, hx.Hebbian, hx.MetaRnn,
    Normalization, SynapseNormalization, Oja, Saturation,
)  # fmt: skip
NEEDED = {Oja: {"form": "full"}, Saturation: {"form": "tanh"}}
WRONG = ("no", "", [], {"a": 1}, math.nan, math.inf, 1e39, -1e30, 10**30, 1.5, True, -1, None, b"x",
         (), ("a",), (math.nan,), object())  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("cls", CLASSES)
def test_every_option_is_what_its_annotation_says(cls):
    """Nothing of the wrong type is taken, and what is refused is named."""
    hints = typing.get_type_hints(cls, include_extras=True)
    refused = 0
    for field in dataclasses.fields(cls):
        for value in WRONG:
            made, why = attempt(cls, {**NEEDED.get(cls, {}), field.name: value})
            if why is None:
                taken = getattr(made, field.name)
                assert allows(hints[field.name], taken), (field.name, value)
                continue
            refused += 1
            assert "\n" not in why, (field.name, value)
            if not allows(hints[field.name], value):
                assert field.name in why, (field.name, value, why)
    assert refused > 5 * len(dataclasses.fields(cls))


def attempt(cls, options):
    """Return what is made of options, or why they are refused."""
    try:
        return cls(**options), None
    except ValueError as error:
        return None, str(error)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (hx.Blur, {"symmetric": "no"}), (hx.Blur, {"bias": math.nan}), (hx.Blur, {"states": 1e30}),
        (hx.Blur, {"normalization": {"last": []}}), (hx.Blur, {"states": math.nan}),
        (hx.Blur, {"oja": {"form": "full", "strength": 1}}), (hx.Blur, {"init_scale": -0.1}),
        (hx.Vsml, {"ticks": 1.5}), (hx.Vsml, {"coordinates": 5}), (hx.Vsml, {"gains": (1.0,)}),
        (hx.UnsupervisedRule, {"planes": 12.0}), (hx.MetaRnn, {"inputs": True}),
        (hx.Backprop, {"learning_rate": "fast"}), (hx.Hebbian, {"oja": 1}),
    ],
)  # fmt: skip
def test_what_was_once_taken_is_refused(cls, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        cls(**options)


FACTS = {
    "blur": (hx.Blur(), (True, False, 2, True)),
    "blur without normalisation": (hx.Blur(normalization=None), (True, False, 1, True)),
    "vsml": (hx.Vsml(), (True, False, 1, True)),
    "vsml copies": (hx.Vsml(batch="half_averaged", copies=3), (True, False, 3, True)),
    "unsupervised": (hx.UnsupervisedRule(), (False, True, 2, False)),
    "backprop": (hx.Backprop(), (True, False, 1, True)),
    "continual": (hx.ContinualBackprop(), (True, False, 1, True)),
    "ensemble": (
        hx.Ensemble(hx.Blur(normalization=None, learn_keep=False)),
        (True, False, 1, True),
    ),
    "hebbian": (hx.Hebbian(), (True, True, 1, True)),
    "meta rnn": (hx.MetaRnn(inputs=4, outputs=3, state_size=4), (True, False, 1, True)),
}


@pytest.mark.parametrize("name", FACTS)
def test_what_rules_say_is_true(name, key):
    rule, said = FACTS[name]
    assert said == (
        rule.learns_from_labels, rule.learns_without_labels, rule.least_batch, rule.predicts_alone,
    )  # fmt: skip
    outputs = rule.outputs_for(3)
    assert outputs == (32 if name == "unsupervised" else 3)
    hidden = () if name == "meta rnn" else (5,)
    theta = jax.jit(rule.init)(key)
    rows = 3 if name == "vsml copies" else 6
    x = jax.random.normal(jax.random.key(2), (rows, 4))

    @jax.jit
    def everything(theta, x):
        net = rule.init_network(theta, key, (4, *hidden, outputs))
        alone = rule.predict_alone(theta, net, x[:1], rule.measure(theta, net, x))
        few = None if rule.predicts_alone else rule.predict(theta, net, x[:2])
        after, _ = rule.update(theta, net, x, None)
        return net, after, rule.predict(theta, net, x), alone, few

    net, after, together, alone, few = everything(theta, x)
    same = [bool(jnp.array_equal(a, b)) for a, b in zip(*map(jax.tree.leaves, (net, after)),
                                                        strict=True)]  # fmt: skip
    assert all(same) is not rule.learns_without_labels
    np.testing.assert_allclose(alone, together[:1], atol=1e-5)
    if few is not None:
        assert not np.allclose(few[:1], together[:1], atol=1e-3)
    arrays = [entry.array.size for section in rule.sections(theta) for entry in section.entries]
    assert sum(arrays) == sum(a.size for a in jax.tree.leaves(theta))


def test_synapses_of_rules_are_matrices(key):
    for rule in (hx.Blur(), hx.UnsupervisedRule(top_units=2), hx.Backprop(), hx.Hebbian()):

        def matrices(key, rule=rule):
            net = rule.init_network(rule.init(key), key, (3, 4, 2))
            return rule.synapse_matrices(net)

        assert [m.shape for m in jax.eval_shape(matrices, key)] == [(4, 3), (2, 4)]
    rule = hx.Vsml()
    with pytest.raises(NotImplementedError, match="synapses of a Vsml are not known"):
        rule.synapse_matrices(rule.init_network(rule.init(key), key, (3, 2)))


def test_a_genome_is_shown_by_the_paper_s_names(key):
    rule = hx.Blur(layer_genomes=2)
    first, second = rule.sections(rule.init(key))
    assert second.title == "synapse layer 2 of 2"
    assert {e.symbol for e in first.entries} >= {"ν", "μ̃", "η̃"}  # noqa: RUF001
