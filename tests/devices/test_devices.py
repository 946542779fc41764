"""The result does not depend on the number of devices, nor on that of processes."""

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.devices._sharding import DeviceGrid

# How the work of each case lies on eight devices: runs, tasks, particles, pairs or members.
QUIET = ("-W", "ignore:jax.core.:DeprecationWarning")
"""Equinox asks at its import for names that jax 0.8.3 warns of."""
SCRIPT = """
import json, sys
import jax
import jax.numpy as jnp
devices, processes, index, port, folder = (*map(int, sys.argv[1:5]), sys.argv[5])
jax.config.update("jax_num_cpu_devices", devices)
jax.config.update("jax_disable_most_optimizations", True)
if processes > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", processes, index)
import optax
import hebbax as hx
import numpy as np
from hebbax.devices import gather

adam = optax.adam(1e-2)
cases = {
    "runs and tasks": (hx.methods.Gradient(adam), {"runs": 2, "tasks": 4}),
    "particles": (
        hx.methods.TruncatedGradient(adam, truncation=1, particles=8), {"runs": 1}
    ),
    "persistent pairs": (hx.methods.PersistentES(adam, truncation=1, pairs=4), {"runs": 2}),
    "population": (hx.methods.CMAES(0.1, 8), {"runs": 1}),
}
found = {}
for name in sys.argv[6:]:
    method, settings = cases[name]
    for steps in (4, 8) if name == "particles" else (4,):
        result = hx.meta_train(
            hx.Hebbian(), hx.tasks.toy("xor"),
            hx.objectives.QueryCrossEntropy(steps=2, batch=4, query=8), method,
            hidden=(), steps=steps, key=jax.random.key(0), validation=2, log_every=2,
            checkpoint_every=4, directory=f"{folder}/{name}", **settings,
        )
    found[name] = {
        "theta": [np.asarray(a).tolist() for a in jax.tree.leaves(result.theta)],
        "thetas": [np.asarray(a).tolist() for a in jax.tree.leaves(result.thetas)],
        "loss": [result.loss, *(x for line in result.history for x in line["loss"])],
    }
print(json.dumps([len(jax.devices()), found]))
"""
CASES = ("runs and tasks", "particles", "persistent pairs", "population")


def begin(folder, devices, processes=1, index=0, port=0, cases=CASES):
    root = str(Path(hx.__file__).parents[1])
    words = [devices, processes, index, port, folder, *cases]
    return subprocess.Popen(
        [sys.executable, "-W", "error", *QUIET, "-c", SCRIPT, *map(str, words)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(process):
    out, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Return what a single device finds."""
    devices, found = end(begin(tmp_path_factory.mktemp("one"), 1))
    assert devices == 1
    return found


def assert_alike(found, expected):
    for name, values in found.items():
        for part, numbers in values.items():
            for mine, theirs in zip(numbers, expected[name][part], strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_eight_devices(one, tmp_path):
    devices, found = end(begin(tmp_path, 8))
    assert devices == 8
    assert tuple(found) == CASES
    assert_alike(found, one)


@pytest.mark.slow
def test_two_processes(one, tmp_path):
    """Joined over loopback, with two devices each; the first alone writes the folder."""
    cases = ("runs and tasks", "particles", "population")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    both = [begin(tmp_path, 2, 2, index, port, cases) for index in range(2)]
    results = [end(process) for process in both]
    for devices, found in results:
        assert devices == 4
        assert_alike(found, one)
    assert results[0] == results[1]
    for name in cases:
        assert (tmp_path / name / "rule.safetensors").is_file()


class Device:
    """Stands in for a device where only their number matters."""


@pytest.mark.parametrize(
    ("runs", "inner", "devices", "grid"),
    [
        (1, 1, 1, None),
        (1, 7, 8, None),
        (3, 5, 8, None),
        (8, 1, 8, (8, 1)),
        (2, 4, 8, (2, 4)),
        (2, 6, 8, (2, 2)),
        (1, 16, 8, (1, 8)),
        (6, 3, 4, (2, 1)),
    ],
)
def test_grid(monkeypatch, runs, inner, devices, grid):
    made = []

    def mesh(shape, names, axis_types, devices):
        made.append((shape, len(devices)))

    monkeypatch.setattr("jax.make_mesh", mesh)
    DeviceGrid.over_devices(runs, inner, [Device()] * devices)
    assert made == ([] if grid is None else [(grid, grid[0] * grid[1])])


def test_processes_must_have_a_part_each(monkeypatch):
    monkeypatch.setattr("jax.process_count", lambda: 2)
    with pytest.raises(ValueError, match="the 4 devices of 2 processes must divide the work"):
        DeviceGrid.over_devices(3, 5, [Device()] * 4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.parametrize(
    "call", ["meta_train", "evaluate", "online", "stream", "unroll", "load", "fit", "predict"]
)
def test_a_forked_child_is_told_and_does_not_hang(call):
    rule, xor, key = hx.Hebbian(), hx.tasks.toy("xor"), jax.random.key(0)
    theta = rule.init(key)
    net = rule.init_network(theta, key, (2, 2))
    x, y = np.random.default_rng(0).normal(size=(8, 2)), np.arange(8) % 2
    batches = jnp.ones((1, 2, 2)), jnp.eye(2)[None]
    judged = hx.objectives.QueryCrossEntropy(steps=1, batch=2, query=2)
    fitted = hx.PlasticClassifier((rule, theta), hidden=(), steps=1).fit(x, y)
    calls = {
        "meta_train": lambda: hx.meta_train(
            rule, xor, judged, hx.methods.CMAES(), steps=1, key=key
        ),
        "evaluate": lambda: hx.evaluate(rule, theta, xor),
        "online": lambda: hx.evaluate_online(rule, theta, xor),
        "stream": lambda: hx.evaluate_stream(rule, theta, x, y),
        "unroll": lambda: hx.unroll(rule, theta, net, *batches),
        "load": lambda: hx.zoo.load("blur/toy"),
        "fit": lambda: hx.PlasticClassifier((rule, theta)).fit(x, y),
        "predict": lambda: fitted.predict(x),
    }
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            calls[call]()
        except BaseException as error:
            os.write(there, f"{type(error).__name__} {error}".encode())
        os._exit(0)
    os.close(there)
    assert select.select([here], [], [], 30)[0], "the child hangs"
    told = os.read(here, 1000).decode()
    os.close(here)
    os.waitpid(child, 0)
    assert told.startswith("RuntimeError this process was forked from one that had already used")
