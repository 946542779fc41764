import subprocess
import sys
import time

import pytest

from hebbax import __version__
from hebbax.cli._evaluate import judged
from hebbax.cli._parse import condense
from hebbax.recipes import RECIPES, BlurToy


def test_version(hebbax):
    outcome = hebbax("--version")
    assert (outcome.status, outcome.out) == (0, f"hebbax {__version__}\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--help", ["quickstart", "train", "evaluate", "show", "rules", "data", "--version"]),
        ("quickstart --help", ["--budget {full,smoke}", "--seed INT", "(default: 0)", "--json"]),
        ("train --help", ["--out PATH", *RECIPES]),
        ("train blur/toy --help", ["--families", "--learning-rate FLOAT", "(default: 0.01)"]),
        ("train blur/mnist -h", ["--hidden [INT [INT ...]]", "(default: 64)", "--json"]),
        ("evaluate --help", ["RULE", "--task TASK", "(required)", "--no-baselines"]),
        ("show --help", ["RULE"]),
        ("rules --help", ["--json"]),
        ("data --help", ["list", "fetch"]),
        ("data fetch --help", ["NAME"]),
    ],
)
def test_help(hebbax, words, expected):
    outcome = hebbax(*words.split())
    assert (outcome.status, outcome.err) == (0, "")
    for text in expected:
        assert text in outcome.out


def test_help_of_the_module_comes_soon():
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "hebbax.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert "usage: hebbax" in done.stdout
    assert done.stderr == ""
    assert time.perf_counter() - begin < 10


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "the command is missing; it must be one of quickstart, train, "),
        ("evalute x", "got 'evalute'. Did you mean 'evaluate'?"),
        ("train", f"RECIPE is missing; it must be one of {', '.join(RECIPES)}."),
        ("train blur/tyo", f"RECIPE must be one of {', '.join(RECIPES)}; got 'blur/tyo'. Did you"),
        ("train --steps 3 blur/toy", "--steps must come after the command or recipe that"),
        ("train blur/toy --steps 1.5", "--steps must be a whole number; got '1.5'."),
        ("train blur/toy --steps 0", "--steps must be at least 1; got 0."),
        ("train blur/toy --steps", "--steps needs a value."),
        ("train blur/toy --states 1", "--states must be at least 2; got 1."),
        ("train blur/toy --clip fast", "--clip must be a number; got 'fast'."),
        ("train blur/toy --learning-rate nan", "--learning-rate must be a finite number; got nan."),
        ("train blur/toy --hidden 3 x", "--hidden must be whole numbers; got '3 x'."),
        ("train blur/toy --hidden 3 0", "--hidden must hold sizes of at least 1; got 3 0."),
        ("train blur/toy --log-every 3", "--checkpoint-every must be a multiple of log_every, 3"),
        ("train blur/toy --families", "--families must name at least one toy function"),
        ("train blur/toy --families xo", "--families must be one of and, or, "),
        ("train blur/toy --families xo", "got 'xo'. Did you mean 'xor'?"),
        ("train blur/toy --stesp 3", "there is no option --stesp. Did you mean --steps?"),
        ("train blur/toy --seed 4294967296", "--seed must be from 0 to 4294967295; got"),
        ("train blur/toy more", "the argument 'more' is one too many."),
        ("evaluate", "missing RULE."),
        ("evaluate x", "--task or --stream is missing"),
        ("quickstart --budget ful", "--budget must be one of full, smoke; got 'ful'."),
        ("quickstart --seed -1", "--seed must be from 0 to 4294967295; got -1."),
        ("data", "the word after data is missing; it must be one of list, fetch."),
        ("data fetch", "missing NAME."),
        ("data get", "the word after data must be one of list, fetch; got 'get'."),
        ("show", "missing RULE."),
    ],
)
def test_bad_words_are_refused_in_one_line(refused, words, line):
    assert line in refused(*words.split())


@pytest.mark.parametrize(
    "report",
    [
        "╭─ New ───╮\n│ Something  │\n│ is odd.    │\n│ ────────── │\n│ More │\n╰────────╯\n",
        " New\n ----------\n  Something\n  is odd.\n  ---------\n  More\n\n",
        "Something is odd.\n",
    ],
)
def test_a_report_of_another_form_is_joined_up(report):
    assert condense(report, []) == "Something is odd."


@pytest.mark.parametrize(
    ("steps", "points"),
    [(1, (1,)), (3, (1, 2, 3)), (20, (1, 2, 5, 10, 20)), (60, (1, 2, 5, 10, 20, 50, 60))],
)
def test_judged_points(steps, points):
    assert judged(steps) == points


def test_recipes_refuse_in_python_too():
    with pytest.raises(ValueError, match="runs must be at least 1; got 0"):
        BlurToy(runs=0)
