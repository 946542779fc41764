import equinox as eqx
import jax
import numpy as np
import pytest

from hebbax import Blur, save_rule

SMALL = ("--hidden", 3, "--steps", 3, "--batch", 8, "--seeds", 2)


def test_table(hebbax, rule_file, monkeypatch):
    # One less, as each takes seconds to compile.
    monkeypatch.setattr("hebbax.cli._evaluate.OPTIMIZERS", {"sgd": "SGD", "adam": "Adam"})
    outcome = hebbax("evaluate", rule_file, "--task", "iris", *SMALL)
    assert outcome.status == 0
    texts = ("on iris: networks 4-3-3", "updates", "SGD", "Adam", "best step size", "±")
    for text in (*texts, "Adam, normalised", "not meta-trained"):
        assert text in outcome.out
    assert "[" not in outcome.out
    assert "compiled in" in outcome.out
    assert "evaluating" in outcome.err


def test_json_is_pure(hebbax, rule_file):
    outcome = hebbax("evaluate", rule_file, "--task", "iris", "--no-baselines", "--json", *SMALL)
    result = outcome.json
    assert result["sizes"] == [4, 3, 3]
    assert result["updates"] == [1, 2, 3]
    assert list(result["learners"]) == ["rule"]
    accuracy = result["learners"]["rule"]["accuracy"]
    assert len(accuracy) == 2
    assert all(0 <= share <= 1 for row in accuracy for share in row)


def test_online(hebbax, refused, tmp_path, monkeypatch):
    rule, rule_file = Blur(normalization=None), tmp_path / "one.safetensors"
    save_rule(rule_file, rule, rule.init(jax.random.key(0)))
    monkeypatch.setattr("hebbax.cli._evaluate.OPTIMIZERS", {"sgd": "SGD"})
    words = ("evaluate", rule_file, "--task", "iris", "--online", "--steps", 5, "--seeds", 2)
    # No hidden layers are asked for by naming none.
    result = hebbax(*words, "--json", "--hidden").json
    assert result["sizes"] == [4, 3]
    assert result["examples"] == [1, 2, 5]
    assert list(result["learners"]) == ["rule", "sgd"]
    for learner in result["learners"].values():
        for seed in learner["accuracy"]:
            counts = [share * point for share, point in zip(seed, (1, 2, 5), strict=True)]
            np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    out = hebbax(*words, "--no-baselines").out
    assert "examples" in out
    assert "before it was learnt from" in out
    assert "--batch is 8, but with --online" in refused(*words, "--batch", 8)
    line = refused("evaluate", rule_file, "--task", "iris", "--online", "--steps", 10**6)
    assert "--steps must be at most" in line


def test_networks_of_images(hebbax, refused, rule_file):
    words = ("--no-baselines", "--json", "--network", "cnn", *SMALL)
    result = hebbax("evaluate", rule_file, "--task", "digits", *words).json
    assert result["sizes"] == [[8, 8, 1], [4, 4, 3], [1, 1, 10]]
    line = refused("evaluate", rule_file, "--task", "iris", *words)
    assert "--network cnn --hidden 3" in line
    assert "which image the 4 numbers of a row are" in line


def test_the_seed_decides(hebbax, rule_file):
    words = ("evaluate", rule_file, "--task", "iris", "--no-baselines", "--json", *SMALL)
    first, second = (hebbax(*words).json["learners"] for _ in range(2))
    other = hebbax(*words, "--seed", 1).json["learners"]
    assert first == second
    assert first != other


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--task mnst", "--task must be one of mnist, "),
        ("--task mnst", "got 'mnst'. Did you mean 'mnist'?"),
        ("--task xor --steps 0", "--steps must be at least 1; got 0."),
        ("--task xor --hidden 4 0", "--hidden must hold sizes of at least 1; got 4 0."),
        ("--task xor --seeds 0", "--seeds must be at least 1; got 0."),
        ("--task xor --size 0", "--size must be at least 1; got 0."),
        ("--task xor --size 10", "--size must be left out, for xor has no pixels to resize"),
        ("--task digits --crop 10", "--crop must be from 1 to 8"),
        ("--task xor --size ten", "--size must be a whole number; got 'ten'."),
    ],
)
def test_bad_options(refused, rule_file, words, line):
    assert line in refused("evaluate", rule_file, *words.split())


