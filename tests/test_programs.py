"""Compiled programs are kept where the user's cache is theirs alone, and found by what they are."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

import hebbax as hx
from hebbax import _programs
from hebbax._programs import forget_oldest, keep_programs

SCRIPT = """
import json, jax, optax
found = {"hits": 0, "misses": 0}
def hear(event, **_):
    name = event.rpartition("cache_")[2]
    if name in found: found[name] += 1
jax.monitoring.register_event_listener(hear)
import hebbax as hx
result = hx.meta_train(
    hx.Hebbian(), hx.tasks.toy("xor"), hx.objectives.QueryCrossEntropy(2, 4, 4),
    hx.methods.Gradient(optax.sgd(0.1)), steps=1, key=jax.random.key(0), validation=1,
)
print(json.dumps([found, [a.tolist() for a in jax.tree.leaves(result.thetas)]]))
"""


def start(cache, **variables):
    environment = {
        n: v
        for n, v in os.environ.items()
        if not n.startswith("JAX_") or n == "JAX_DISABLE_MOST_OPTIMIZATIONS"
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, check=True,
        env={**environment, "HEBBAX_CACHE": str(cache), **variables},
    )  # fmt: skip
    return json.loads(done.stdout)


def test_a_script_finds_the_programs_of_the_last(tmp_path):
    first, theta = start(tmp_path)
    again, same = start(tmp_path)
    assert first["misses"] > 0
    assert again == {"hits": first["hits"] + first["misses"], "misses": 0}
    assert same == theta
    before = sorted(os.listdir(tmp_path / "xla"))
    assert start(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false")[0] == {"hits": 0, "misses": 0}
    assert sorted(os.listdir(tmp_path / "xla")) == before


def test_a_folder_that_the_user_has_chosen_stays(tmp_path, monkeypatch, no_programs):
    monkeypatch.setenv("HEBBAX_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    assert keep_programs() is None
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "theirs")
    assert not (tmp_path / "ours").exists()


def test_another_program_is_not_found(tmp_path, monkeypatch, no_programs):
    """Neither for a constant's sake, nor for an option's of the compiler."""
    monkeypatch.setenv("HEBBAX_CACHE", str(tmp_path))
    assert keep_programs() is None

    def kept(factor, **options):
        program = jax.jit(lambda x: x * factor).lower(jnp.ones(3)).compile(options)
        assert program(jnp.ones(3)).tolist() == [factor] * 3
        return len([*(tmp_path / "xla").glob("*-cache")])

    counts = [kept(2.0), kept(2.0), kept(3.0), kept(3.0, xla_cpu_enable_fast_math=True)]
    assert counts[0] == counts[1] < counts[2] < counts[3]


def test_broken_programs_are_compiled_again(tmp_path, monkeypatch, no_programs):
    monkeypatch.setenv("HEBBAX_CACHE", str(tmp_path))
    keep_programs()
    x = jnp.ones(3)
    assert jax.jit(lambda x: 7 * x)(x).tolist() == [7] * 3
    for path in (tmp_path / "xla").glob("*-cache"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    jax.clear_caches()
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry"):
        assert jax.jit(lambda x: 7 * x)(x).tolist() == [7] * 3


def test_the_oldest_go_first(tmp_path):
    for age, name in enumerate("dcba"):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    forget_oldest(tmp_path, 400)
    assert len(os.listdir(tmp_path)) == 4
    forget_oldest(tmp_path, 250)
    assert sorted(os.listdir(tmp_path)) == ["c", "d"]


def test_evaluation_keeps_programs(tmp_path, monkeypatch, no_programs):
    monkeypatch.setenv("HEBBAX_CACHE", str(tmp_path))
    rule, family = hx.Hebbian(), hx.tasks.toy("xor")
    hx.evaluate(rule, rule.init(jax.random.key(0)), family, hidden=(), steps=1, batch=4, seeds=1)
    assert [*(tmp_path / "xla").glob("*-cache")]


def test_estimators_keep_programs(tmp_path, monkeypatch, no_programs):
    monkeypatch.setenv("HEBBAX_CACHE", str(tmp_path))
    rule = hx.Hebbian()
    learner = hx.PlasticClassifier((rule, rule.init(jax.random.key(0))), hidden=(), steps=1)
    learner.fit([[0.0], [1.0]], [0, 1])
    assert [*(tmp_path / "xla").glob("*-cache")]


def test_options_that_a_compiler_does_not_know_are_left_out(monkeypatch):
    known = _programs.hasty_options()
    assert known is not None
    assert "xla_backend_optimization_level" in known
    monkeypatch.setattr(_programs, "HASTE", {**known, "xla_of_tomorrow": True})
    assert _programs.hasty_options.__wrapped__() == known


def test_programs_in_haste_and_others_say_the_same():
    calls = []

    def drawn(shape, x):
        calls.append(shape)
        return x + jax.random.normal(jax.random.key(0), shape)

    function = _programs.jit_by_work(drawn)
    first, again = (function(True, (3,), x) for x in (jnp.zeros(3), jnp.ones(3)))
    assert jnp.array_equal(first + 1, again)
    assert calls == [(3,)]
    assert jnp.allclose(function(False, (3,), jnp.zeros(3)), first, atol=1e-6)
    assert len(calls) == 2
