import json
import math

import jax
import numpy as np
import pytest

from hebbax import save_rule
from hebbax._trees import to_arrays
from hebbax.doctor._advice import Evidence, advise
from hebbax.doctor._diagnosis import Diagnosis, Measurement
from hebbax.doctor._probing import Sampling
from hebbax.recipes import RECIPES, BlurToy, Recipe
from hebbax.runs import checkpoint

RECIPE = BlurToy(families=("xor",), hidden=(2,), unrolls=2, batch=4, query=4)


@pytest.fixture
def run(tmp_path):
    """Return a run's folder as a recipe leaves it, with a checkpoint, and its θ."""
    folder, theta = tmp_path / "run", RECIPE.rule().init(jax.random.key(5))
    (folder / "checkpoints").mkdir(parents=True)
    card = {"recipe": RECIPE.name, "options": RECIPE.options()}
    (folder / "config.json").write_text(json.dumps({"card": card}))
    arrays = {f"best/{name}": array for name, array in to_arrays(theta).items()}
    arrays["state/theta.f"] = np.zeros((4, 2, 2))
    checkpoint.save(folder, 500, arrays, {"best": {"loss": 0.5, "run": 1, "step": 300}})
    return folder, theta


def measured(unroll, **changes):
    usual = {
        "loss": 0.5, "norm": 0.1, "rms_norm": 0.12, "variance": 0.02, "snr": 0.4,
        "half_cosines": ((1, 0.25), (2, 0.375)), "nonfinite": 0.0, "fd_cosine": 0.9995,
        "fd_difference": 0.004, "fd_error": 0.002,
        "fd_step": 0.001, "es_cosine": 0.98, "es_variance": 0.3, "truncation_cosine": math.nan,
        "compile_seconds": 1.0, "seconds": 0.5,
    }  # fmt: skip
    return Measurement(unroll=unroll, **{**usual, **changes})


