import json
import sys

import pytest

PNG = b"\x89PNG\r\n"
SMALL = (
    *("--families", "xor", "--hidden", 2, "--unrolls", 2, "--batch", 4, "--query", 4),
    *("--validation", 2, "--log-every", 1, "--runs", 1, "--steps", 4, "--checkpoint-every", 2),
)


@pytest.fixture
def run(tmp_path):
    """Return a function that makes the folder of a run that goes on."""

    def make(name, rows=6, runs=2, more=None, end=""):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        lines = [
            {
                "step": 10 * row,
                "loss": [1 / row + run for run in range(runs)],
                "accuracy": [1 - 1 / row] * runs,
                "meta_steps_per_s": 3.5,
                **({"validation_loss": [1 / row] * runs} if row % 3 == 0 else {}),
                **(more or {}),
            }
            for row in range(1, rows + 1)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "metrics.jsonl").write_text(text + end)
        return folder

    return make


def test_one_run_is_drawn_into_its_folder(hebbax, run, tmp_path):
    run("runs/a")
    outcome = hebbax("plot", "runs/a")
    assert outcome.status == 0
    assert outcome.out == "runs/a/figures/curves.png\n"
    assert outcome.err == ""
    assert (tmp_path / "runs/a/figures/curves.png").read_bytes().startswith(PNG)


def test_several_runs_are_drawn_into_this_folder(hebbax, run, tmp_path):
    run("a")
    run("b", runs=1)
    outcome = hebbax("plot", "a", "b", "--json")
    assert outcome.json == {"figure": "curves.png"}
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)
    assert not (tmp_path / "a" / "figures").exists()


@pytest.mark.parametrize(
    ("name", "begin"), [("x.png", PNG), ("deep/x.PDF", b"%PDF"), ("x.svg", b"<?xml")]
)
def test_out_says_where_and_in_which_format(hebbax, run, tmp_path, name, begin):
    run("a")
    assert hebbax("plot", "a", "--out", name, "--metrics", "meta_steps_per_s").status == 0
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert not list((tmp_path / name).parent.glob("*.tmp"))


def test_a_run_that_is_being_written_is_drawn(hebbax, run):
    run("a", end='{"step": 70, "lo')
    assert hebbax("plot", "a").status == 0


@pytest.mark.slow
def test_a_real_run_is_drawn(hebbax, tmp_path):
    assert hebbax("train", "blur/toy", *SMALL, "--out", "run").status == 0
    outcome = hebbax("plot", "run", "--metrics", "loss", "accuracy", "gradient_norm", "clipped")
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "run/figures/curves.png").read_bytes().startswith(PNG)


def test_a_metric_that_only_some_runs_have_is_noted(hebbax, run):
    run("a")
    run("b", more={"std": [0.1, 0.2]})
    outcome = hebbax("plot", "a", "b", "--metrics", "std")
    assert outcome.status == 0
    assert outcome.err == "note: there is no std in a\n"


def test_bad_input_is_one_line(refused, run, tmp_path):
    run("a")
    run("old/b", rows=0)
    run("broken", end='{"step": 70\n')
    (tmp_path / "file").write_text("")
    assert "RUN is missing" in refused("plot")
    assert "RUN: there is no folder nope." in refused("plot", "a", "nope")
    assert "there is no folder file." in refused("plot", "file")
    line = refused("plot", "old")
    assert "old is no run directory: it holds no metrics.jsonl. Did you mean old/b?" in line
    assert "the run in old/b has logged nothing yet" in refused("plot", "old/b")
    assert "line 7 of broken/metrics.jsonl is not one" in refused("plot", "broken")
    line = refused("plot", "a", "--metrics", "acuracy")
    assert "--metrics must be one of loss, accuracy, meta_steps_per_s, validation_loss" in line
    assert "Did you mean 'accuracy'?" in line
    assert "--out must end in .png, .pdf or .svg; got x.jpg" in refused("plot", "a", "--out=x.jpg")
    assert "--out file/x.png cannot be written" in refused("plot", "a", "--out", "file/x.png")


def test_train_writes_event_files_if_asked(hebbax, tmp_path):
    pytest.importorskip("tensorboardX")
    outcome = hebbax("train", "blur/toy", *SMALL, "--out", "run", "--tensorboard")
    assert outcome.status == 0, outcome.err
    assert len(list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))) == 1


def test_train_says_what_is_missing_for_event_files(refused, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    line = refused("train", "blur/toy", *SMALL, "--out", "run", "--tensorboard")
    assert "--tensorboard: " in line
    assert "pip install 'hebbax[tensorboard]'" in line
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_interrupted_run_is_gone_on_with_in_the_same_way(hebbax, monkeypatch):
    def interrupt(*_args, **_settings):
        raise KeyboardInterrupt

    pytest.importorskip("tensorboardX")
    monkeypatch.setattr("hebbax.runs.meta_train", interrupt)
    outcome = hebbax("train", "blur/toy", "--tensorboard")
    assert outcome.err.endswith("start again with: hebbax train blur/toy --tensorboard\n")
