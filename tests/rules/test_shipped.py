"""Rule files as they were before options were grouped are read as what they were."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open

import hebbax as hx
from hebbax._files import write_arrays
from hebbax.rules.blur import Normalization, Oja, SynapseNormalization

WRITTEN = json.loads(
    (Path(__file__).parent / "shipped/before_groups.json").read_text(encoding="utf-8")
)
"""For each shipped rule its old metadata, the shapes of θ, and what a network said of some rows
after three updates."""


@pytest.fixture(params=WRITTEN)
def name(request):
    return request.param


@pytest.fixture
def old(name, tmp_path):
    """Return a rule file with the arrays that ship and the metadata of old."""
    with safe_open(hx.zoo.path(name), "numpy") as file:
        arrays = {n: file.get_tensor(n) for n in file.keys()}
    assert {n: list(a.shape) for n, a in arrays.items()} == WRITTEN[name]["shapes"]
    metadata = {
        n: v if isinstance(v, str) else json.dumps(v) for n, v in WRITTEN[name]["metadata"].items()
    }
    write_arrays(tmp_path / "old.safetensors", arrays, {**metadata, "card": "{}"})
    return tmp_path / "old.safetensors"


def unbounded(rule):
    """Return a rule without the bounds that came later, which change no prediction."""
    if not getattr(rule, "bounded", False):
        return rule
    plain = dataclasses.replace(rule.synapse_normalization, bounded=False)
    return dataclasses.replace(rule, synapse_normalization=plain)


def predictions(rule, theta, sizes):
    x = jax.random.normal(jax.random.key(2), (8, 6))
    y = jax.nn.one_hot(jnp.arange(8) % 3, 3)

    @jax.jit
    def run(theta):
        net = rule.init_network(theta, jax.random.key(1), sizes)
        net = jax.lax.fori_loop(0, 3, lambda _, net: rule.update(theta, net, x, y)[0], net)
        return rule.predict(theta, net, x)

    return np.asarray(run(theta))


def test_old_files_are_the_same_rules(name, old):
    rule, theta = hx.load_rule(old)
    now, now_theta = hx.zoo.load(name)
    assert rule == unbounded(now)
    sizes = (6, 3) if name.startswith("vsml") else (6, 5, 3)
    found = predictions(rule, theta, sizes)
    np.testing.assert_array_equal(found, predictions(now, now_theta, sizes))
    np.testing.assert_allclose(found, WRITTEN[name]["prediction"], rtol=2e-3, atol=2e-4)


def test_old_names_are_put_into_groups():
    rule = hx.zoo.load("blur/mnist-50")[0]
    assert isinstance(rule, hx.Blur)
    assert rule.oja == Oja("relative")
    assert rule.normalization == Normalization(last=False, window=1000.0)
    assert rule.synapse_normalization == SynapseNormalization(learn=True)
    assert hx.Blur.from_hyperparameters({"oja": None, "oja_extra": 0.5}) == hx.Blur()
    assert hx.Blur.from_hyperparameters({"saturation": "tanh", "saturation_epsilon": 0.1}) == (
        hx.Blur(saturation={"form": "tanh", "epsilon": 0.1})
    )


@pytest.mark.parametrize("option", ["oja_extra", "saturation_epsilon", "statistics_window"])
def test_nonsense_is_refused_where_nothing_uses_it(option):
    unused = {"oja": None, "saturation": None, "normalization": None}
    with pytest.raises(ValueError, match=f"{option} must be a finite number"):
        hx.Blur.from_hyperparameters({**unused, option: float("nan")})


@pytest.mark.parametrize(
    "gone", [{"statistics": "batch"}, {"synapse_init": "uniform"}, {"normalization": "units"}]
)
def test_options_that_are_gone_are_refused(gone):
    with pytest.raises(ValueError, match=f"{next(iter(gone))}.* option no longer"):
        hx.Blur.from_hyperparameters(gone)


def test_what_is_written_is_what_is_read(tmp_path, key):
    rule = hx.Blur(oja=Oja("first", extra=0.5, learn=False), saturation="tanh", normalization=None)
    path = tmp_path / "new.safetensors"
    hx.save_rule(path, rule, rule.init(key))
    assert hx.load_rule(path)[0] == rule
    with safe_open(path, "numpy") as file:
        written = json.loads(file.metadata()["hyperparameters"])
    assert written["oja"] == {"form": "first", "extra": 0.5, "learn": False, "apart": True}
