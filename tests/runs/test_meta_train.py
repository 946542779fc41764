import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import (
    METHOD,
    OBJECTIVE,
    RULE,
    XOR,
    Delta,
    Distance,
    close,
    differ,
    logged,
    same,
    same_result,
    timeless,
    train,
)

import hebbax as hx
from hebbax._optax import updates
from hebbax.outer._problem import Problem
from hebbax.outer.engines import CompiledEngine, SearchEngine, Setup
from hebbax.rule_file import read_rule_file
from hebbax.rules._backprop import LearningRate
from hebbax.runs import _run as run_module
from hebbax.runs import digest_of
from hebbax.runs.checkpoint import CheckpointError


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Return the result and the folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("straight")
    return train(folder), folder


@pytest.fixture
def copied(straight, tmp_path):
    """Return the folder of such a run, to do with as one likes."""
    return shutil.copytree(straight[1], tmp_path / "copied")


class Interrupter:
    """Stands in for the progress bar and interrupts at a step."""

    at = None

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, done, note=""):
        if done == self.at:
            raise KeyboardInterrupt


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that trains until a step, where ^C is pressed."""

    def run(at, directory, **changes):
        with monkeypatch.context() as patch:
            patch.setattr(run_module, "Progress", type("At", (Interrupter,), {"at": at}))
            with pytest.raises(KeyboardInterrupt):
                train(directory, **changes)

    return run


@pytest.fixture
def no_compilation(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("nothing is left to do, so nothing is to be compiled")

    for engine in (CompiledEngine, SearchEngine):
        monkeypatch.setattr(engine, "compile", refuse)


# What is learnt


def test_loss_falls_on_xor():
    result = train(
        rule=hx.Blur(feedback="error", synapse_update=0.01),
        objective=hx.objectives.QueryCrossEntropy(steps=5, batch=32, query=32),
        method=hx.methods.Gradient(optax.adam(3e-2), clip=10.0),
        hidden=(8,),
        steps=200,
        log_every=25,
        checkpoint_every=50,
        validation=8,
    )
    losses = [line["loss"][0] for line in result.history]
    validations = [
        line["validation_loss"][0] for line in result.history if "validation_loss" in line
    ]
    assert len(losses) == 8
    assert losses[-1] < losses[0] - 0.05
    assert len(validations) == 4
    assert result.loss == pytest.approx(min(validations))
    assert result.step == 50 * (1 + validations.index(min(validations)))
    assert all(line["nonfinite"] == [0] for line in result.history)


def test_one_meta_step_by_hand(key):
    """θ after one step is that of the optimiser on the gradient of the meta-loss."""
    result = train(steps=1, tasks=2)
    k_init, k_train, _ = jax.random.split(key, 3)
    theta = RULE.init(jax.random.split(k_init, 1)[0])
    loss = Problem(RULE, [XOR], OBJECTIVE, (), tasks=2).loss
    (value, _), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(
        theta, jax.random.fold_in(k_train, 0)
    )
    change, _ = updates(optax.adam(1e-2), gradient, optax.adam(1e-2).init(theta), theta)
    close(result.theta, optax.apply_updates(theta, change), rtol=1e-4, atol=1e-6)
    assert result.history[0]["loss"][0] == pytest.approx(float(value), rel=1e-5)


def test_same_key_same_theta(straight):
    same_result(train(), straight[0])


def test_another_key_another_theta(straight):
    differ(train(key=jax.random.key(1), steps=5).theta, straight[0].theta)


def test_runs_are_single_runs_side_by_side(key):
    many = train(rule=Delta(), runs=3)
    starts = jax.vmap(Delta().init)(jax.random.split(jax.random.split(key, 3)[0], 3))
    singles = [
        train(rule=Delta(), theta=jax.tree.map(lambda a, i=i: a[i], starts)) for i in range(3)
    ]
    for index, single in enumerate(singles):
        mine = jax.tree.map(lambda a, i=index: a[i], many.thetas)
        close(mine, jax.tree.map(lambda a: a[0], single.thetas), rtol=1e-4, atol=1e-5)
    validations = np.array(
        [line["validation_loss"] for line in many.history if "validation_loss" in line]
    )
    assert validations.shape == (2, 3)
    where, run = np.unravel_index(validations.argmin(), validations.shape)
    assert (many.run, many.step) == (run, 10 * (where + 1))
    assert many.loss == pytest.approx(validations.min())
    assert many.run == int(np.argmin([single.loss for single in singles]))
    if where == 1:
        same(many.theta, jax.tree.map(lambda a: a[run], many.thetas))


def test_best_theta_has_the_validation_loss_it_claims(key):
    result = train(steps=10, runs=2)
    loss = Problem(RULE, [XOR], OBJECTIVE, (), tasks=1).loss
    keys = jax.random.split(jax.random.split(key, 3)[2], 2)
    values = [float(jax.jit(loss)(result.theta, k)[0]) for k in keys]
    assert result.loss == pytest.approx(np.mean(values), rel=1e-4)


def test_what_is_validated_and_returned_is_the_average():
    averaged = train(steps=3, checkpoint_every=5, method=AVERAGED, runs=2)
    weights = [0.64, 0.8, 1.0]
    thetas = [train(steps=n, checkpoint_every=5, runs=2).thetas for n in (1, 2, 3)]
    expected = jax.tree.map(
        lambda *t: sum(w * a for w, a in zip(weights, t, strict=True)) / sum(weights), *thetas
    )
    close(averaged.thetas, expected, rtol=1e-5)
    close(averaged.theta, jax.tree.map(lambda a: a[averaged.run], expected), rtol=1e-5)


def test_start_from_theta(key):
    theta = LearningRate(jnp.float32(0.37))
    still = hx.methods.Gradient(optax.sgd(0.0))
    same(train(theta=theta, method=still, steps=1).theta, theta)
    numbers = jax.tree.map(np.asarray, theta)
    same(train(theta=numbers, method=still, steps=1).theta, theta)


def test_own_objective():
    result = train(
        rule=hx.Backprop("sgd", learning_rate=0.1),
        objective=Distance(1, 1, 1),
        method=hx.methods.Gradient(optax.sgd(0.25)),
        steps=10,
    )
    assert float(result.theta.learning_rate) == pytest.approx(0.5 - 0.4 * 0.5**10, abs=1e-6)


def test_own_rule(tmp_path, family):
    settings = {
        "rule": Delta(),
        "family": family,
        "hidden": (),
        "objective": hx.objectives.QueryCrossEntropy(steps=3, batch=8, query=16),
        "method": hx.methods.Gradient(optax.adam(1e-2)),
        "log_every": 10,
        "steps": 30,
    }
    result = train(tmp_path, **settings)
    losses = [line["loss"][0] for line in result.history]
    assert losses[-1] < losses[0]
    same(train(tmp_path, **settings).theta, result.theta)
    same(hx.load_rule(tmp_path / "rule.safetensors", rule=Delta)[1], result.theta)


def test_nan_steps_are_skipped_and_counted(tmp_path):
    class Broken(hx.objectives.AbstractObjective):
        def judge(self, rule, theta, net, predictions, episode, first=0, taken=None):
            return jnp.nan * jnp.sum(theta.learning_rate), {}

    theta = LearningRate(jnp.float32(0.1))
    settings = {"rule": hx.Backprop(), "objective": Broken(1, 1, 1), "theta": theta, "steps": 10}
    with (
        pytest.warns(RuntimeWarning, match="run 1 of 1 diverged at step 0"),
        pytest.raises(RuntimeError, match="has found no θ with a finite validation loss in 10 "),
    ):
        train(tmp_path, **settings)
    assert logged(tmp_path)[-1]["nonfinite"] == [1]
    with pytest.raises(RuntimeError, match=r"it was not finite either\); lower the learning rate"):
        train(tmp_path, **settings)
    assert not (tmp_path / "rule.safetensors").exists()
    # JSON has neither NaN nor infinity.
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert logged(tmp_path)[-1]["loss"] == [None]


# The folder of a run


def test_what_a_run_writes(straight):
    result, folder = straight
    assert {p.name for p in folder.iterdir()} == {
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "rule.safetensors",
        ".lock",
    }
    assert [p.name for p in sorted((folder / "checkpoints").iterdir())] == [
        "step-0000000010.safetensors",
        "step-0000000020.safetensors",
    ]
    assert [line["step"] for line in logged(folder)] == [5, 10, 15, 20]
    assert timeless(logged(folder)) == timeless(result.history)
    rule, theta = hx.load_rule(folder / "rule.safetensors")
    assert rule == RULE
    same(theta, result.theta)


def test_the_last_three_checkpoints_are_kept(tmp_path):
    train(tmp_path, log_every=2, checkpoint_every=2, steps=10)
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert [int(name[5:15]) for name in kept] == [6, 8, 10]


def test_card(tmp_path):
    result = train(tmp_path, steps=10, card={"title": "tiny"})
    _, _, card = read_rule_file(tmp_path / "rule.safetensors")
    found = {"meta_steps": result.step, "validation_loss": result.loss}
    assert card == {"title": "tiny", **found, "run": digest_of(tmp_path)}


AVERAGED = dataclasses.replace(METHOD, average=0.8)


@pytest.mark.parametrize(
    "changes", [{}, {"rule": Delta(), "runs": 2}, {"method": AVERAGED, "runs": 2}]
)
def test_going_on_gives_the_same_bits(tmp_path, straight, changes):
    whole = train(**changes) if changes else straight[0]
    train(tmp_path, steps=10, **changes)
    same_result(train(tmp_path, **changes), whole)
    assert [line["step"] for line in logged(tmp_path)] == [5, 10, 15, 20]
    assert timeless(logged(tmp_path)) == timeless(whole.history)


def test_finished_run_returns_without_compiling(tmp_path, straight, no_compilation):
    result, folder = straight
    again = train(folder)
    same_result(again, result)
    assert [line["step"] for line in logged(folder)] == [5, 10, 15, 20]


def test_going_on_compiles_the_same_program():
    """A state just made and one just read are alike, weak types included."""
    training = hx.MetaTraining(
        hx.Backprop("sgd"), XOR, OBJECTIVE, METHOD, steps=1, key=jax.random.key(0), runs=2
    )
    engine = METHOD.engine(Setup(training))
    state = engine.start(training.thetas(), jax.random.key(1))
    read = engine.from_arrays(engine.to_arrays(state), like=state)
    assert jax.tree.map(jax.typeof, read) == jax.tree.map(jax.typeof, state)
    after, _ = engine.advance(read, 0, 1)
    assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, state)


@pytest.mark.parametrize("at", [5, 10])
def test_interrupted_and_gone_on_with(tmp_path, straight, interrupt, at):
    interrupt(at, tmp_path)
    newest = max(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert newest == f"step-{at:010d}.safetensors"
    assert [line["step"] for line in logged(tmp_path)] == list(range(5, at + 1, 5))
    same_result(train(tmp_path), straight[0])
    assert timeless(logged(tmp_path)) == timeless(straight[0].history)
    same(hx.load_rule(tmp_path / "rule.safetensors")[1], straight[0].theta)


def test_killed_before_the_first_checkpoint(copied, straight):
    for path in (copied / "checkpoints").iterdir():
        path.unlink()
    with open(copied / "metrics.jsonl", "a") as file:
        file.write('{"step": 25, "lo')  # a line cut short
    same_result(train(copied), straight[0])
    assert timeless(logged(copied)) == timeless(straight[0].history)


@pytest.mark.parametrize("left", [0, -1])
def test_truncated_checkpoint_falls_back(copied, straight, left):
    newest = max((copied / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:left])
    with pytest.warns(RuntimeWarning, match="cannot be read .* goes on from step 10"):
        same_result(train(copied), straight[0])
    assert [line["step"] for line in logged(copied)] == [5, 10, 15, 20]


def test_no_readable_checkpoint(copied):
    for path in (copied / "checkpoints").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"step-0000000010\.safetensors"):
        train(copied)


@pytest.mark.parametrize(
    ("name", "changes"),
    {
        "rule": {"rule": hx.Hebbian(oja=False)},
        "families": {"family": hx.tasks.toy("or")},
        "families ": {"family": hx.tasks.toy("xor", outputs=1)},
        "objective": {"objective": hx.objectives.QueryCrossEntropy(steps=3, batch=4, query=8)},
        "method": {"method": hx.methods.Gradient(optax.adam(2e-2), clip=10.0)},
        "hidden": {"hidden": (4,)},
        "key": {"key": jax.random.key(5)},
        "theta": {"theta": LearningRate(jnp.float32(0.2))},
        "runs": {"runs": 2},
        "tasks": {"tasks": 2},
        "validation": {"validation": 3},
        "log_every": {"log_every": 10},
        "checkpoint_every": {"checkpoint_every": 20},
    }.items(),
)
def test_folder_of_another_run(straight, no_compilation, name, changes):
    before = {p: p.read_bytes() for p in straight[1].rglob("*") if p.is_file()}
    with pytest.raises(CheckpointError, match=f"a run with {name.strip()} = "):
        train(straight[1], **changes)
    assert before == {p: p.read_bytes() for p in straight[1].rglob("*") if p.is_file()}


def test_other_data_of_the_same_name(tmp_path, arrays):
    x, y, test_x, test_y = arrays
    train(tmp_path, family=hx.tasks.from_arrays(*arrays), steps=1)
    with pytest.raises(CheckpointError, match="holds a run with families"):
        train(tmp_path, family=hx.tasks.from_arrays(x**3, y, test_x, test_y), steps=1)


@pytest.mark.parametrize("text", ["{", "[]", "", '"a"', "\0"])
def test_broken_configuration(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json is not the configuration of a run"):
        train(tmp_path)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("directory", ["", "a\0b", 3, True, b"a"])
def test_what_is_no_folder(directory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"directory must be None or the path of a folder; got"):
        train(directory)
    assert not [*tmp_path.iterdir()]


def test_folder_that_cannot_be_written(tmp_path, no_compilation):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        train(tmp_path / "file" / "run")


def test_card_that_cannot_be_written_is_refused_at_once(tmp_path, no_compilation):
    with pytest.raises(ValueError, match="the card of this Hebbian cannot be written"):
        train(tmp_path, card={"title": object()})


def test_optimiser_state_with_random_keys(tmp_path):
    method = hx.methods.Gradient(
        optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(3)), optax.sgd(0.1))
    )
    whole = train(method=method)
    train(tmp_path, method=method, steps=10)
    same_result(train(tmp_path, method=method), whole)


def test_fewer_steps_than_there_have_been(tmp_path, straight, no_compilation):
    with pytest.raises(CheckpointError, match=r"steps must be at least 20.*got 10"):
        train(straight[1], steps=10)


def test_a_relative_folder_is_that_of_the_beginning(tmp_path, monkeypatch):
    """Whatever the working directory is later."""
    monkeypatch.chdir(tmp_path)

    class Leaves:
        def start(self, step, history):
            (tmp_path / "elsewhere").mkdir()
            monkeypatch.chdir(tmp_path / "elsewhere")

        def log(self, line):
            pass

        def close(self):
            pass

    train("run", steps=10, callbacks=[Leaves()])
    assert [line["step"] for line in logged(tmp_path / "run")] == [5, 10]
    assert not any((tmp_path / "elsewhere").iterdir())


def test_runs_from_one_theta_meet_data_of_their_own():
    theta = RULE.init(jax.random.key(1))
    result = train(theta=theta, runs=2, steps=5)
    for leaf in jax.tree.leaves(result.thetas):
        assert not np.array_equal(leaf[0], leaf[1])


@pytest.mark.parametrize(
    ("flag", "value"),
    [("jax_threefry_partitionable", False), ("jax_default_matmul_precision", "highest")],
)
def test_other_settings_of_jax(straight, no_compilation, flag, value):
    before = getattr(jax.config, flag)
    jax.config.update(flag, value)
    try:
        with pytest.raises(CheckpointError, match=f"holds a run with {flag} = "):
            train(straight[1])
    finally:
        jax.config.update(flag, before)


def test_settings_as_one():
    settings = {"steps": 5, "validation": 2, "log_every": 5, "checkpoint_every": 10}
    training = hx.MetaTraining(RULE, XOR, OBJECTIVE, METHOD, key=jax.random.key(0), **settings)
    same_result(hx.meta_train(training), train(steps=5))
    with pytest.raises(TypeError, match="a MetaTraining holds all settings"):
        hx.meta_train(training, steps=6)


# Settings


@pytest.mark.parametrize(
    "name", ["steps", "runs", "tasks", "validation", "log_every", "checkpoint_every"]
)
def test_counts(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1; got 0"):
        train(**{name: 0})


def test_debug_key_reuse_is_refused_by_name():
    with jax.debug_key_reuse(True), pytest.raises(ValueError, match=r"jax\.debug_key_reuse .* off"):
        train()


def test_a_theta_that_is_no_floating_point_number_is_refused():
    class Counting(hx.Hebbian):
        def init(self, key):
            return {"rate": jnp.ones(()), "count": jnp.zeros((), int)}

    with pytest.raises(ValueError, match=r"theta\['count'\] of int32"):
        train(rule=Counting())


def test_disable_jit_is_refused_by_name():
    with jax.disable_jit(), pytest.raises(ValueError, match=r"which jax\.disable_jit"):
        train()


def test_debug_nans_changes_nothing(straight):
    with jax.debug_nans(True):
        same(train().theta, straight[0].theta)


def test_checkpoints_come_with_logged_lines():
    with pytest.raises(ValueError, match="checkpoint_every must be a multiple of log_every, 5"):
        train(checkpoint_every=12)


# Several devices

QUIET = (
    "-W", "ignore:jax.core.:DeprecationWarning",
    "-W", "ignore:the run of :RuntimeWarning",
)  # fmt: skip
"""Equinox asks at its import for names that jax 0.8.3 warns of; so short a run may find nothing."""
SCRIPT = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
jax.config.update("jax_disable_most_optimizations", True)
import optax
import hebbax as hx
from hebbax.rules import LearningRate
for steps in map(int, sys.argv[3:]):
    result = hx.meta_train(
        hx.Hebbian(), hx.tasks.toy("xor"),
        hx.objectives.QueryCrossEntropy(steps=2, batch=4, query=8),
        hx.methods.Gradient(optax.adam(1e-2), clip=10.0),
        hidden=(), steps=steps, key=jax.random.key(0), validation=2, log_every=5,
        checkpoint_every=10, runs=2, directory=sys.argv[2],
    )
    print({len(a.devices()) for a in jax.tree.leaves(result.thetas)})
"""


def test_runs_are_split_over_devices(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(hx.__file__).parents[1])}
    words = ["2", str(tmp_path), "10", "20"]
    command = [sys.executable, "-W", "error", *QUIET, "-c", SCRIPT, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["{2}", "{2}"]
    one = train(runs=2)
    close(hx.load_rule(tmp_path / "rule.safetensors")[1], one.theta, rtol=1e-5, atol=1e-6)
    assert [line["step"] for line in logged(tmp_path)] == [5, 10, 15, 20]
    for mine, theirs in zip(one.history, logged(tmp_path), strict=True):
        np.testing.assert_allclose(mine["loss"], theirs["loss"], rtol=1e-4)


def test_targets_that_are_no_labels_are_refused():
    class Soft(type(XOR)):
        def query(self, key, query):
            x, y = super().query(key, query)
            return x, 0.9 * y

    soft = Soft(**{f.name: getattr(XOR, f.name) for f in dataclasses.fields(XOR)})
    with pytest.raises(ValueError, match=r"must be one-hot, .* sums are from 0\.9"):
        train(family=soft)
