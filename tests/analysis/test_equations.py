import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.analysis import equations

BLUR = {
    "as published": {},
    "full": {"oja": "full"},
    "weights": {"oja": "weights"},
    "activations": {"oja": "activations", "single_state": True},
    "first": {"oja": "first"},
    "relative": {"oja": "relative", "learn_keep": False},
    "tanh": {"saturation": "tanh"},
    "exponential": {"saturation": "exponential", "learn_keep": False},
    "plain": {"normalization": None, "synapse_normalization": None, "symmetric": True},
    "multiplicative": {"backward_update": "multiplicative", "reduction": "sum"},
    "three states": {"states": 3, "forward_presynaptic": True, "feedback": "residual"},
    "layers": {"layer_genomes": 2},
    "derivative": {"forward_activation": "relu_and_derivative", "feedback": "error"},
    "outlook": {
        "forward_update": 0.1,
        "supervised_every": 3,
        "persistent": 4,
        "noise": 0.2,
        "self_regulation": True,
    },
}


def well_formed(text):
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin{align*}") == text.count(r"\end{align*}") > 0
    assert len(re.findall(r"\\left\W", text)) == len(re.findall(r"\\right\W", text))
    for line in text.splitlines():
        assert line.startswith(("%", "\\begin", "\\end")) or 1 <= line.count("&") <= 3, line


@pytest.mark.parametrize("options", BLUR.values(), ids=BLUR)
def test_every_blur_genome_is_written(options, key):
    rule = hx.Blur(genome_init="random", **options)
    well_formed(equations(rule, rule.init(key)))


def test_backpropagation_is_recognised():
    """Of the genome that is backpropagation, the equations are those of the textbook."""
    text = equations(*hx.zoo.load("blur/backprop"))
    assert re.search(r"u_j\^\{0\} &= \\sum_i w_\{ji\}(\^\{0\})? a_i\^\{0\} ", text)
    assert re.search(r"langle a_i\^\{0\} [\d.]*\\?,?a_j\^\{1\} \\Bigr", text)
    assert r"y_j - \operatorname{softmax}(a^0)_j" in text


def test_numbers_are_the_genomes(key):
    rule = hx.Blur(states=3, genome_init="random")
    theta = eqx.tree_at(lambda g: g.eta, rule.init(key), jnp.asarray(1.0))
    text = equations(rule, theta)
    forward = text.split("u_j^{1} &= ")[1].splitlines()[0]
    found = [float(n) for n in re.findall(r"-?\s?[\d.]+(?=\\,a_i)", forward.replace("- ", "-"))]
    np.testing.assert_allclose(found, theta.nu[1], rtol=6e-3)


def test_what_the_outlook_adds_is_said(key):
    rule = hx.Blur(genome_init="random", **BLUR["outlook"])
    ones = jnp.ones((rule.states, rule.states))
    theta = eqx.tree_at(lambda g: g.regulation, rule.init(key), 0.5 * ones)
    text = equations(rule, theta)
    forward = text.split("forward pass")[2]
    assert r"u_j^{0} &\leftarrow a_j^{0} + \frac{2}{1 + e^{-(0.500\,a_j^{0} + " in forward
    assert r"+ 0.200\,\varepsilon_j^{1}" in forward
    assert text.count(r"\varphi_{ji}^{0} &=") == 2
    assert "from 0, 3 does not divide" in text


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (hx.Hebbian(learning_rate=0.25), r"0.250\,\langle a_j a_i - a_j^2 w_{ji} \rangle"),
        (hx.Hebbian(oja=False), r"\langle a_j a_i \rangle"),
        (hx.Vsml(state_clip=4.0, gains=(20.0, 1.0)), r"m_b &= 20.0\,\frac{1}{A}"),
        (hx.Vsml(cell="multiplicative", state_size=4), r"\odot"),
        (hx.Vsml(bundles=(4, 2)), r"with 4 inputs of the network at each }"),
        (hx.UnsupervisedRule(top_units=None, merge_init=2.0), r"2.00\,\operatorname{squash}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_rules(rule, said):
    text = equations(rule, rule.init(jax.random.key(0)))
    well_formed(text)
    assert said in text


def test_rules_that_are_not_written_out_are_named(key):
    rule = hx.MetaRnn()
    with pytest.raises(NotImplementedError, match="MetaRnn"):
        equations(rule, rule.init(key))