FOUND = Diagnosis(
    measurements=(measured(5, truncation_cosine=0.875), measured(10, nonfinite=0.25)),
    lifetime=10,
    growth=0.8,
    advice=advise(
        Evidence(
            lifetime=10, growth=0.8, nonfinite=0.0, snr=0.4, flat=False, es_ratio=15.0,
            fd=((0.004, 0.002),), truncation={5: 0.875}, memory=10**6, limit=10**9, segments=False,
        )
    ),
    sampling=Sampling(),
    numbers=29,
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """Return what is asked of a recipe, whose answer is made up."""
    calls = []

    def diagnose(recipe, theta, families, **settings):
        calls.append((recipe, theta, families, settings))
        for m in FOUND.measurements:
            settings["listener"](m)
        return FOUND

    monkeypatch.setattr(Recipe, "diagnose", diagnose)
    return calls


def test_a_run_is_examined(hebbax, run):
    outcome = hebbax("doctor", "run", "--unrolls", 3, "--episodes", 2)
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert lines[0] == (
        "blur/toy: the best θ in run, of meta-step 300 (checkpoint of step 500); 1 task family, "
        "hidden layers 2, 2 updates in a lifetime"
    )
    assert [line.split()[0] for line in lines[4:6]] == ["2", "3"]
    (halves,) = [line for line in lines if line.startswith("cosine between the mean gradients")]
    assert halves.count(": ") == 2
    assert " at 2 updates: 1: " in halves
    assert [len(line.split()) for line in lines[4:6]] == [12, 12]
    assert float(lines[4].split()[6]) > 0.9
    assert "hebbax.methods." in outcome.out
    assert "Because: " in outcome.out
    assert "θ holds 30 numbers" in outcome.out


def test_a_recipe_is_examined_with_a_fresh_theta(hebbax, asked):
    outcome = hebbax("doctor", "blur/toy", "--seed", 3)
    assert outcome.status == 0
    (recipe, theta, families, settings) = asked[0]
    assert recipe == BlurToy()
    assert [family.name for family in families] == list(recipe.families)
    assert settings["unrolls"] is None
    assert settings["sampling"] == Sampling(episodes=16, pairs=32)
    assert jax.random.key_data(settings["key"]).tolist() == [0, 3]
    assert "a fresh θ; 5 task families, hidden layers 20, 10 updates" in outcome.out
    table = outcome.out.splitlines()[2:6]
    assert table[2].split() == [
        *("5", "0.5", "0.1", "0.02", "0.4", "0%"),
        *("1.000", "0.4%", "0.2%", "0.980", "15", "0.875"),
    ]
    assert table[3].split()[5] == "25%"
    assert "hebbax.methods.EvolutionStrategy" in outcome.out
    assert "it explodes (bound: 1,000)" in outcome.out
    assert all(len(line) <= 120 for line in table)
    hebbax("doctor", "blur/toy", "--seed", 4)
    assert not np.array_equal(jax.tree.leaves(asked[1][1])[0], jax.tree.leaves(theta)[0])


def test_json_is_pure(hebbax, asked):
    outcome = hebbax("doctor", "blur/toy", "--json", "--episodes", 3, "--unrolls", 5)
    assert outcome.status == 0
    assert asked[0][3]["sampling"].episodes == 3
    assert asked[0][3]["unrolls"] == (5,)
    assert outcome.json["recipe"] == "blur/toy"
    assert outcome.json["growth"] == 0.8
    assert [m["unroll"] for m in outcome.json["measurements"]] == [5, 10]
    assert outcome.json["measurements"][1]["truncation_cosine"] is None
    assert outcome.json["advice"]["method"] == "EvolutionStrategy"
    assert "a fresh θ" in outcome.err


def test_options_and_theta_are_those_of_the_run(hebbax, asked, run):
    folder, theta = run
    assert hebbax("doctor", "run").status == 0
    jax.tree.map(np.testing.assert_array_equal, asked[0][1], theta)
    for file in (folder / "checkpoints").iterdir():
        file.unlink()
    other = RECIPE.rule().init(jax.random.key(6))
    save_rule(folder / "rule.safetensors", RECIPE.rule(), other, {"meta_steps": 7})
    outcome = hebbax("doctor", "run")
    assert outcome.status == 0
    assert asked[1][0] == RECIPE
    jax.tree.map(np.testing.assert_array_equal, asked[1][1], other)
    assert "the θ of run/rule.safetensors, of meta-step 7" in outcome.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "missing RUN|RECIPE"),
        (("nowhere",), "RUN|RECIPE must be a run's folder or one of blur/toy, blur/mnist"),
        (("blur/toi",), "got 'blur/toi'. Did you mean 'blur/toy'?"),
        (("blur/toy", "--episodes", 1), "--episodes must be at least 2; got 1."),
        (("blur/toy", "--unrolls", 2, 0), "--unrolls must hold numbers of updates of at least 1"),
        (("blur/toy", "--unrolls", "x"), "--unrolls must be whole numbers; got 'x'."),
        (("blur/toy", "--seed", -1), "--seed must be from 0 to"),
        ((".",), "RUN . is a folder without a run: it has no config.json"),
    ],
)
def test_bad_input(refused, words, said):
    assert said in refused("doctor", *words)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "is not the configuration of a run"),
        ({"card": None}, f"was not made by a recipe ({', '.join(RECIPES)}), but by a program"),
        ({"card": {"recipe": "quickstart"}}, "but by quickstart; call hebbax.diagnose in Python"),
        (
            {"card": {"recipe": "blur/toy", "options": {"colour": 1}}},
            "with the option colour, which there is no more",
        ),
        (
            {"card": {"recipe": "blur/toy", "options": {"states": 1}}},
            "RUN run: states must be at least 2; got 1",
        ),
        ({"card": {"recipe": "blur/toy", "options": {}}}, "RUN run holds no checkpoint yet"),
    ],
)
def test_folders_that_are_no_run(refused, tmp_path, config, said):
    (tmp_path / "run").mkdir()
    text = config if isinstance(config, str) else json.dumps(config)
    (tmp_path / "run" / "config.json").write_text(text)
    assert said in refused("doctor", "run")
