"""Every example runs, in its smoke size, and says what it found."""

import importlib.util
import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NEEDS_RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed (hebbax[ray])"
)


@pytest.fixture
def example(tmp_path, monkeypatch, capsys):
    """Return a function that runs an example as a program, and returns what it printed."""
    monkeypatch.chdir(tmp_path)
    # Workers of a cluster are processes of their own, which have to find the package too.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLES.parent), *sys.path]))

    def run(name):
        monkeypatch.setattr(sys, "argv", [name, "--smoke"])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def _after(words, text):
    """Return all numbers that follow `words`."""
    found = [float(number) for number in re.findall(rf"{words} +(-?[\d.]+)", text)]
    assert found, text
    assert np.isfinite(found).all(), text
    return found


def test_every_example_is_tested():
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in sorted(EXAMPLES.glob("*.py")):
        assert f'example("{path.name}")' in tested, path.name


@pytest.mark.slow
def test_blur_toy(example, tmp_path):
    import hebbax as hx

    out = example("01_blur_toy.py")
    assert len(_after("loss", out)) == 4
    for name in ("genome", "Adam"):
        assert all(0 <= share <= 1 for share in _after(name, out))
    assert isinstance(hx.load_rule(tmp_path / "blur_toy.safetensors")[0], hx.Blur)


@pytest.mark.slow
def test_your_own_task(example):
    out = example("02_your_own_task.py")
    assert len(_after("loss", out)) == 4
    assert "stripes: test accuracy" in out
    assert "iris: test accuracy" in out


@pytest.mark.slow
def test_your_own_rule(example):
    out = example("03_your_own_rule.py")
    # Two meta-steps are enough to leave chance.
    before = _after("before", out)[0]
    assert before == pytest.approx(0.1, abs=0.02)
    for method in ("whole gradient", "truncated", "ES", "PES", "CMA-ES"):
        assert _after(rf"^ *{method}".replace("^", "(?m)^"), out)[0] >= 0, method


@pytest.mark.slow
def test_cma_es(example):
    out = example("04_cma_es.py")
    steps = [int(step) for step in _after("meta-step", out)]
    assert steps == [1, 2, 3, 4]
    assert len(_after("test accuracy", out)) == 2


@pytest.mark.slow
@NEEDS_RAY
def test_cluster(example):
    out = example("05_cluster.py")
    assert len(_after("loss", out)) == 4
    assert len(_after("test accuracy", out)) == 2


@pytest.mark.slow
@NEEDS_RAY
def test_unsupervised_paper(example):
    out = example("06_unsupervised_paper.py")
    assert len(_after("meta-objective", out)) == 2
    assert 0 <= _after("validation", out)[0] <= 4