def test_missing_data(refused, rule_file, tmp_path, monkeypatch):
    def fail(*_args, **_settings):
        raise ConnectionError("no network")

    monkeypatch.setattr("pooch.retrieve", fail)
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path / "cache")
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    line = refused("evaluate", rule_file, "--task", "mnist")
    assert line.startswith("hebbax: --task mnist: ")
    assert "put it into" in line


def test_a_genome_for_each_layer_fits_one_depth(refused, tmp_path):
    rule = Blur(layer_genomes=2)
    save_rule(tmp_path / "rule.safetensors", rule, rule.init(jax.random.key(0)))
    line = refused("evaluate", tmp_path, "--task", "xor", "--hidden", 4, 4)
    assert line.startswith("hebbax: --hidden 4 4: this genome was made for networks of 2 synapse")


WORDS = ("--task", "iris", "--no-baselines", "--json", "--steps", 2, "--seeds", 1, "--batch", 8)


@pytest.mark.parametrize(
    ("card", "sizes"),
    [
        ({"options": {"hidden": [5]}}, [4, 5, 3]),
        ({"options": {"hidden": []}}, [4, 3]),
        ({"options": {"hidden": "64"}}, [4, 64, 3]),
        (None, [4, 64, 3]),
    ],
)
def test_hidden_layers_are_those_of_the_card(hebbax, tmp_path, card, sizes):
    rule, path = Blur(normalization=None), tmp_path / "rule.safetensors"
    save_rule(path, rule, rule.init(jax.random.key(0)), card)
    outcome = hebbax("evaluate", path, *WORDS)
    assert outcome.json["sizes"] == sizes
    assert "warning" not in outcome.err


def test_deeper_networks_than_the_card_knows_are_warned_of(hebbax, tmp_path):
    rule, path = Blur(normalization=None), tmp_path / "rule.safetensors"
    save_rule(path, rule, rule.init(jax.random.key(0)), {"options": {"hidden": []}})
    err = hebbax("evaluate", path, *WORDS, "--hidden", 3).err
    assert f"warning: --hidden 3: {path} was trained and measured with no hidden layers" in err


def test_what_has_no_accuracy_is_refused(refused, rule_file):
    line = refused("evaluate", "unsupervised/small", "--task", "digits")
    assert "RULE unsupervised/small makes features" in line
    line = refused("evaluate", rule_file, "--task", "iris", "--online", "--steps", 5)
    assert "learns nothing from fewer than 2 examples at once; got --online" in line


def test_real_numbers(hebbax, refused, tmp_path, monkeypatch):
    rule, rule_file = Blur(normalization=None), tmp_path / "one.safetensors"
    save_rule(rule_file, rule, rule.init(jax.random.key(0)))
    monkeypatch.setattr("hebbax.cli._evaluate.OPTIMIZERS", {"sgd": "SGD"})
    words = ("evaluate", rule_file, "--task", "sinusoids", *SMALL)
    result = hebbax(*words, "--json").json
    assert (result["metric"], result["higher_is_better"]) == ("squared_error", False)
    learner = result["learners"]["rule"]
    assert np.shape(learner["squared_error"]) == (2, 3)
    assert "accuracy" not in learner
    assert "test squared error after updates" in hebbax(*words, "--no-baselines").out
    line = refused("evaluate", rule_file, "--task", "sinusoids", "--online", "--steps", 3)
    assert "--online judges classes only; --task sinusoids is measured by its squared" in line


def test_numbers_that_end_are_said(hebbax, tmp_path):
    rule, path = Blur(normalization=None), tmp_path / "rule.safetensors"
    theta = rule.init(jax.random.key(0))
    growing = eqx.tree_at(lambda t: t.f_tilde, theta, jax.numpy.float32(1e6))
    save_rule(path, rule, growing, {"measured_updates": 3})
    words = ("evaluate", path, "--task", "iris", "--no-baselines", "--seeds", 2, "--batch", 8)
    outcome = hebbax(*words, "--steps", 10)
    assert outcome.status == 1
    assert "overflow" in outcome.out.splitlines()[-3]
    assert f"warning: {path}: the numbers of 2 of 2 networks end: from update" in outcome.err
    assert f"10 updates: {path} was trained and measured with no more than 3" in outcome.err
    outcome = hebbax(*words, "--steps", 10, "--json")
    assert outcome.status == 1
    learner = outcome.json["learners"]["rule"]
    assert learner["accuracy_mean"][-1] is None
    assert learner["accuracy_mean"][0] > 0
    assert "2 of 2 networks end" in outcome.json["warnings"][0]
    outcome = hebbax(*words, "--steps", 3)
    assert (outcome.status, "warning" in outcome.err) == (0, False)
