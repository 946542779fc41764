"""Checkpoints: damaged ones, those of other runs and older ones, and the log that they share."""

import json
import os
import random
import struct

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from tiny import METHOD, Delta, logged, same, same_result, timeless, train

import hebbax as hx
from hebbax.rule_file import read_rule_file
from hebbax.runs.checkpoint import CheckpointError


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    return train(folder, steps=20), folder


def copy(straight, folder):
    for path in straight[1].rglob("*"):
        if path.is_file() and path.name != ".lock":
            target = folder / path.relative_to(straight[1])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return sorted((folder / "checkpoints").iterdir())


def rewritten(path, changes=(), drop=()):
    """Write a checkpoint without a digest, as older versions did, with other metadata."""
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    for name in (*drop, "digest", "digest_kind", "run"):
        metadata.pop(name, None)
    save_file(arrays, path, metadata | dict(changes))


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_is_passed_over(tmp_path, straight, seed):
    """Anywhere in the newest checkpoint: the run goes on from the one before, with a word."""
    newest = copy(straight, tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    bit = random.Random(seed).randrange(64, 8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    newest.write_bytes(content)
    with pytest.warns(RuntimeWarning, match=r"step-0000000020\.safetensors: .* from step 10"):
        same_result(train(tmp_path), straight[0])
    same_result(train(tmp_path), straight[0])


def test_a_checkpoint_that_cannot_be_opened(tmp_path, straight, monkeypatch):
    newest = copy(straight, tmp_path)[-1]
    read = type(newest).read_bytes

    def refuse(path):
        if path == newest:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(type(newest), "read_bytes", refuse)
    with pytest.warns(RuntimeWarning, match="Permission denied"):
        same_result(train(tmp_path), straight[0])


@pytest.mark.parametrize(
    "about",
    ["[]", "null", "3", "{}", "[" * 5000 + "]" * 5000, "1" * 5000, '{"best": 3}',
     '{"best": {"loss": "a", "run": 0, "step": 0}, "stage": 0}',
     '{"best": {"loss": 1, "run": 0, "step": 0}, "stage": "a"}',
     '{"best": {"loss": 1, "run": 0, "step": 0}, "stage": 0, "log": {"bytes": "a", "lines": 0}}'],
)  # fmt: skip
def test_what_a_checkpoint_says_is_not_believed(tmp_path, straight, about):
    rewritten(copy(straight, tmp_path)[-1], {"about": about})
    with pytest.warns(RuntimeWarning, match=r"step-0000000020\.safetensors: .* from step 10"):
        same_result(train(tmp_path), straight[0])


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_checkpoint_that_is_no_file(tmp_path, straight, kind):
    newest = copy(straight, tmp_path)[-1]
    newest.unlink()
    {"pipe": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero")}[kind](newest)
    with pytest.warns(RuntimeWarning, match="not a regular file"):
        assert train(tmp_path, steps=15).step == straight[0].step


def test_a_checkpoint_of_another_run_is_refused(tmp_path, straight):
    """Of another key; and in a folder whose configuration has been replaced by this run's."""
    copy(straight, tmp_path / "a")
    other = tmp_path / "b"
    train(other, key=jax.random.key(9))
    newest = max((other / "checkpoints").iterdir())
    (tmp_path / "a" / "checkpoints" / newest.name).write_bytes(newest.read_bytes())
    with pytest.raises(CheckpointError, match="is a checkpoint of another run"):
        train(tmp_path / "a")


def test_a_renamed_checkpoint_is_passed_over(tmp_path, straight):
    paths = copy(straight, tmp_path)
    paths[-1].rename(paths[-1].with_name("step-0000000099.safetensors"))
    with pytest.warns(RuntimeWarning, match="99.* it is the checkpoint of step 20"):
        same_result(train(tmp_path), straight[0])
    # The next one written is the last.
    names = sorted(p.name for p in paths[0].parent.iterdir())
    assert names == ["step-0000000010.safetensors", "step-0000000020.safetensors"]


@pytest.mark.parametrize("held", [True, False])
def test_checkpoints_without_digests_are_read_with_one_warning(tmp_path, straight, held):
    """Those of older versions held the history too."""
    copied = copy(straight, tmp_path)
    copied[-1].unlink()
    about = {"best": None, "stage": 0, "history": list(straight[0].history[:2])}
    with safe_open(copied[0], framework="numpy") as file:
        about["best"] = json.loads(file.metadata()["about"])["best"]
    rewritten(copied[0], {"about": json.dumps(about)} if held else {})
    with pytest.warns(RuntimeWarning) as warned:
        result = train(tmp_path)
    assert ["without a digest" in str(each.message) for each in warned].count(True) == 1
    same_result(result, straight[0])
    assert timeless(logged(tmp_path)) == timeless(straight[0].history)


def test_a_pickle_of_cma_is_refused_in_one_line(tmp_path):
    method = hx.methods.CMAES(0.1, 4)
    train(tmp_path, method=method, steps=10)
    path = next((tmp_path / "checkpoints").iterdir())
    with safe_open(path, framework="numpy") as file:
        arrays = {n: file.get_tensor(n) for n in file.keys() if "search" not in n}
        metadata = {n: file.metadata()[n] for n in ("step", "about")}
    save_file({**arrays, "state/search.0": np.zeros(9, np.uint8)}, path, metadata)
    with pytest.raises(CheckpointError, match="as a pickle of an older version") as caught:
        train(tmp_path, method=method)
    assert "\n" not in str(caught.value)


# The log


def test_checkpoints_do_not_grow_with_the_history(tmp_path):
    """However long the run and wordy its lines."""

    class Wordy(hx.objectives.AbstractObjective):
        def judge(self, rule, theta, net, predictions, episode, first=0, taken=None):
            zero = 0 * jnp.sum(theta["rate"])
            return zero, {f"m{i}": zero for i in range(50)}

    train(
        tmp_path, rule=Delta(), objective=Wordy(1, 1, 1), steps=40, log_every=1,
        checkpoint_every=10, method=hx.methods.Gradient(optax.sgd(0.0)),
    )  # fmt: skip
    sizes = [path.stat().st_size for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert max(sizes) - min(sizes) < 200
    assert max(sizes) < (tmp_path / "metrics.jsonl").stat().st_size / 4
    header = struct.unpack("<Q", path_bytes(tmp_path)[:8])[0]
    assert header < 3000


def path_bytes(folder):
    return max((folder / "checkpoints").iterdir()).read_bytes()


def test_what_follows_a_checkpoint_is_cut_off_the_log(tmp_path, straight):
    newest = copy(straight, tmp_path)[-1]
    newest.unlink()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 25, "lo')
    same_result(train(tmp_path), straight[0])
    assert timeless(logged(tmp_path)) == timeless(straight[0].history)


@pytest.mark.parametrize("change", ["lost", "cut", "damaged"])
def test_a_changed_log_costs_the_past_only(tmp_path, straight, change):
    copy(straight, tmp_path)[-1].unlink()
    log = tmp_path / "metrics.jsonl"
    text = log.read_text()
    if change == "lost":
        log.unlink()
    else:
        log.write_text(text[:-600] if change == "cut" else "x" + text[1:])
    with pytest.warns(RuntimeWarning, match="has been changed, and . of the 2 lines"):
        result = train(tmp_path)
    same(result.thetas, straight[0].thetas)
    assert result.loss == straight[0].loss
    same_result(train(tmp_path), result)


def test_a_log_that_is_no_file(tmp_path, straight):
    copy(straight, tmp_path)
    log = tmp_path / "metrics.jsonl"
    log.unlink()
    os.mkfifo(log)
    with (
        pytest.warns(RuntimeWarning, match="has been changed, and 0 of the"),
        pytest.raises(OSError, match="not a regular file"),
    ):
        train(tmp_path)


def test_numbers_that_are_not_finite_come_back(tmp_path):
    class Broken(hx.objectives.AbstractObjective):
        def judge(self, rule, theta, net, predictions, episode, first=0, taken=None):
            return jnp.sum(theta["rate"] ** 2), {
                "nan": jnp.array(jnp.nan),
                "infinity": jnp.array(-jnp.inf),
            }

    settings = {"rule": Delta(), "objective": Broken(1, 1, 1)}
    whole = train(**settings)
    train(tmp_path, steps=10, **settings)
    same_result(train(tmp_path, **settings), whole)
    assert np.isnan(whole.history[0]["infinity"])


# What a finished run should have


def test_a_missing_rule_file_is_written_when_a_finished_run_is_called_again(tmp_path, straight):
    copy(straight, tmp_path)
    (tmp_path / "rule.safetensors").unlink()
    train(tmp_path)
    same(hx.load_rule(tmp_path / "rule.safetensors")[1], straight[0].theta)
    _, _, card = read_rule_file(tmp_path / "rule.safetensors")
    assert card["validation_loss"] == straight[0].loss


def test_fewer_steps_than_there_were(tmp_path, straight):
    copy(straight, tmp_path)
    with pytest.raises(hx.CheckpointError, match="steps must be at least 20"):
        train(tmp_path, steps=10)


# What was found


def test_a_run_that_finds_nothing_better_says_so(tmp_path):
    """And keeps what it found, whose bits do not depend on the start's loss."""
    still = {"method": hx.methods.Gradient(optax.sgd(0.0))}
    with pytest.warns(RuntimeWarning, match="nothing better than its start"):
        result = train(tmp_path, **still)
    assert result.start_loss == result.loss
    assert result.step == 10
    with pytest.warns(RuntimeWarning, match="nothing better than its start"):
        same_result(train(tmp_path, **still), result)


def test_the_start_is_judged_as_all_others_are(straight):
    result = straight[0]
    assert result.start_loss == train(steps=1, method=METHOD).start_loss
    assert np.isfinite(result.start_loss)
    assert train(straight[1]).start_loss == result.start_loss


@pytest.mark.parametrize("name", ["gradient", "pes", "cma"])
def test_a_run_that_finds_nothing_ends_with_an_error(name):
    """The start is finite and everything else is not."""

    class Lonely(hx.objectives.AbstractObjective):
        def judge(self, rule, theta, net, predictions, episode, first=0, taken=None):
            rate = theta["rate"]
            return jnp.where(rate == 0.25, 1.0, jnp.nan) + 0 * rate, {}

    methods = {
        "gradient": hx.methods.Gradient(optax.sgd(1.0)),
        "pes": hx.methods.PersistentES(optax.sgd(1.0), truncation=1, pairs=2),
        "cma": hx.methods.CMAES(0.1, 4),
    }
    settings = {"rule": Delta(), "objective": Lonely(1, 1, 1), "method": methods[name]}
    broken = jnp.float32(0.3)
    with (
        pytest.warns(RuntimeWarning, match="diverged"),
        pytest.raises(RuntimeError, match="no θ with a finite validation loss in 20 meta-steps"),
    ):
        train(theta={"rate": broken}, **settings)


def test_all_settings_that_differ_are_named_at_once(straight):
    with pytest.raises(CheckpointError) as caught:
        train(straight[1], tasks=2, validation=3, key=jax.random.key(4))
    for name in ("key = [0, 0] (this one has [0, 4])", "tasks = 1 ", "validation = 2 "):
        assert name in str(caught.value)
