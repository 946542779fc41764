import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from safetensors.numpy import load, load_file

import hebbax as hx
from hebbax.cli import main
from hebbax.rule_file import read_rule_file

SMALL = (
    *("--families", "xor", "--hidden", 2, "--unrolls", 2, "--batch", 4, "--query", 4),
    *("--validation", 2, "--log-every", 1),
)
SHORT = (*SMALL, "--runs", 1, "--steps", 4, "--checkpoint-every", 2)


def longer(steps):
    return (*SMALL, "--runs", 1, "--steps", steps, "--checkpoint-every", 2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main([str(word) for word in ("train", "blur/toy", *SHORT, "--out", folder)]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """Return the folder `run` as `train blur/toy *SHORT --out run` leaves it."""
    return shutil.copytree(trained, tmp_path / "run")


def read_card(run):
    return read_rule_file(run / "rule.safetensors")[2]


def test_train_leaves_a_rule_and_says_what_to_do_next(hebbax, tmp_path):
    outcome = hebbax("train", "blur/toy", *SHORT, "--out", "run")
    assert outcome.status == 0
    assert "30 meta-parameters θ" in outcome.out
    assert "in 2-2-2; on xor" in outcome.out
    assert "compiled in" in outcome.out
    assert "meta-steps/s" in outcome.out
    assert "hebbax show run" in outcome.out
    assert "hebbax evaluate run --hidden 2 --task" in outcome.out
    assert "meta-training" in outcome.err

    card = read_rule_file(tmp_path / "run" / "rule.safetensors")[2]
    assert card["recipe"] == "blur/toy"
    assert card["options"]["steps"] == 4
    assert card["families"] == ["xor"]
    assert {"title", "hebbax", "jax", "validation_loss", "meta_steps"} <= card.keys()
    assert hebbax("show", "run").status == 0

    again = hebbax("train", "blur/toy", *SHORT, "--out", "run")
    assert again.status == 0
    assert "is complete" in again.out


def test_json_is_pure_and_the_folder_is_named_after_the_recipe(hebbax, tmp_path):
    outcome = hebbax("train", "blur/toy", *SHORT, "--json")
    assert outcome.status == 0
    assert outcome.json["rule"] == "runs/blur-toy/rule.safetensors"
    assert np.isfinite(outcome.json["validation_loss"])
    assert (tmp_path / outcome.json["rule"]).is_file()
    assert "meta-parameters" in outcome.err


def test_dry_run_says_what_is_needed_and_writes_nothing(hebbax, tmp_path):
    outcome = hebbax("train", "blur/toy", *SHORT, "--out", "run", "--dry-run")
    assert outcome.status == 0
    assert "30 meta-parameters θ, synapses φ: " in outcome.out
    assert re.search(r"peak memory +\d+\.\d kB.*, of \d", outcome.out)
    assert re.search(r"compiling +\d", outcome.out)
    assert re.search(r"each meta-step +\d.* with 2 updates in a lifetime", outcome.out)
    assert "; 2 validations of " in outcome.out
    assert "4 meta-steps left: about " in outcome.out
    command = outcome.out.splitlines()[-1].partition("begin with: hebbax ")[2]
    assert "--dry-run" not in command
    assert not list(tmp_path.iterdir())

    again = hebbax("train", "blur/toy", *SHORT, "--out", "run", "--dry-run", "--json")
    assert again.json["theta"] == 30
    assert again.json["peak_memory"] > 1000
    assert again.json["seconds"] > again.json["compile_seconds"] > 0
    assert again.json["stages"][0]["last"] == 4
    assert not list(tmp_path.iterdir())

    assert hebbax(*shlex.split(command)).status == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    complete = hebbax("train", "blur/toy", *SHORT, "--out", "run", "--dry-run")
    assert "is complete" in complete.out
    assert "0 meta-steps left" in complete.out
    assert "begin with" not in complete.out
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}


@pytest.mark.usefixtures("run")
def test_another_run_is_not_gone_on_with(refused):
    line = refused("train", "blur/toy", *SHORT, "--out", "run", "--learning-rate", 0.5)
    assert "the run in run has other options: --learning-rate is 0.5, not 0.01; give" in line
    changes = ("--learning-rate", 0.5, "--clip", 2, "--dry-run")
    line = refused("train", "blur/toy", *SHORT, "--out", "run", *changes)
    assert "--learning-rate is 0.5, not 0.01; --clip is 2.0, not 1.0" in line or (
        "--clip is 2.0, not 1.0; --learning-rate is 0.5, not 0.01" in line
    )
    line = refused("train", "blur/mnist", "--out", "run")
    assert "--out run holds a run of blur/toy, not of blur/mnist" in line


@pytest.mark.usefixtures("run")
def test_resume_reads_the_options_from_the_run(hebbax, refused):
    outcome = hebbax("train", "--resume", "run")
    assert outcome.status == 0, outcome.err
    assert "the run in run is complete" in outcome.out
    # The learning rate follows a schedule over the steps.
    assert "--steps is 6, not 4" in refused("train", "blur/toy", *longer(6), "--out", "run")
    line = refused("train", "--resume", "run", "--clip", 2, "--learning-rate", 0.5)
    assert "--clip is 2.0, not 1.0" in line
    assert "--learning-rate is 0.5, not 0.01" in line


def test_a_rule_file_of_another_run_is_told_from_the_run_s_own(hebbax, refused, run, tmp_path):
    assert hebbax("train", "blur/toy", *SHORT, "--seed", 1, "--out", "b").status == 0
    (run / "rule.safetensors").replace(tmp_path / "b" / "rule.safetensors")
    assert "is of another run than the settings beside it" in refused("show", "b")
    assert hebbax("show", "b/rule.safetensors").status == 0


def test_a_run_that_is_over_goes_on_at_its_last_rate(hebbax, run, tmp_path):
    first = read_card(run)
    for steps in ("6", "8"):
        outcome = hebbax("train", "--resume", "run", f"--steps={steps}")
        assert outcome.status == 0, outcome.err
        assert f" of {steps} in run" in outcome.out
    complete = hebbax("train", "--resume", "run")
    assert "the run in run is complete" in complete.out, complete.err
    last = read_card(run)
    assert (last["options"]["steps"], last["options"]["decay"]) == (8, 4)
    assert first["run"] == last["run"]
    words = ("train", "blur/toy", *longer(8), "--decay", 4, "--out")
    assert hebbax(*words, "whole").status == 0
    files = [tmp_path / name / "rule.safetensors" for name in ("whole", "run")]
    whole, parts = (hx.load_rule(file)[1] for file in files)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), whole, parts))
    fewer = hebbax("train", "--resume", "run", "--steps", 6)
    assert fewer.status == 2
    assert "at least 8" in fewer.err
    assert "complete" in hebbax("train", "--resume", "run").out


