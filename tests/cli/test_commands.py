"""Commands are listed once; help, the parser and what is refused follow."""

import dataclasses
import subprocess
import sys

import pytest

from hebbax.cli import COMMANDS, main
from hebbax.cli._command import Command
from hebbax.papers import NAMES


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_known_to_the_parser(name, capsys):
    kind = COMMANDS[name]
    assert issubclass(kind, Command)
    assert dataclasses.is_dataclass(kind)
    assert main([name, "--help"]) == 0
    assert f"usage: hebbax {name}" in capsys.readouterr().out


def test_help_of_reproduce_lists_the_experiments(capsys):
    assert main(["reproduce", "--help"]) == 0
    printed = capsys.readouterr().out
    for name in NAMES:
        assert name in printed


def test_help_imports_no_experiment():
    code = (
        "import sys; from hebbax.cli import main; main(['reproduce', '--help']); "
        "sys.exit(any(name.startswith('hebbax.papers.') and name.count('.') > 2 "
        "for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("words", [["rules"], ["rules", "--json"], ["--help"]])
def test_what_needs_no_jax_does_without(words):
    code = (
        f"import sys; from hebbax.cli import main; main({words}); "
        "sys.exit(not {'jax', 'equinox', 'optax'}.isdisjoint(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
