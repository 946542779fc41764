import jax
import numpy as np
import optax
import pytest
from tiny import METHOD, OBJECTIVE, Delta, same, same_result, train

import hebbax as hx
from hebbax.outer._problem import Problem


def curriculum(**changes):
    return hx.Curriculum(OBJECTIVE, **{"unrolls": (1, 2, 4), "every": 8, **changes})


def test_lifetimes_grow_and_runs_are_synchronised():
    result = train(rule=Delta(), objective=curriculum(), runs=3, steps=24)
    lines = {line["step"]: line for line in result.history}
    assert sorted(lines) == [5, 8, 10, 15, 16, 20, 24]
    validated = {step for step, line in lines.items() if "validation_loss" in line}
    assert validated == {8, 10, 16, 20, 24}
    for step in (8, 16):
        assert lines[step]["synchronized_on"] == int(np.argmin(lines[step]["validation_loss"]))
    assert "synchronized_on" not in lines[24]
    # After that the runs meet different tasks, and differ.
    assert len(set(lines[10]["loss"])) == 3
    updates = {
        step: lines[step]["inner_updates_per_s"] / lines[step]["meta_steps_per_s"]
        for step in (5, 10, 24)
    }
    assert [round(updates[step]) for step in (5, 10, 24)] == [3, 6, 12]


@pytest.mark.slow
def test_the_best_is_judged_by_the_longest_lifetimes(key):
    result = train(rule=Delta(), objective=curriculum(), runs=2, steps=24)
    k_validation = jax.random.split(key, 3)[2]
    problem = Problem(Delta(), [hx.tasks.toy("xor")], curriculum().at(2))
    losses = [float(problem.loss(result.theta, k)[0]) for k in jax.random.split(k_validation, 2)]
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-4)


SLOW = pytest.mark.slow


GOING_ON = {
    "rule": Delta(), "objective": curriculum(), "runs": 2, "log_every": 2, "checkpoint_every": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    return train(steps=24, **GOING_ON)


@pytest.mark.parametrize(
    "stop", [pytest.param(8, marks=SLOW), 10, pytest.param(16, marks=SLOW), 20]
)
def test_going_on_gives_the_same_bits(tmp_path, stop, whole):
    train(tmp_path, steps=stop, **GOING_ON)
    same_result(train(tmp_path, steps=24, **GOING_ON), whole)


def test_one_stage_is_its_objective():
    single = train(rule=Delta(), runs=2)
    same_result(train(rule=Delta(), runs=2, objective=curriculum(unrolls=(2,), synchronize=False)),
                single)  # fmt: skip


def test_without_synchronisation_runs_are_apart_from_their_start():
    settings = {"rule": Delta(), "steps": 24, "checkpoint_every": 5}
    many = train(objective=curriculum(synchronize=False), runs=2, **settings)
    assert not any("synchronized_on" in line for line in many.history)


@pytest.mark.slow
def test_every_method_takes_a_curriculum():
    for method in (
        hx.methods.TruncatedGradient(optax.adam(1e-2), truncation=1, particles=2),
        hx.methods.PersistentES(optax.adam(1e-2), truncation=1, pairs=2),
        hx.methods.EvolutionStrategy(optax.adam(1e-2), pairs=2),
        hx.methods.CMAES(0.1, 4),
    ):
        result = train(rule=Delta(), objective=curriculum(), method=method, runs=2, steps=20)
        assert np.isfinite(result.loss)
        assert result.history[-1]["step"] == 20


def test_configuration_tells_curricula_apart(tmp_path):
    train(tmp_path, objective=curriculum(), steps=2)
    for changes in ({"every": 9}, {"unrolls": (1, 2, 5)}, {"synchronize": False}):
        with pytest.raises(hx.CheckpointError, match="holds a run with objective"):
            train(tmp_path, objective=curriculum(**changes), steps=2)


def test_learning_rate_schedule():
    """Of optax: steps of a rate that falls to nothing change nothing any more."""
    rate = optax.linear_schedule(0.1, 0.0, 5)
    method = hx.methods.Gradient(optax.sgd(rate))
    early = train(rule=Delta(), method=method, steps=5)
    late = train(rule=Delta(), method=method, steps=20)
    same(early.thetas, late.thetas)
    theta = Delta().init(jax.random.key(0))
    assert METHOD.fingerprint(theta) != method.fingerprint(theta)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unrolls": ()}, "unrolls must hold at least one number"),
        ({"unrolls": (1, 0)}, "unrolls must be a tuple, each item a whole number of at least 1"),
        ({"every": 0}, "every must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        curriculum(**changes)


@pytest.mark.parametrize("method", [hx.methods.TruncatedGradient, hx.methods.PersistentES])
def test_every_stage_must_fit_the_truncations(method):
    """Lifetimes shorter than a truncation would not be what the curriculum says."""
    cut = method(optax.sgd(0.1), truncation=2)
    with pytest.raises(ValueError, match="unroll must divide the objective's steps, 3; got 2"):
        train(method=cut, objective=curriculum(unrolls=(2, 3)))
