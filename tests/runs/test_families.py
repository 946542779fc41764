"""Several families in one run: what they are averaged to, and networks of their own."""

import jax
import numpy as np
import pytest
from tiny import RULE, XOR, same, same_result, train

import hebbax as hx
from hebbax.outer._problem import Problem
from hebbax.runs.checkpoint import CheckpointError


def test_mixture_of_shapes(family, arrays):
    twin = hx.tasks.from_arrays(*arrays)
    result = train(family=[XOR, family, hx.tasks.toy("or"), twin], steps=5, tasks=2)
    line = result.history[-1]
    parts = [line[f"accuracy/{name}"][0] for name in ("xor", "arrays#1", "or", "arrays#3")]
    assert line["accuracy"][0] == pytest.approx(np.mean(parts), abs=1e-6)
    assert all(0 <= part <= 1 for part in parts)


def test_mixture_is_the_mean_of_its_families(key, family):
    """Meta-losses of single families average to that of the mixture, up to the sampling."""
    theta = RULE.init(key)
    objective = hx.objectives.QueryCrossEntropy(steps=1, batch=4, query=64)
    mixture, single = (
        jax.jit(Problem(RULE, families, objective, (3,), tasks=3).loss)
        for families in ([XOR, family], [XOR])
    )
    value, metrics = mixture(theta, key)
    assert set(metrics) == {"accuracy", "accuracy/xor", "accuracy/arrays"}
    alone = single(theta, key)
    # The first family of a mixture meets the same tasks and networks as alone.
    assert float(metrics["accuracy/xor"]) == pytest.approx(float(alone[1]["accuracy"]))
    assert float(value) > 0


def test_each_family_can_have_networks_of_its_own(key):
    theta, both = RULE.init(key), [XOR, hx.tasks.toy("or")]
    objective = hx.objectives.QueryCrossEntropy(steps=1, batch=4, query=64)
    same_for_all, own = (
        jax.jit(Problem(RULE, both, objective, hidden, tasks=3).loss)(theta, key)
        for hidden in ((3,), ((3,), (3,)))
    )
    same(own, same_for_all)
    problem = Problem(RULE, both, objective, ((3,), ()), tasks=3)
    assert [problem.sizes(index) for index in (0, 1)] == [(2, 3, 2), (2, 2)]
    alone = jax.jit(Problem(RULE, [XOR], objective, (3,), tasks=3).loss)(theta, key)
    metrics = jax.jit(problem.loss)(theta, key)[1]
    assert float(metrics["accuracy/xor"]) == pytest.approx(float(alone[1]["accuracy"]))
    assert float(metrics["accuracy/or"]) != float(same_for_all[1]["accuracy/or"])


def test_hidden_layers_of_each_family_go_through_a_run(tmp_path):
    settings = {"family": [XOR, hx.tasks.toy("or")], "hidden": [(3,), ()]}
    train(tmp_path, steps=10, **settings)
    same_result(train(tmp_path, **settings), train(**settings))
    with pytest.raises(CheckpointError, match="hidden"):
        train(tmp_path, **{**settings, "hidden": [(), (3,)]})


@pytest.mark.parametrize("hidden", [[(3,)], [(3,), 4], [(3,), (), ()]])
def test_hidden_layers_of_another_number_of_families(hidden):
    with pytest.raises(ValueError, match="for each of the families, 2 in number; got "):
        train(family=[XOR, XOR], hidden=hidden)


def test_no_family():
    with pytest.raises(ValueError, match="family must be a task family, or several"):
        train(family=[])
