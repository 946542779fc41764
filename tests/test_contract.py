"""The names and signatures that users, documents and checks call, each once, at tiny sizes."""

import inspect
import subprocess
import sys

import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import hebbax as hx
from hebbax import _cache, _programs
from hebbax.data import _find


def test_a_rule(key):
    rule = hx.Blur(states=2)
    assert hash(rule) == hash(hx.Blur(states=2))
    theta = rule.init(key)
    net = rule.init_network(theta, key, (9, 4, 3))
    x, y = jax.random.normal(key, (5, 9)), jax.nn.one_hot(np.arange(5) % 3, 3)
    update, predict = jax.jit(rule.update), jax.jit(rule.predict)
    after, prediction = update(theta, net, x, y)
    assert prediction.shape == (5, 3)
    assert jax.tree.structure(after) == jax.tree.structure(net)
    after, _ = update(theta, net, x, None)
    assert predict(theta, after, x).shape == (5, 3)
    xs, ys = np.stack([x, x]), np.stack([y, y])
    after, predictions = hx.unroll(rule, theta, net, jax.numpy.asarray(xs), jax.numpy.asarray(ys))
    assert predictions.shape == (2, 5, 3)


@pytest.mark.parametrize("rule", [hx.Backprop("sgd"), hx.Hebbian()])
def test_update_is_pure_jits_and_vmaps(rule, key):
    def learn(key):
        k_theta, k_net, k_data = jax.random.split(key, 3)
        theta = rule.init(k_theta)
        net = rule.init_network(theta, k_net, (4, 3, 2))
        x, y = jax.random.normal(k_data, (6, 4)), jax.nn.one_hot(np.arange(6) % 2, 2)
        return rule.update(theta, net, x, y)

    keys = jax.random.split(key, 3)
    together, again = jax.jit(jax.vmap(learn))(keys), jax.jit(jax.vmap(learn))(keys)
    jax.tree.map(np.testing.assert_array_equal, together, again)
    for index in range(3):
        alone = jax.jit(learn)(keys[index])
        jax.tree.map(
            lambda a, b, i=index: np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5),
            together,
            alone,
        )


def test_families(key):
    families = [
        hx.tasks.toy("xor"),
        hx.tasks.digits(),
        hx.tasks.images("digits", size=4, crop=6),
        hx.tasks.from_arrays(np.eye(8), np.arange(8) % 2, np.eye(8), np.arange(8) % 2),
    ]
    for family in families:
        episode = eqx.filter_jit(family.sample)(key, steps=2, batch=3, query=5)
        assert episode.x.shape == (2, 3, family.inputs)
        assert episode.y.shape == (2, 3, family.outputs)
        assert episode.query_x.shape == (5, family.inputs)
        assert episode.query_y.shape == (5, family.outputs)


def test_meta_train_save_load_evaluate(key, tmp_path):
    rule, family = hx.Blur(states=2), hx.tasks.digits()
    result = hx.meta_train(
        rule,
        family,
        hx.objectives.QueryCrossEntropy(steps=1, batch=4, query=4),
        hx.methods.Gradient(optax.adam(5e-4), clip=10.0),
        hidden=(4,),
        steps=2,
        key=key,
        directory=tmp_path / "run",
    )
    file = tmp_path / "rule.safetensors"
    hx.save_rule(file, rule, result.theta, card={"title": "tiny"})
    rule, theta = hx.load_rule(file)
    curves = hx.evaluate(rule, theta, family, hidden=(4,), steps=3, batch=8, seeds=2)
    assert curves.accuracy.shape == curves.loss.shape == (2, 3)
    assert hx.load_rule(tmp_path / "run" / "rule.safetensors")[0] == rule


def test_names():
    assert isinstance(hx.__version__, str)
    assert isinstance(hx.zoo.list(), tuple)
    for name in ("QueryCrossEntropy", "QueryAccuracy", "OnlineCrossEntropy"):
        assert hasattr(hx.objectives, name)


def test_importing_computes_nothing():
    """No backend is started and no data set read before the first call."""
    code = (
        "import hebbax, jax._src.xla_bridge as b, sys; "
        "sys.exit(bool(b._backends) or 'sklearn.datasets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_cache_for_downloads_and_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("HEBBAX_CACHE", str(tmp_path))
    assert _find.cache_folder() == _programs.cache_folder() == _cache.cache_folder() == tmp_path
    monkeypatch.delenv("HEBBAX_DATA", raising=False)
    assert _find.roots(None) == (tmp_path,)
    monkeypatch.setenv("HEBBAX_CACHE", "~/kept")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _cache.cache_folder() == tmp_path / "kept"
    monkeypatch.delenv("HEBBAX_CACHE")
    monkeypatch.setattr(_cache.pooch, "os_cache", lambda name: tmp_path / name)
    assert _cache.cache_folder() == tmp_path / "hebbax"


def test_settings_are_shown():
    """`help(meta_train)` names every setting, though one object holds them all."""
    for function, own in ((hx.meta_train, "directory"), (hx.forecast, "seconds")):
        shown = inspect.signature(function).parameters
        assert list(shown)[:4] == ["rule", "family", "objective", "method"]
        assert {"hidden", "steps", "key", "tasks", own} <= shown.keys()