@pytest.mark.parametrize(
    "config",
    ["[" * 10**5 + "]" * 10**5, "1" * 5000, "[]", '{"card": 3}', '{"card": {"recipe": [], '
     '"options": {}}}', '{"card": {"recipe": "blur/toy", "options": 3}}', "\udc80", None],
)  # fmt: skip
def test_resume_of_a_stranger_s_configuration(refused, tmp_path, config):
    folder = tmp_path / "run"
    folder.mkdir()
    if config is None:
        os.mkfifo(folder / "config.json")
    else:
        (folder / "config.json").write_bytes(config.encode(errors="surrogateescape"))
    assert "holds" in refused("train", "--resume", folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume",), "--resume needs the folder of a run"),
        (("--resume", "nowhere"), "--resume nowhere holds no run"),
        (("blur/toy", "--resume", "run"), "takes recipe and folder from the run"),
        (("--resume", "run", "--out", "b"), "takes recipe and folder from the run"),
    ],
)
def test_resume_of_nothing(refused, words, message):
    assert message in refused("train", *words)


def test_a_run_without_a_rule_file_is_told_apart_too(hebbax, run):
    (run / "rule.safetensors").unlink()
    outcome = hebbax("train", "blur/toy", *SHORT, "--out", "run", "--hidden", 3)
    assert outcome.status == 2
    assert outcome.err.startswith("hebbax: --out run: ")
    assert f"{run} holds a run with hidden = [2]" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_damaged_rule_file_is_written_anew_where_a_run_goes_on(hebbax, refused, run):
    words = ("train", "blur/toy", *SHORT, "--out", "run")
    file = run / "rule.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert hebbax(*words).status == 0
    np.testing.assert_equal(load_file(file), load(whole))
    # Where there is no run, it is not ours.
    file.write_bytes(whole[:-1])
    (run / "config.json").unlink()
    assert "truncated" in refused(*words)
    assert file.read_bytes() == whole[:-1]


