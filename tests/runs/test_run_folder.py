"""The folder of a run: what is in it, and going on with it."""

import jax
import jax.numpy as jnp
import optax
import pytest
from tiny import (
    AVERAGED,
    METHOD,
    OBJECTIVE,
    RULE,
    XOR,
    Delta,
    logged,
    same,
    same_result,
    timeless,
    train,
)

import hebbax as hx
from hebbax.outer.engines import Setup
from hebbax.rule_file import read_rule_file
from hebbax.rules._backprop import LearningRate
from hebbax.runs import digest_of
from hebbax.runs.checkpoint import CheckpointError


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
