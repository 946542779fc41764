"""Command lines with files of strangers, strange numbers, and streams that cannot be written."""

import json
import os
import subprocess
import sys

import jax
import pytest

from hebbax.cli._jax import set_up_jax

LINE = {"step": 10, "loss": [1.0, 2.0], "accuracy": [0.5, None]}


@pytest.fixture
def run(tmp_path):
    def make(*lines, config=None):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        text = "".join(row + "\n" for row in rows)
        (folder / "metrics.jsonl").write_text(text)
        if config is not None:
            (folder / "config.json").write_text(config)
        return folder

    return make


@pytest.mark.parametrize(
    "line",
    [
        "[]", "3", "null", '"a"', "[" * 100_000, '{"a":' * 100_000, "9" * 5000,
        {**LINE, "step": "a"}, {**LINE, "step": True}, {**LINE, "step": 10**30},
        {**LINE, "loss": []}, {**LINE, "loss": 3}, {**LINE, "loss": ["a", 1]},
        {**LINE, "loss": [1.0]}, {**LINE, "accuracy": {}}, {**LINE, "accuracy": [[1], [2]]},
        {**LINE, "accuracy": [10**400, 1]}, {**LINE, "accuracy": 0.5}, {**LINE, "diverged": 3},
        {**LINE, "diverged": [3]}, {**LINE, "diverged": [{"run": 0}]},
    ],
)  # fmt: skip
def test_lines_that_no_run_logs(refused, run, line):
    assert "line 2 of run/metrics.jsonl is not one that a run logs" in refused(
        "plot", run(LINE, line, LINE).name
    )


@pytest.mark.parametrize(
    "config",
    [
        "[" * 100_000, "[]", "3", '{"card": 3}', '{"card": {"title": 3}}', '{"objective": 3}',
        '{"objective": {"objective": []}}', '{"objective": {"name": []}}',
        '{"objective": {"unrolls": 3}}', '{"objective": {"unrolls": [1, "a"], "every": 3}}',
        '{"objective": {"unrolls": [1, 2]}}', '{"objective": {"unrolls": [1, 2], "every": "a"}}',
    ],
)  # fmt: skip
def test_configurations_that_no_run_writes(refused, run, config):
    assert "config.json is not the configuration of a run" in refused(
        "plot", run(LINE, config=config).name
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "card",
    [
        3, [], {"recipe": []}, {"recipe": "blur/toy"}, {"recipe": "blur/toy", "options": 3},
        {"recipe": "blur/toy", "options": {"hidden": "a"}},
        {"recipe": "blur/toy", "options": {"unrolls": 10**400}},
        {"recipe": "blur/toy", "options": {"steps": None}},
        {"recipe": "blur/toy", "options": {"families": [3]}},
    ],
)  # fmt: skip
def test_runs_that_no_recipe_made(refused, run, card):
    assert "RUN run" in refused("doctor", run(LINE, config=json.dumps({"card": card})).name)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["plot", "run", "--out", ""], "--out must be a path; got ''."),
        (["train", "blur/toy", "--out", ""], "--out must be a path; got ''."),
        (["quickstart", "--out", ""], "--out must be a path; got ''."),
        (["show", ""], "RULE must be a path or a name; got ''."),
        (["show", "x" * 5000], "RULE xxx"),
        (["show", "blur/toy", "--sizes", "9" * 30, "2"], "--sizes must be whole numbers"),
        (["train", "blur/toy", "--steps", "9" * 5000], "--steps must be a whole number"),
        (["quickstart", "--seed", "9" * 40], "--seed must be a whole number"),
    ],
)
def test_words_that_are_too_little_or_too_much(refused, run, words, line):
    run(LINE)
    assert line in refused(*words)


def test_a_pipe_or_device_is_no_rule(refused, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "pipe is not a regular file" in refused("show", "pipe")
    assert "is not a regular file" in refused("show", "/dev/zero")


def _call(words, tmp_path, **streams):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "hebbax.cli", *words],
        env={**os.environ, "HEBBAX_CACHE": str(tmp_path)}, text=True, timeout=300, **streams,
    )  # fmt: skip


def test_standard_output_that_is_full(tmp_path):
    with open("/dev/full", "w") as full:
        done = _call(["--version"], tmp_path, stdout=full, stderr=subprocess.PIPE)
        more = _call(["show", "blur/toy"], tmp_path, stdout=full, stderr=subprocess.PIPE)
    for outcome in (done, more):
        assert outcome.returncode == 1
        assert outcome.stderr.startswith("hebbax: standard output cannot be written (No space")
        assert outcome.stderr.count("\n") == 1


def test_standard_output_that_is_closed(tmp_path):
    words = [sys.executable, "-m", "hebbax.cli", "show", "blur/toy"]
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *words], stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HEBBAX_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_no_cache_where_others_can_write(tmp_path, monkeypatch, capsys, no_programs):
    monkeypatch.setenv("HEBBAX_CACHE", str(tmp_path))
    (tmp_path / "xla").mkdir()
    (tmp_path / "xla").chmod(0o777)
    set_up_jax()
    assert jax.config.jax_compilation_cache_dir is None
    note = capsys.readouterr().err
    assert note.startswith(f"note: no compilation cache in {tmp_path / 'xla'} (others can write")
    assert note.count("\n") == 1