def test_options_that_only_parts_of_a_recipe_refuse(refused):
    words = ("train", "unsupervised/small", "--activations", "data")
    assert refused(*words).startswith("hebbax: --activations must be one of none, tanh, relu, ")


def test_unwritable_folder(refused, tmp_path):
    (tmp_path / "file").write_text("")
    for words in (("train", "blur/toy"), ("quickstart",)):
        line = refused(*words, "--out", tmp_path / "file" / "run")
        assert "--out must be a folder that can be written" in line
        assert "Not a directory" in line


def test_missing_data(refused, tmp_path, monkeypatch):
    def fail(*_args, **_settings):
        raise ConnectionError("no network")

    monkeypatch.setattr("pooch.retrieve", fail)
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path / "cache")
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    line = refused("train", "blur/mnist")
    assert line.startswith("hebbax: RECIPE blur/mnist: MNIST file ")


def test_interrupted_at_once(hebbax, monkeypatch):
    def interrupt(*_args, **_settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("hebbax.runs.meta_train", interrupt)
    outcome = hebbax("train", "blur/toy", "--steps", 7)
    assert outcome.status == 130
    assert outcome.err == (
        "interrupted before the first checkpoint; "
        "start again with: hebbax train blur/toy --steps 7\n"
    )


# Whoever runs the tests in the background has them ignore ^C, and so would their children.
PROGRAM = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("hebbax.cli", run_name="__main__")
"""


def _start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _final_theta(run):
    newest = max((run / "checkpoints").iterdir())
    return newest.name, load_file(newest)


@pytest.mark.slow
def test_control_c_and_going_on_end_with_the_same_theta(tmp_path):
    words = ("train", "blur/toy", *SMALL, "--runs", 2, "--steps", 300, "--checkpoint-every", 100)
    metrics = tmp_path / "broken" / "metrics.jsonl"
    broken = _start(tmp_path, *words, "--out", "broken")
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert broken.poll() is None, broken.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    broken.send_signal(signal.SIGINT)
    _, err = broken.communicate(timeout=60)
    assert broken.returncode == 130
    assert "Traceback" not in err
    line = err.splitlines()[-1]
    assert line.startswith("interrupted; checkpoint of step ")
    command = shlex.split(line.partition("go on with: hebbax ")[2])
    assert command[-2:] == ["--out", "broken"]

    on = _start(tmp_path, *command)
    out, err = on.communicate(timeout=120)
    assert on.returncode == 0, err
    assert "going on from step " in out

    whole = _start(tmp_path, *words, "--out", "whole")
    _, err = whole.communicate(timeout=120)
    assert whole.returncode == 0, err

    (name, found), (other, expected) = (_final_theta(tmp_path / run) for run in ("broken", "whole"))
    assert name == other == "step-0000000300.safetensors"
    assert found.keys() == expected.keys()
    for array in expected:
        np.testing.assert_array_equal(found[array], expected[array], err_msg=array)
    steps = [json.loads(row)["step"] for row in metrics.read_text().splitlines()]
    assert steps == list(range(1, 301))
