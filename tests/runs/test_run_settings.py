"""Settings of a run: those that are refused, and those that change nothing."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import METHOD, OBJECTIVE, RULE, XOR, close, logged, same, same_result, train

import hebbax as hx


def test_settings_as_one():
    settings = {"steps": 5, "validation": 2, "log_every": 5, "checkpoint_every": 10}
    training = hx.MetaTraining(RULE, XOR, OBJECTIVE, METHOD, key=jax.random.key(0), **settings)
    same_result(hx.meta_train(training), train(steps=5))
    with pytest.raises(TypeError, match="a MetaTraining holds all settings"):
        hx.meta_train(training, steps=6)


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
