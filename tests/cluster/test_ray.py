"""Meta-training on a local Ray cluster, whose workers and learner are killed."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import (
    ES,
    OBJECTIVE,
    RULE,
    SEARCH,
    SOME,
    TRUNCATED,
    XOR,
    setup_of,
    stacked,
    train,
)

import hebbax as hx
from hebbax.cluster import _worker_pool
from hebbax.cluster import _workers as _ray_workers
from hebbax.cluster._ray import Ray
from hebbax.cluster._worker_pool import WorkerPool

pytestmark = pytest.mark.slow

ONE = Ray(workers=1, cpus=0.5)

# What needs no cluster


@pytest.mark.parametrize(
    "changes",
    [
        {"workers": 0},
        {"batch": 0},
        {"staleness": -1},
        {"members": 0},
        {"cpus": 0.0},
        {"gpus": -1.0},
        {"patience": 0.0},
        {"address": ""},
        {"address": "local"},
    ],
)
def test_settings_out_of_range(changes):
    (name,) = changes
    with pytest.raises(ValueError, match=f"^{name} must be .*; got "):
        Ray(**changes)


def test_a_batch_is_half_of_the_workers():
    assert [Ray(workers=n).enough for n in (1, 2, 5, 512)] == [1, 1, 2, 256]
    assert Ray(workers=4, batch=7).enough == 7
    assert Ray(workers=3).settings() == Ray(workers=2, batch=1, cpus=0.5).settings()


def test_without_the_package_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'hebbax\[ray\]'"):
        train(tmp_path / "run", workers=ONE)
    assert not (tmp_path / "run").exists()


def test_ray_is_imported_only_when_used():
    program = "import sys, hebbax.cluster as r; r.Ray(); sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(hx.__file__).parents[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": ONE, "runs": 2}, r"runs must be 1 with workers=Ray.*; got 2"),
        (
            {
                "workers": ONE,
                "hidden": SOME,
                "method": dataclasses.replace(TRUNCATED, particles=3),
            },
            "one lifetime at a time, so particles .* must be 1 .*; got 3",
        ),
        ({"hidden": SOME}, "needs workers"),
    ],
)
def test_what_cannot_be_distributed_is_refused_before_anything_is_written(
    changes, message, tmp_path
):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


# A local cluster


@pytest.fixture(scope="module")
def cluster():
    """Start a local cluster for this module, as a run would, with room for what they ask.

    Each process of pytest-xdist has its own; Ray finds free ports and names folders by process.
    """
    ray = pytest.importorskip("ray", reason="needs hebbax[ray]")
    _worker_pool._open(ray, None, 2.0, 0.0, _worker_pool.STORE)
    yield
    ray.shutdown()


def descendants(pid):
    """Return a process and all that it has begun, of those that run."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def listening(pids):
    """Return the addresses, as the system writes them, at which processes listen."""
    sockets = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(handle))
    rows = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            rows += Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    rows = [row.split() for row in rows]
    return [r[1].split(":")[0] for r in rows if r[3] == "0A" and f"socket:[{r[9]}]" in sockets]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks sockets up in /proc")
@pytest.mark.usefixtures("cluster")
def test_a_local_cluster_listens_on_the_loopback_only():
    addresses = listening(descendants(os.getpid()))
    assert len(addresses) > 3
    # 127.0.0.1 and ::1, and the former as an address of version 6.
    loopback = {"0100007F", "0" * 24 + "01000000", "0" * 16 + "FFFF00000100007F"}
    assert set(addresses) <= loopback


def kill_at(monkeypatch, sends):
    """SIGKILL the worker that has just been sent its work, at these counts of sendings."""
    count, send = [0], WorkerPool.send

    def and_kill(self, index, tag, *arguments):
        send(self, index, tag, *arguments)
        count[0] += 1
        if count[0] in sends:
            os.kill(self.pids[index], signal.SIGKILL)

    monkeypatch.setattr(WorkerPool, "send", and_kill)


def total(result, name):
    return sum(line[name][0] for line in result.history)


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_is_replaced_and_costs_only_its_own_estimate(monkeypatch):
    killed = 4

    class AfterLine:
        """Kills the only worker when it has nothing to do, so that what is lost is certain."""

        def start(self, step, history):
            pass

        def log(self, line):
            if line["step"] == killed:
                os.kill(engines[-1].pool.pids[0], signal.SIGKILL)

        def close(self):
            pass

    engines = []
    make = Ray.engine
    monkeypatch.setattr(
        Ray, "engine", lambda ray, setup: engines.append(make(ray, setup)) or engines[-1]
    )
    method = dataclasses.replace(TRUNCATED, average=0.8)
    settings = {"steps": 8, "log_every": 4, "checkpoint_every": 8, "callbacks": [AfterLine()]}
    settings["method"] = method
    result = train(**settings, workers=ONE, hidden=SOME)
    assert [line["lost"] for line in result.history] == [[0], [1]]
    assert [line["workers"] for line in result.history] == [[1], [1]]
    assert total(result, "age") == total(result, "stale") == 0

    # What one worker, and from the fifth step on another, make of the same keys.
    engine, setup = engines[-1], setup_of(method, SOME)
    state = engine.start(result.thetas, jax.random.key(0))
    theta = RULE.init(jax.random.key(0))
    state = dataclasses.replace(
        state, theta=theta, optimizer=method.start(theta), born=jnp.asarray(1)
    )
    losses = []
    for step in range(8):
        if step in (0, killed):
            worker = _ray_workers.Estimator(setup, int(step == killed))
        found = worker.compute(1, step, state.theta)
        state, metrics = engine._follow(state, stacked(found))
        losses.append(metrics["loss"])
    np.testing.assert_allclose(
        [line["loss"][0] for line in result.history],
        [np.mean(losses[:killed]), np.mean(losses[killed:])],
        rtol=1e-4,
    )
    found = engine.thetas(state)
    np.testing.assert_allclose(result.thetas.learning_rate, found.learning_rate, rtol=1e-4)


