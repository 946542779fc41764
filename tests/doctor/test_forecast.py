import dataclasses
import json

import jax
import optax
import pytest
from tiny import METHOD, OBJECTIVE, RULE, train

import hebbax as hx
from hebbax.doctor._forecast import spelt_seconds

SETTINGS = {
    "steps": 20, "key": jax.random.key(0), "validation": 2, "log_every": 5,
    "checkpoint_every": 10, "seconds": 0.0, "hidden": (4,), "runs": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def of(family):
    """Return a function that forecasts a run of very little; `changes` to the settings."""

    def of(family=family, objective=OBJECTIVE, method=METHOD, **changes):
        return hx.forecast(RULE, family, objective, method, **{**SETTINGS, **changes})

    return of


@pytest.fixture(scope="module")
def usual(of):
    """Return a forecast of two runs with a hidden layer."""
    return of(seconds=0.05)


def test_counts(usual):
    theta = RULE.init(jax.random.key(0))
    net = RULE.init_network(theta, jax.random.key(1), (3, 4, 2))
    assert usual.theta == sum(leaf.size for leaf in jax.tree.leaves(theta))
    assert usual.networks == {"3-4-2": sum(leaf.size for leaf in jax.tree.leaves(net))}
    assert usual.runs == 2


def test_counts_of_networks_of_each_family(of, family):
    found = of(family=[family, hx.tasks.toy("xor")], hidden=[(4,), ()], seconds=0.05)
    theta = RULE.init(jax.random.key(0))
    assert found.networks == {
        "-".join(map(str, sizes)): sum(
            leaf.size
            for leaf in jax.tree.leaves(RULE.init_network(theta, jax.random.key(1), sizes))
        )
        for sizes in ((3, 4, 2), (2, 2))
    }


def test_memory_is_that_of_the_largest_program(usual):
    (stage,) = usual.stages
    peaks = stage.step_memory.peak, stage.validation_memory.peak
    assert min(peaks) > 0
    assert usual.peak_memory == max(peaks)
    assert stage.step_memory.arguments >= 2 * 4 * usual.theta
    assert usual.device_memory is None or usual.device_memory > usual.peak_memory


def test_times_add_up(usual):
    (stage,) = usual.stages
    assert (stage.first, stage.last, stage.unroll, stage.validations) == (0, 20, 2, 2)
    assert 1 <= stage.timed_steps <= 20
    assert stage.seconds == pytest.approx(20 * stage.step_seconds + 2 * stage.validation_seconds)
    assert usual.seconds == pytest.approx(usual.compile_seconds + stage.seconds)
    assert min(stage.step_seconds, stage.validation_seconds, stage.compile_seconds) > 0


def test_is_plain_data(usual):
    assert json.loads(json.dumps(dataclasses.asdict(usual)))["theta"] == usual.theta


@pytest.mark.parametrize(
    "method",
    [
        hx.methods.CMAES(population=4),
        hx.methods.TruncatedGradient(optax.sgd(1e-3), truncation=1, particles=2),
    ],
    ids=["cma", "truncated"],
)
def test_any_method(of, method):
    (stage,) = of(method=method).stages
    assert stage.timed_steps == 1
    assert stage.step_memory.peak > 0
    assert stage.step_seconds > 0


def test_curriculum(of, family):
    kept = dataclasses.replace(OBJECTIVE, remat=False)
    grown = hx.Curriculum(kept, unrolls=[1, 50], every=8, synchronize=False)
    found = of(objective=grown, steps=23, hidden=(), runs=1)
    assert [(s.first, s.last, s.unroll) for s in found.stages] == [(0, 8, 1), (8, 23, 50)]
    short, long = (s.step_memory.temporaries for s in found.stages)
    assert long > 2 * short
    # At the end of the first stage; at 10, 20 and the end.
    assert [s.validations for s in found.stages] == [1, 3]
    assert found.peak_memory == max(
        m.peak for s in found.stages for m in (s.step_memory, s.validation_memory)
    )
    history = train(family=family, objective=grown, steps=23).history
    assert sum("validation_loss" in line for line in history) == 4


@pytest.mark.parametrize(("start", "left", "turns"), [(5, 15, 2), (10, 10, 1), (20, 0, 0)])
def test_what_is_left(of, start, left, turns):
    (stage,) = of(start=start).stages
    assert (stage.last - stage.first, stage.validations) == (left, turns)
    assert stage.timed_steps == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 0}, "steps must be at least 1; got 0"),
        ({"runs": 0}, "runs must be at least 1; got 0"),
        ({"start": -1}, "start must be at least 0; got -1"),
        ({"family": ()}, "family must be a task family, or several of them; got none"),
    ],
)
def test_bad_settings(of, changes, said):
    with pytest.raises(ValueError, match=said):
        of(**changes)


def test_spelt_seconds():
    spoken = [spelt_seconds(s) for s in (0.0123, 3.21, 59.96, 250.0, 3600.0, 7530.0, 3e5)]
    assert spoken == ["12.3 ms", "3.2 s", "1 min 0 s", "4 min 10 s", "1 h 0 min", "2 h 6 min",
                      "3.5 days"]  # fmt: skip
    assert spelt_seconds(float("nan")) == "unknown"
