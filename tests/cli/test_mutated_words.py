"""Whatever words a command line holds, it ends with a status, and with one line where it is bad."""

import dataclasses
import json

import numpy as np
import pytest

from hebbax import data, inner, papers, recipes
from hebbax.cli import COMMANDS, _quickstart_run, _zoo_table, main
from hebbax.papers import NAMES
from hebbax.recipes import RECIPES

BASES = (
    "quickstart --budget smoke --seed 3", "train blur/toy --steps 2 --runs 1 --out out",
    "train vsml/online --unrolls 3 --tasks 1 --dry-run", "train --resume run", "train blur/mnist",
    "train unsupervised/small --hidden 3 --truncation 1 --json", "doctor blur/toy --unrolls 1 2",
    "doctor run --episodes 2 --json", "evaluate some.safetensors --task iris --hidden 3 --steps 2",
    "evaluate run --task digits --network cnn --hidden 2 --batch 4 --seeds 1 --no-baselines",
    "evaluate blur/toy --task xor --online --steps 3 --json", "evaluate blur/cma --task digits",
    "evaluate blur/toy --stream rows.csv --chunk 3 --window 2.5 --figure a.png --raw",
    "evaluate blur/toy --task digits --size 4 --crop 6 --rule-class a:B", "plot run run --json",
    "plot run --out a.svg --metrics loss accuracy", "reproduce blur/toy --budget smoke --out out",
    "reproduce vsml/exact --seed 1 --json", "show blur/toy --latex", "show some.safetensors --json",
    "show run --check-locality --sizes 3 2 2", "rules --json", "rules --evaluate --seeds 1",
    "data list --json", "data fetch digits", "--version", "--help", "train --help",
)  # fmt: skip
FLAGS = sorted(
    {
        "--" + ("no-" if no else "") + field.name.replace("_", "-")
        for kind in (*COMMANDS.values(), *RECIPES.values())
        for field in dataclasses.fields(kind)
        for no in (False, True)
    }
)
VALUES = (
    "", "0", "-1", "1", "2", "3.5", "nan", "inf", "-inf", "1e400", "9" * 30, "9" * 5000, "a",
    "None", "none", "true", ":", "a:b", "hebbax:Blur", "os:system", "\0", "ä\udc80", "\x1b[2J",
    "--", "-", "---", "-x", "--=", "=", ".", "..", "/", "/dev/null", "/dev/full", "/dev/zero", "~",
    "run",
    "empty", "broken.safetensors", "some.safetensors", "rows.csv", "broken.npz", "x" * 5000, "[1]",
    "1,2", "1 2", "{", "mnist", "iris", "xor", "cnn", "resnet", "smoke", "list", "fetch", "elec2",
    *COMMANDS, *RECIPES, *NAMES[:3],
)  # fmt: skip


class ReachedError(Exception):
    """The command line was good enough to begin to work."""


@pytest.fixture
def folder(tmp_path, monkeypatch, rule_file):
    """Make a folder with a rule, a run, a stream and damaged ones of each; stop all real work."""
    monkeypatch.chdir(tmp_path)
    recipe = RECIPES["blur/toy"](runs=1, steps=2)
    (tmp_path / "empty").mkdir()
    run = tmp_path / "run"
    run.mkdir()
    line = {"step": 50, "loss": [1.0], "accuracy": [0.5], "accuracy/xor": [0.5]}
    (run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    card = {"recipe": "blur/toy", "options": recipe.options()}
    (run / "config.json").write_text(json.dumps({"card": card}))
    (run / "rule.safetensors").write_bytes(rule_file.read_bytes())
    (tmp_path / "broken.safetensors").write_bytes(rule_file.read_bytes()[:99])
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "rows.csv").write_text("a,b,class\n" + "1,2,x\n3,1,y\n" * 6)

    def stop(*_, **__):
        raise ReachedError

    for place, name in (
        (inner, "evaluate"), (inner, "evaluate_online"), (inner, "evaluate_stream"),
        (inner, "best_backprop"), (data, "fetch"), (data, "load"),
        (papers, "reproduce"), (recipes.Recipe, "meta_train"), (recipes.Recipe, "forecast"),
        (recipes.Recipe, "diagnose"), (_quickstart_run, "run"), (_zoo_table.Table, "row"),
    ):  # fmt: skip
        monkeypatch.setattr(place, name, stop)
    return tmp_path


def mutated(rng):
    words = str(rng.choice(BASES)).split()
    for _ in range(int(rng.choice([0, 1, 1, 2, 4]))):
        at = int(rng.integers(len(words) + 1))
        kind = rng.integers(6)
        if kind == 0 and words:
            del words[min(at, len(words) - 1)]
        elif kind == 1 and words:
            words[min(at, len(words) - 1)] = str(rng.choice(VALUES))
        elif kind == 2:
            words[at:at] = [str(rng.choice(FLAGS)), str(rng.choice(VALUES))]
        elif kind == 3:
            words.insert(at, str(rng.choice(VALUES)))
        elif kind == 4:
            words.append(str(rng.choice(FLAGS)))
        elif words:
            other = str(rng.choice(BASES)).split()
            words[at:] = other[int(rng.integers(len(other))) :]
    return words


@pytest.mark.parametrize(
    "number", [60, pytest.param(3000, marks=pytest.mark.slow)], ids=["few", "many"]
)
@pytest.mark.usefixtures("unchecked")
def test_mutated_command_lines(folder, capsys, number):
    rng = np.random.default_rng(number)
    reached, refused = 0, 0
    for _ in range(number):
        words = mutated(rng)
        try:
            status = main(words)
        except ReachedError:
            reached += 1
            capsys.readouterr()
            continue
        except BaseException as error:
            raise AssertionError(f"{words!r} ends in {type(error).__name__}: {error}") from error
        captured = capsys.readouterr()
        assert status in (0, 2), words
        assert "Traceback" not in captured.err, words
        if status == 2:
            refused += 1
            last = captured.err.rstrip("\n").splitlines()[-1]
            assert last.startswith("hebbax: "), (words, captured.err)
            assert len(last) < 2000, words
    assert min(reached, refused) > 0.05 * number
