import csv
import dataclasses
import io
import json
import math
import numbers
from pathlib import Path
from typing import ClassVar

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from hebbax.cli import main
from hebbax.papers import _registry
from hebbax.papers._experiment import BUDGETS, SMOKE_ONLY, Experiment, Finding, reproduce
from hebbax.papers._registry import NAMES, find

NEED_DATA = (
    "blur/cma-es",
    "blur/curriculum",
    "blur/depth",
    "blur/non-linearities",
    "blur/oja",
    "blur/sgd",
    "blur/states",
    "blur/synapse-normalisation",
    "blur/variants",
)
"""Experiments whose smoke budget takes more than toy functions and what scikit-learn brings."""
SHORT = ("blur/gradient-equivalence", "vsml/equivalence")
"""Experiments whose smoke budget compiles fast enough for every run of the tests."""
CHEAP = "blur/gradient-equivalence"
KEYS = {
    "experiment",
    "source",
    "claim",
    "criterion",
    "holds",
    "verdict",
    "shows",
    "numbers",
    "budget",
    "settings",
    "seed",
    "command",
    "versions",
    "device",
    "seconds",
}


def _needs(name):
    marks = [pytest.mark.data] if name in NEED_DATA else []
    if name not in SHORT:
        marks += [pytest.mark.slow, pytest.mark.long]
    return pytest.param(name, marks=marks)


def _leaves(value):
    """Return all that is no dictionary and no list in a result."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


@pytest.mark.parametrize("name", [_needs(name) for name in NAMES])
def test_the_smoke_budget_runs_and_writes_everything(name, tmp_path):
    kind = find(name)
    returned = reproduce(kind.at("smoke"), "smoke", 3, tmp_path)

    result = json.loads((tmp_path / "result.json").read_text())
    assert result == json.loads(json.dumps(returned))
    assert set(result) == KEYS
    assert result["experiment"] == name
    assert result["seed"] == 3
    assert (result["holds"], result["verdict"]) == (None, SMOKE_ONLY)
    for key in ("source", "claim", "criterion", "shows"):
        assert result[key].strip() == result[key] != ""
    # None stands for a number that there is none of, such as an eigenvalue of no matrix.
    for leaf in _leaves(result["numbers"]):
        assert leaf is None or isinstance(leaf, (str, bool)) or math.isfinite(leaf), leaf
    assert any(isinstance(leaf, numbers.Real) for leaf in _leaves(result["numbers"]))
    named = json.loads(json.dumps(dict(kind.smoke)))
    assert named.items() <= result["settings"].items()

    lines = list(csv.DictReader(io.StringIO((tmp_path / "data.csv").read_text())))
    assert lines
    assert all(any(value for value in line.values()) for line in lines)
    assert not any(value in ("nan", "inf", "-inf") for line in lines for value in line.values())

    picture = matplotlib.image.imread(tmp_path / "figure.png")
    assert min(picture.shape[:2]) > 200
    assert np.ptp(picture[..., :3]) > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_says_what_it_is_and_knows_its_budgets(name):
    kind = find(name)
    assert issubclass(kind, Experiment)
    assert kind.name == name
    for text in (kind.source, kind.claim, kind.criterion, kind.__doc__):
        assert text
    fields = {field.name for field in dataclasses.fields(kind)}
    for budget in BUDGETS:
        experiment = kind.at(budget)
        assert set({"smoke": kind.smoke, "small": {}, "paper": kind.paper}[budget]) <= fields
        hash(experiment)
    assert kind.at("small") == kind()


class Trivial(Experiment):
    """An experiment that costs nothing."""

    name: ClassVar = "papers/trivial"
    source: ClassVar = "nowhere"
    claim: ClassVar = "The answer is large."
    criterion: ClassVar = "the answer exceeds 10"
    smoke: ClassVar = {"answer": 11}
    paper: ClassVar = {}

    answer: int = 42

    def run(self, work, seed):
        figure = Figure()
        return Finding([{"answer": self.answer}], {}, self.answer > 10, "It is.", figure)


def test_only_a_budget_that_can_decide_gives_a_verdict(tmp_path):
    for experiment, budget, holds, verdict in (
        (Trivial.at("smoke"), "smoke", None, SMOKE_ONLY),
        (Trivial(), "small", True, "yes"),
        (Trivial(answer=3), "small", False, "no"),
    ):
        reproduce(experiment, budget, 0, tmp_path)
        result = json.loads((tmp_path / "result.json").read_text())
        assert (result["holds"], result["verdict"]) == (holds, verdict)


def test_a_subclass_is_a_frozen_dataclass_without_saying_so():
    assert [field.name for field in dataclasses.fields(Trivial)] == ["answer"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Trivial().answer = 1


def test_every_module_of_an_experiment_is_named():
    """And nothing else: names are those of the classes, wherever they are."""
    modules = {
        f"{file.parent.name}/{file.stem.strip('_').replace('_', '-')}"
        for file in Path(_registry.__file__).parent.glob("*/_*.py")
        if "    name: ClassVar = " in file.read_text(encoding="utf-8")
    }
    assert modules == set(NAMES)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(tmp_path):
    experiment = find(CHEAP).at("smoke")
    for run in ("a", "b"):
        reproduce(experiment, "smoke", 5, tmp_path / run)
    first, again = (json.loads((tmp_path / run / "result.json").read_text()) for run in ("a", "b"))
    assert first["numbers"] == again["numbers"]
    assert (tmp_path / "a/data.csv").read_text() == (tmp_path / "b/data.csv").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["blur/nothing"], ["EXPERIMENT", "blur/nothing", *NAMES]),
        ([CHEAP, "--budget", "huge"], ["--budget", "huge", *BUDGETS]),
        ([CHEAP, "--seed", "-1"], ["--seed", "-1"]),
    ],
)
def test_bad_input_is_one_clear_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status = main(["reproduce", *words])
    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.startswith("hebbax: ")
    assert captured.err.count("\n") == 1
    for word in said:
        assert word in captured.err
    assert not any(tmp_path.iterdir())
