import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax import zoo
from hebbax.papers.blur._xor import BACKPROP


def test_names_are_those_of_the_files():
    assert all(zoo.path(name).is_file() for name in zoo.list())
    assert [*zoo.list()] == sorted(zoo.list())


@pytest.mark.parametrize("name", zoo.list())
def test_what_is_shipped(name):
    rule, theta = zoo.load(name)
    learner = rule.rule if isinstance(rule, hx.Ensemble) else rule
    assert type(learner).__name__.lower().removesuffix("rule") == name.split("/")[0]
    for leaf in jax.tree.leaves(theta):
        assert np.isfinite(leaf).all()
    card = zoo.card(name)
    assert card
    json.dumps(card)
    assert zoo.path(name).stat().st_size < 2**20


UPDATES = 2000


@pytest.mark.parametrize("name", zoo.list())
def test_every_rule_lasts(name, key):
    """Its card says for how long, and networks are finite after as many updates."""
    assert zoo.card(name)["measured_updates"] >= UPDATES
    rule, theta = zoo.load(name)
    k_net, k_data = jax.random.split(key)
    hidden = () if name.startswith("vsml") else (3,) * ((rule.synapse_layers or 2) - 1)
    sizes = (3, *hidden, rule.outputs_for(2))
    rows = rule.least_batch * 4 if rule.learns_from_labels else 16

    def update(net, index):
        x = jax.random.normal(jax.random.fold_in(k_data, index), (rows, 3))
        y = jax.nn.one_hot(jnp.where(x[:, 0] > 0, 1, 0), 2)
        return rule.update(theta, net, x, y if rule.learns_from_labels else None)[0], None

    @jax.jit
    def life():
        net = rule.init_network(theta, k_net, sizes)
        net, _ = jax.lax.scan(update, net, jnp.arange(UPDATES))
        return net, rule.predict(theta, net, jax.random.normal(key, (8, 3)))

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(life()))


def test_backpropagation_is_the_special_case_and_not_learnt():
    rule, theta = zoo.load("blur/backprop")
    assert rule == BACKPROP
    expected = BACKPROP.init(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, theta, expected)


def test_unknown_name():
    with pytest.raises(ValueError, match=r"a shipped rule must be one of .*; got 'blur/nothing'"):
        zoo.load("blur/nothing")
    for call in (zoo.card, zoo.path):
        with pytest.raises(ValueError, match="a shipped rule must be one of"):
            call("../../etc/passwd")


def test_a_rule_put_there_is_found(tmp_path, monkeypatch, key):
    monkeypatch.setattr("hebbax._shipped.FOLDER", tmp_path)
    assert zoo.list() == ()
    rule = hx.Hebbian()
    for name in ("b", "a"):
        hx.save_rule(
            tmp_path / "hebbian" / f"{name}.safetensors", rule, rule.init(key), {"n": name}
        )
    assert zoo.list() == ("hebbian/a", "hebbian/b")
    assert zoo.load("hebbian/a")[0] == rule
    assert zoo.card("hebbian/b") == {"n": "b"}
    with pytest.raises(ValueError, match=r"Did you mean 'hebbian/a'\?|Did you mean 'hebbian/b'\?"):
        zoo.load("hebian/a")