@pytest.mark.usefixtures("cluster")
def test_cma_es_depends_neither_on_workers_nor_on_their_deaths(monkeypatch):
    settings = {"method": SEARCH, "hidden": (3,), "runs": 2}
    local = train(**settings)
    alone = train(**settings, workers=ONE)
    kill_at(monkeypatch, {7})
    shared = train(**settings, workers=Ray(workers=2, cpus=0.5))
    assert total(alone, "lost") == 0
    assert total(shared, "lost") == 1
    rates = [r.thetas.learning_rate for r in (local, alone, shared)]
    assert rates[0].shape == (2,)
    np.testing.assert_array_equal(rates[1], rates[2])
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-3)
    for line, same in zip(alone.history, shared.history, strict=True):
        assert line["loss"] == same["loss"]
        assert line["accuracy"] == same["accuracy"]


@pytest.mark.usefixtures("cluster")
def test_several_workers_make_one_meta_step():
    result = train(workers=Ray(workers=2, batch=3, cpus=0.5), method=ES, steps=12)
    assert len(result.history) == 4
    assert np.all(np.isfinite([line["loss"][0] for line in result.history]))
    assert result.history[-1]["workers"][0] in (1, 2)
    assert not np.array_equal(result.thetas.learning_rate, [RULE.learning_rate])


@pytest.mark.usefixtures("cluster")
def test_an_address_is_refused_where_ray_is_initialised():
    with pytest.raises(ValueError, match="address must be None where Ray is initialised"):
        train(workers=Ray(address="auto"))


class Unfit(hx.Hebbian):
    """Cannot be computed; only the workers find out."""

    def update(self, theta, net, x, y):
        if os.environ.get("RAY_JOB_ID"):
            raise ArithmeticError("this rule cannot be computed")
        return super().update(theta, net, x, y)


@pytest.mark.usefixtures("cluster")
def test_an_error_in_a_worker_ends_the_run_and_says_what_it_was():
    with pytest.raises(RuntimeError, match=r"a worker failed: .*this rule cannot be computed"):
        hx.meta_train(
            Unfit(), XOR, OBJECTIVE, TRUNCATED, steps=1, key=jax.random.key(0), workers=ONE
        )


LEARNER = """
import json, sys
import jax, optax
import hebbax as hx
from hebbax.cluster import Ray

engines = []

class Watched(Ray):
    def engine(self, setup):
        engines.append(super().engine(setup))
        return engines[-1]

class Report:
    def start(self, step, history): pass
    def log(self, line): print(json.dumps(engines[-1].pool.pids), flush=True)
    def close(self): pass

jax.config.update("jax_disable_most_optimizations", True)
hx.meta_train(
    hx.Hebbian(), hx.tasks.toy("xor"),
    hx.objectives.QueryCrossEntropy(steps=4, batch=4, query=8),
    hx.methods.TruncatedGradient(optax.adam(1e-2), truncation=2),
    steps=10**6, key=jax.random.key(0), validation=1, log_every=3, checkpoint_every=3,
    directory=sys.argv[1], workers=Watched(workers=1, cpus=0.5), callbacks=[Report()],
)
"""


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.usefixtures("cluster")
def test_a_killed_learner_takes_its_workers_with_it_and_loses_no_checkpoint(tmp_path):
    folder = tmp_path / "run"
    learner = subprocess.Popen(
        [sys.executable, "-c", LEARNER, str(folder)],
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir},
        stdout=subprocess.PIPE,
        cwd=Path(hx.__file__).parents[1],
        text=True,
    )
    try:
        for _ in range(5):
            line = learner.stdout.readline()
            assert line, "the learner ended by itself"
    finally:
        learner.send_signal(signal.SIGKILL)
        learner.wait()
        learner.stdout.close()
    (pid,) = json.loads(line).values()
    deadline = time.monotonic() + 60
    while running(pid):
        assert time.monotonic() < deadline, "the worker outlives its learner"
        time.sleep(0.1)

    steps = sorted(int(path.stem[5:]) for path in folder.glob("checkpoints/step-*"))
    assert steps[-1] >= 12
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    result = train(folder, steps=steps[-1] + 3, workers=ONE)
    known = len([line for line in logged if line["step"] <= steps[-1]])
    assert list(result.history[:known]) == logged[:known]
    assert [line["step"] for line in result.history[known:]] == [steps[-1] + 3]
