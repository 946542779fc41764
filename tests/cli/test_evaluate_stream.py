import equinox as eqx
import jax
import numpy as np
import pytest

from hebbax import Blur, save_rule


@pytest.fixture
def stream_file(tmp_path):
    y = np.arange(60) // 6 % 3
    np.savez(tmp_path / "rows.npz", x=np.eye(3)[y] + 0.1 * np.arange(3), y=y)
    return tmp_path / "rows.npz"


SMALL = ("--hidden", 3, "--chunk", 5, "--seeds", 2)


def test_table_and_figure(hebbax, rule_file, stream_file, tmp_path, monkeypatch):
    monkeypatch.setattr("hebbax.cli._evaluate_stream.OPTIMIZERS", {"sgd": "SGD"})
    figure = tmp_path / "time.png"
    words = ("evaluate", rule_file, "--stream", stream_file, "--figure", figure, *SMALL)
    out = hebbax(*words).out
    for text in ("networks 3-3-3", "60 rows", "κ", "SGD", "linear SGD", "rate"):
        assert text in out
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_json(hebbax, rule_file, stream_file):
    words = ("evaluate", rule_file, "--stream", stream_file, "--no-baselines", "--json", *SMALL)
    result = hebbax(*words).json
    assert (result["rows"], result["sizes"]) == (60, [3, 3, 3])
    (learner,) = result["learners"].values()
    assert len(learner["accuracy"]) == 2
    assert learner["seconds_per_row"] > 0


def test_numbers_that_end_are_said(hebbax, stream_file, tmp_path):
    rule, path = Blur(normalization=None), tmp_path / "rule.safetensors"
    theta = rule.init(jax.random.key(0))
    save_rule(path, rule, eqx.tree_at(lambda t: t.f_tilde, theta, jax.numpy.float32(1e6)))
    outcome = hebbax("evaluate", path, "--stream", stream_file, "--no-baselines", *SMALL)
    assert outcome.status == 1
    assert f"warning: {path}: the numbers of 2 of 2 networks end: from update" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--stream", "elec3"), "--stream"),
        (("--stream", "no.csv"), "no.csv does not exist"),
        (("--stream", "elec2", "--task", "iris"), "--task is iris, but --stream takes its place"),
        (("--stream", "elec2", "--figure", "a.txt"), "--figure must end in"),
        (("--stream", "elec2", "--chunk", 0), "--chunk must be at least 1"),
        (("--stream", "elec2", "--window", 0), "--window must be at least 1"),
        (("--stream", "elec2", "--steps", 5), "--steps is 5, but --stream takes its place"),
        (("--stream", "elec2", "--batch", 5), "--batch is 5, but --stream takes its place"),
        (("--stream", "elec2", "--online"), "--online is True, but --stream takes its place"),
        (("--task", "iris", "--chunk", 5), "--chunk 5 is for --stream, which is missing"),
        (("--task", "iris", "--window", 5), "--window 5.0 is for --stream, which is missing"),
        (("--task", "iris", "--raw"), "--raw is for --stream, which is missing"),
        (("--task", "iris", "--figure", "a.png"), "--figure a.png is for --stream"),
        ((), "--task or --stream is missing"),
    ],
)
def test_refused(refused, rule_file, words, message):
    assert message in refused("evaluate", rule_file, *words)


def test_rules_that_no_stream_judges(refused, stream_file):
    assert "RULE unsupervised/small makes features" in refused(
        "evaluate", "unsupervised/small", "--stream", stream_file
    )
    assert "RULE blur/mnist learns nothing from fewer than 2 examples at once; got --chunk 1" in (
        refused("evaluate", "blur/mnist", "--stream", stream_file, "--chunk", 1)
    )


def test_times_keep_their_digits(hebbax, rule_file, tmp_path):
    """A column of times decides the class, and is told from noise only in double precision."""
    file = tmp_path / "rows.csv"
    file.write_text("".join(f"{1.7e9 + i % 2},{i % 2}\n" for i in range(400)))
    words = ("evaluate", rule_file, "--stream", file, "--no-baselines", "--json", *SMALL)
    (learner,) = hebbax(*words).json["learners"].values()
    still = tmp_path / "still.csv"
    still.write_text("".join(f"{1.7e9},{i % 2}\n" for i in range(400)))
    words = ("evaluate", rule_file, "--stream", still, "--no-baselines", "--json", *SMALL)
    (nothing,) = hebbax(*words).json["learners"].values()
    assert learner["accuracy"] != nothing["accuracy"]


@pytest.mark.parametrize("option", ["--seeds", "--updates", "--out"])
def test_settings_of_the_table_without_it(refused, option):
    assert f"{option} 7 is for --evaluate, which is missing" in refused("rules", option, 7)


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000])
@pytest.mark.parametrize("command", ["doctor", "show", "plot"])
def test_names_that_are_too_long_for_files(refused, command, name):
    assert len(refused(command, name)) < 2000
