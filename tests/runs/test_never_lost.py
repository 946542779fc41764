"""Whatever stops a run, the same call again ends as if nothing had."""

import errno
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest
from safetensors.numpy import load_file
from tiny import Delta, same, same_result, train

import hebbax as hx
from hebbax import _files
from hebbax.runs import _configuration as configuration
from hebbax.runs.checkpoint import CheckpointError

METHODS = {
    "gradient": hx.methods.Gradient(optax.adam(1e-2), clip=10.0),
    "truncated": hx.methods.TruncatedGradient(optax.adam(1e-2), truncation=1, particles=3),
    "es": hx.methods.EvolutionStrategy(optax.adam(1e-2), pairs=2),
    "pes": hx.methods.PersistentES(optax.adam(1e-2), truncation=1, pairs=2),
    "cma": hx.methods.CMAES(0.1, 4),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_goes_on_with_the_same_bits(tmp_path, name):
    settings = {"rule": Delta(), "runs": 2, "method": METHODS[name]}
    whole = train(**settings)
    train(tmp_path, steps=10, **settings)
    same_result(train(tmp_path, **settings), whole)


class Recorder:
    """A callback that calls `function(line)` at a step."""

    def __init__(self, at, function):
        self.at, self.function = at, function

    def start(self, step, history):
        pass

    def log(self, line):
        if line["step"] == self.at:
            self.function(line)

    def close(self):
        pass


def test_full_disk(tmp_path, monkeypatch):
    """The checkpoint of step 20 finds no room; that of step 10 is left and nothing else."""
    whole = train(steps=30)
    write = _files.os.fsync

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fill = Recorder(15, lambda line: monkeypatch.setattr(_files.os, "fsync", full))
    with pytest.raises(OSError, match="checkpoint of step 20 cannot be written") as caught:
        train(tmp_path, steps=30, callbacks=[fill])
    assert caught.value.errno == errno.ENOSPC
    assert "No space left" in str(caught.value)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-0000000010.safetensors"]
    monkeypatch.setattr(_files.os, "fsync", write)
    same_result(train(tmp_path, steps=30), whole)


def test_file_that_grows_too_large(tmp_path):
    """As before, refused by the system itself in the middle of the writing."""
    whole = train(steps=30)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    shrink = Recorder(15, lambda line: resource.setrlimit(resource.RLIMIT_FSIZE, (900, limits[1])))
    try:
        with pytest.raises(OSError, match="too large"):
            train(tmp_path, steps=30, callbacks=[shrink])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-0000000010.safetensors"]
    same_result(train(tmp_path, steps=30), whole)


@pytest.mark.parametrize("package", ["hebbax", "jax"])
def test_another_version(tmp_path, monkeypatch, package):
    train(tmp_path, steps=10)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    target = (configuration, "__version__") if package == "hebbax" else (jax, "__version__")
    monkeypatch.setattr(*target, "99.0")
    with pytest.raises(CheckpointError, match=f"holds a run of {package} .* this is {package} 99"):
        train(tmp_path)
    assert before == {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}


def test_two_at_once(tmp_path):
    """The second is turned away and the first is not disturbed; then the folder is free again."""

    def second(line):
        with pytest.raises(CheckpointError, match="another process is at work in"):
            train(tmp_path)

    whole = train()
    same_result(train(tmp_path, callbacks=[Recorder(10, second)]), whole)
    same_result(train(tmp_path), whole)


def test_what_a_killed_process_left_is_removed(tmp_path):
    train(tmp_path, steps=10)
    folders = [tmp_path, tmp_path / "checkpoints"]
    left = [folder / ".hebbax-unfinished-ab_12xyz.tmp" for folder in folders]
    others = [folder / name for folder in folders for name in (".mine.tmp", ".rule.x.tmp")]
    others.append(tmp_path / ".hebbax-unfinished-notes.tmp")
    for path in (*left, *others):
        path.write_text("half")
    (tmp_path / ".hebbax-unfinished-a_folder.tmp").mkdir()
    train(tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.read_text() == "half" for path in others)


SCRIPT = """
import hashlib, sys
import jax
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_compilation_cache_dir", sys.argv[2])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
sys.path[:0] = sys.argv[3:]
import numpy as np
from test_never_lost import METHODS
from tiny import Delta, train
print("ready", flush=True)
for name, method in METHODS.items():
    result = train(
        sys.argv[1] + "/" + name, rule=Delta(), runs=2, method=method, steps=24, log_every=1,
        checkpoint_every=2,
    )
    found = hashlib.sha256()
    for array in jax.tree.leaves((result.theta, result.thetas)):
        found.update(np.asarray(array).tobytes())
    found.update(repr((result.loss, result.run, result.step)).encode())
    print(name, found.hexdigest(), flush=True)
"""


def start(folder, cache):
    root = Path(hx.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    here = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(cache), str(here), str(here.parent)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_until_ready(process):
    line = process.stdout.readline()
    assert line == "ready\n", process.stderr.read()


@pytest.mark.slow
def test_kill_at_any_moment(tmp_path):
    """Real processes, killed 20 times and more at random moments, of all methods."""
    chance = random.Random(0)
    cache = tmp_path / "cache"
    with start(tmp_path / "straight", cache) as process:
        wait_until_ready(process)
        begin = time.perf_counter()
        expected, errors = process.communicate()
        assert process.returncode == 0, errors
    assert len(expected.splitlines()) == len(METHODS)
    # The first compiled; those after it take their time from here.
    span, kills, rounds = time.perf_counter() - begin, 0, 0
    while kills < 20:
        folder = tmp_path / f"killed-{rounds}"
        rounds += 1
        while True:
            with start(folder, cache) as process:
                wait_until_ready(process)
                begin = time.perf_counter()
                try:
                    out, errors = process.communicate(timeout=chance.uniform(0, span / 2))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    kills += 1
                    continue
                span = min(span, 2 * (time.perf_counter() - begin))
                assert process.returncode == 0, errors
                assert out == expected
                break
        for name in METHODS:
            lines = (folder / name / "metrics.jsonl").read_text().splitlines()
            assert [json.loads(line)["step"] for line in lines] == list(range(1, 25))
            rules = [at / name / "rule.safetensors" for at in (folder, tmp_path / "straight")]
            same(*(load_file(rule) for rule in rules))
    assert rounds >= 1


# Divergence


class Cliff(hx.objectives.AbstractObjective):
    """The loss falls towards a θ beyond which it is not a number."""

    def judge(self, rule, theta, net, predictions, episode, first=0, taken=None):
        rate = theta["rate"]
        return jnp.where(rate > 1.0, jnp.nan, -rate), {}


def test_divergence_goes_back_to_the_last_checkpoint(tmp_path):
    """The run that falls off goes back and the other one does not notice."""
    key = jax.random.key(0)
    last = jax.random.uniform(jax.random.split(jax.random.split(key, 3)[0], 2)[1])

    class Start(Delta):
        def init(self, key):
            # 0.03 a step: the second run would meet the cliff only after the end.
            second = jax.random.uniform(key) == last
            return {"rate": jnp.where(second, -5.0, 0.2)}

    settings = {
        "rule": Start(),
        "objective": Cliff(1, 1, 1),
        "method": hx.methods.Gradient(optax.sgd(0.03)),
        "runs": 2,
        "checkpoint_every": 20,
        "key": key,
    }
    with pytest.warns(RuntimeWarning) as warned:
        result = train(tmp_path, steps=60, **settings)
    first = str(warned[0].message)
    assert first.startswith("run 1 of 2 diverged at step 27 (key [")
    assert first.endswith("goes back to where it was at step 20.")
    lines = {line["step"]: line for line in result.history}
    event = lines[40]["diverged"][0]
    assert (event["run"], event["step"], event["back_to"]) == (0, 27, 20)
    k_step = jax.random.fold_in(jax.random.split(key, 3)[1], 27)
    assert event["key"] == jax.random.key_data(k_step).tolist()
    assert 60 in lines
    assert lines[60]["diverged"][0]["step"] == 47  # from step 40 it meets the same cliff
    # Back to 20 at 40, and again at 60; the other has gone all the way.
    assert result.thetas["rate"].tolist() == pytest.approx([0.2 + 0.6, -5.0 + 1.8], abs=1e-4)
    assert lines[40]["nonfinite"][1] == 0
    assert lines[30]["nonfinite"][0] == pytest.approx(0.6)
    with pytest.warns(RuntimeWarning):
        again = train(tmp_path / "again", steps=40, **settings)
    with pytest.warns(RuntimeWarning):
        same_result(train(tmp_path / "again", steps=60, **settings), result)
    assert again.history[-1]["diverged"]
