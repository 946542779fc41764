import dataclasses
import io
import json

import pytest
from rich.console import Console

import hebbax as hx
from hebbax.cli import _quickstart_run as quickstart


@pytest.fixture
def tiny(monkeypatch):
    """Make the smoke budget small enough for a test."""
    plan = dataclasses.replace(
        quickstart.BUDGETS["smoke"], steps=2, runs=2, checkpoint_every=2, held_out=("nxor",)
    )
    monkeypatch.setitem(quickstart.BUDGETS, "smoke", plan)


@pytest.mark.slow
def test_the_whole_path_and_again(tiny, tmp_path, monkeypatch):
    out = tmp_path / "run"
    text = io.StringIO()
    console = Console(file=text, width=120, markup=False)
    results = quickstart.run("smoke", out, 3, console)

    assert json.loads(json.dumps(results)) == results
    assert [row["task"] for row in results["rows"]] == ["nxor"]
    assert not results["rows"][0]["seen"]
    accuracy = results["rows"][0]["accuracy"]
    assert set(accuracy) == {"genome", "SGD", "Adam"}
    for learner in accuracy.values():
        assert set(learner) == {"5", "10", "20"}
        assert all(0 <= value["mean"] <= 1 for value in learner.values())
    for path in results["figures"]:
        with open(path, "rb") as file:
            assert file.read(4) == b"\x89PNG"
    rule, _ = hx.load_rule(results["rule"])
    assert rule == quickstart.RULE
    for told in ("nxor", results["rule"], *results["figures"], f"hebbax show {results['rule']}"):
        assert told in text.getvalue()

    def refuse(*_, **__):
        raise AssertionError("the second start must not meta-train again")

    monkeypatch.setattr(quickstart, "_draw", lambda *_: [])
    monkeypatch.setattr("hebbax.runs.checkpoint.save", refuse)
    again = quickstart.run("smoke", out, 3, Console(file=io.StringIO()))
    assert again["rows"] == results["rows"]


def test_an_unknown_budget_is_refused(tmp_path):
    with pytest.raises(ValueError, match="smoke"):
        quickstart.run("small", tmp_path, 0, Console(file=io.StringIO()))
    assert not any(tmp_path.iterdir())


def test_no_held_out_toy_is_meta_trained_on_except_xor():
    for plan in quickstart.BUDGETS.values():
        assert {*plan.learn} & {*plan.held_out} <= {"xor"}
        assert not {*plan.learn} & {*plan.drawn}
