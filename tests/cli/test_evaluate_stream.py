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
        ((), "--task or --stream is missing"),
    ],
)
def test_refused(refused, rule_file, words, message):
    assert message in refused("evaluate", rule_file, *words)
