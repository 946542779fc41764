import json

import jax
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
    monkeypatch.setattr(zoo, "_FOLDER", tmp_path)
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
