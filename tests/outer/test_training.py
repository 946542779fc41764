import jax
import jax.numpy as jnp
import pytest
from tiny import METHOD, OBJECTIVE, RULE, XOR, Delta

import hebbax as hx

DELTA = Delta().init(jax.random.key(0))


def training(**changes):
    settings = {
        "rule": Delta(),
        "families": XOR,
        "objective": OBJECTIVE,
        "method": METHOD,
        "steps": 4,
        "key": jax.random.key(0),
        **changes,
    }
    first = [settings.pop(name) for name in ("rule", "families", "objective", "method")]
    return hx.MetaTraining(*first, **settings)


class Called(hx.objectives.QueryCrossEntropy):
    def __call__(self, rule, theta, net, episode):
        raise AssertionError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "blur"}, "rule must be one such as hebbax.Blur.*got 'blur'"),
        ({"families": "xor"}, r"family must be one of hebbax.tasks.*got 'xor'"),
        ({"families": (XOR, "or")}, "family must be one of hebbax.tasks.*got 'or'"),
        ({"families": ()}, "family must be a task family, or several of them; got none"),
        ({"objective": len}, "objective must be one of hebbax.objectives.*defines judge.*got <bui"),
        ({"objective": Called()}, "objective must be one of hebbax.objectives.*defines judge"),
        ({"method": "adam"}, "method must be one of hebbax.methods.*got 'adam'"),
        ({"hidden": 8}, "hidden must hold the units of each hidden layer.*got 8"),
        ({"hidden": (0,)}, r"hidden must hold the units of each hidden layer.*got \(0,\)"),
        ({"hidden": ((3,), ())}, "hidden must hold .* of the families, 1 in number"),
        ({"key": 0}, r"key must be one such as jax.random.key\(0\); got 0"),
        ({"steps": True}, "steps must be a whole number, at least 1; got True"),
        ({"runs": 1.5}, "runs must be a whole number, at least 1; got 1.5"),
        ({"runs": float("nan")}, "runs must be a whole number, at least 1; got nan"),
        ({"runs": 10**30}, "runs must be at most 4294967296; got 1000000"),
        ({"runs": True}, "runs must be a whole number, at least 1; got True"),
        ({"tasks": 0}, "tasks must be at least 1; got 0"),
        ({"checkpoint_every": 70}, "checkpoint_every must be a multiple of log_every, 50; got 70"),
        ({"theta": {"speed": 0.1}}, "theta must have the structure that rule.init gives it"),
        (
            {"theta": {"rate": jnp.ones(2)}},
            r"theta\['rate'\] must be float32\[\].*float32\[2\]",
        ),
        ({"theta": {"rate": jnp.ones((), int)}}, r"theta\['rate'\] must be .*got int32"),
    ],
)
def test_bad_settings(unchecked, changes, message):
    with pytest.raises(ValueError, match=message) as raised:
        training(**changes)
    assert "\n" not in str(raised.value)


def test_one_family_or_several():
    assert training().all_families == (XOR,)
    assert training(families=[XOR, XOR]).all_families == (XOR, XOR)


def test_objective_without_a_curriculum_has_one_stage():
    course = training().course
    assert (course.stage(10**6), course.end(0), course.unrolls) == (0, None, (OBJECTIVE.steps,))
    assert course.at(0) is OBJECTIVE
    assert not course.synchronize


def test_first_thetas():
    found = training(theta=DELTA, runs=3).thetas()
    assert found["rate"].tolist() == [float(DELTA["rate"])] * 3
    drawn = training(runs=3).thetas()["rate"].tolist()
    assert len(set(drawn)) == 3


def test_networks():
    assert training(rule=RULE, hidden=(3,)).networks() == {"2-3-2": 2 * 3 + 3 + 3 * 2 + 2}


def test_networks_that_the_rule_cannot_make_are_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(ValueError, match="made for sizes"):
        hx.meta_train(
            hx.MetaRnn(inputs=2, outputs=1), XOR, OBJECTIVE, METHOD, hidden=(3,), steps=2,
            key=jax.random.key(0), log_every=1, checkpoint_every=2, directory=tmp_path / "run",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
