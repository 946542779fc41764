"""A rule that is not of hebbax goes wherever one of hebbax goes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hebbax as hx
from hebbax import rule_file
from hebbax.rules import AbstractRule


class Delta(AbstractRule):
    """The delta rule, without hidden layers."""

    gain: float = 1.0

    def init(self, key):
        return jnp.ones(())

    def init_network(self, theta, key, sizes):
        return jnp.zeros((sizes[0], sizes[-1]))

    def update(self, theta, net, x, y):
        logits = x @ net
        change = x.T @ (y - jax.nn.softmax(logits)) / len(x)
        return net + self.gain * theta * change, logits

    def predict(self, theta, net, x):
        return x @ net

    def synapse_matrices(self, net):
        return [net.T]


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(rule_file, "_registered", {})


@pytest.fixture
def path(tmp_path):
    rule = Delta(gain=0.5)
    hx.save_rule(tmp_path / "rule.safetensors", rule, rule.init(None), {"title": "mine"})
    return tmp_path / "rule.safetensors"


def test_nothing_is_imported_on_a_file_s_word(path):
    with pytest.raises(hx.RuleFileError, match=r"pass its class, load_rule\(path, rule=Delta\)"):
        hx.load_rule(path)


def test_the_caller_names_the_class(path):
    rule, theta = hx.load_rule(path, rule=Delta)
    assert rule == Delta(gain=0.5)
    assert theta == 1
    with pytest.raises(hx.RuleFileError, match=r"holds a rule of '.*:Delta'.*read as 'Blur'"):
        hx.load_rule(path, rule=hx.Blur)


def test_of_a_class_made_in_a_function_the_same_is_said(tmp_path):
    class Inner(Delta):
        pass

    path = tmp_path / "rule.safetensors"
    hx.save_rule(path, Inner(), Inner().init(None))
    with pytest.raises(hx.RuleFileError, match=r"load_rule\(path, rule=Inner\), or register it"):
        hx.load_rule(path)
    assert hx.load_rule(path, rule=Inner)[0] == Inner()


def test_or_registers_it(path, unchecked):
    assert hx.register_rule(Delta) is Delta
    assert hx.load_rule(path)[0] == Delta(gain=0.5)
    classifier = hx.PlasticClassifier(path, hidden=(), steps=3, random_state=0)
    x = np.random.default_rng(0).normal(size=(40, 3))
    assert classifier.fit(x, x[:, 0] > 0).score(x, x[:, 0] > 0) > 0.7
    with pytest.raises(TypeError, match="subclass of AbstractRule"):
        hx.register_rule(Delta(1.0))  # pyright: ignore


def test_a_run_writes_its_rule(tmp_path, family):
    objective = hx.objectives.QueryCrossEntropy(steps=2, batch=4, query=8)
    result = hx.meta_train(
        Delta(), family, objective, hx.methods.Gradient(optax.adam(0.1)), hidden=(), steps=2,
        key=jax.random.key(0), directory=tmp_path, log_every=1, checkpoint_every=2, validation=2,
    )  # fmt: skip
    rule, theta = hx.load_rule(tmp_path / "rule.safetensors", rule=Delta)
    assert rule == Delta()
    np.testing.assert_array_equal(theta, result.theta)


def test_the_command_line_takes_the_class(path, capsys, monkeypatch):
    from hebbax.cli import main

    monkeypatch.setattr(rule_file, "_registered", {})
    assert main(["show", str(path)]) == 2
    assert "--rule-class MODULE:CLASS" in capsys.readouterr().err
    assert main(["show", str(path), "--rule-class", f"{__name__}:Delta"]) == 0
    assert "Delta, 1 meta-parameters" in capsys.readouterr().out
    assert main(["show", str(path), "--rule-class", f"{__name__}:Nothing"]) == 2
    assert "--rule-class must be MODULE:CLASS" in capsys.readouterr().err


class Curved(Delta):
    """A delta rule that holds a function, which is no array and not marked as static."""

    activation: Callable = jnp.tanh

    def predict(self, theta, net, x):
        return self.activation(x @ net)


def test_a_rule_may_hold_a_function():
    rule = Curved()
    settings = {"hidden": (), "steps": 2, "batch": 8, "seeds": 2, "at": (2,)}
    curves = hx.evaluate(rule, jnp.ones(()), hx.tasks.toy("or"), **settings)
    assert curves.accuracy.shape == (2, 1)
