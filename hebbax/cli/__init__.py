"""The command line: `hebbax COMMAND`, one module for each command.

A command is a frozen dataclass: its fields are the options, `run` does the work and returns the
exit status. Modules that need JAX are imported by `run`, so that help comes at once.
"""

import dataclasses
import io
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

from tyro.conf import subcommand

from hebbax._version import __version__
from hebbax.cli._command import BAD_INPUT, INTERRUPTED, Command
from hebbax.cli._data import Data
from hebbax.cli._doctor import Doctor
from hebbax.cli._errors import BadInputError, check_name
from hebbax.cli._evaluate import Evaluate
from hebbax.cli._parse import parse
from hebbax.cli._plot import Plot
from hebbax.cli._quickstart import Quickstart
from hebbax.cli._reproduce import Reproduce
from hebbax.cli._resume import resumed
from hebbax.cli._rules import Rules
from hebbax.cli._show import Show
from hebbax.cli._train import Train
from hebbax.papers import NAMES as EXPERIMENTS
from hebbax.recipes import RECIPES

DESCRIPTION = (
    "Meta-learn learning rules, and train networks with them. "
    "'hebbax COMMAND --help' lists a command's options; 'hebbax --version' prints the version."
)

COMMANDS = {
    "quickstart": Quickstart,
    "train": Train,
    "doctor": Doctor,
    "evaluate": Evaluate,
    "plot": Plot,
    "reproduce": Reproduce,
    "show": Show,
    "rules": Rules,
    "data": Data,
}
_SECOND: dict[str, tuple[str, tuple[str, ...]]] = {
    "train": ("RECIPE", tuple(RECIPES)),
    "reproduce": ("EXPERIMENT", EXPERIMENTS),
    "data": ("the word after data", ("list", "fetch")),
}
_OPTIONS = sorted(
    {
        field.name
        for kind in (*COMMANDS.values(), *RECIPES.values())
        for field in dataclasses.fields(kind)
    }
)

_AnyCommand = (
    Annotated[Quickstart, subcommand("quickstart")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Doctor, subcommand("doctor")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Plot, subcommand("plot")]
    | Annotated[Reproduce, subcommand("reproduce")]
    | Annotated[Show, subcommand("show")]
    | Annotated[Rules, subcommand("rules")]
    | Annotated[Data, subcommand("data")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return its exit status.

    0: done. 2: bad input, said in one line on standard error. 130: interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without Greek shows question marks instead of failing.
            stream.reconfigure(errors="replace")
    if words == ["--version"]:
        print(f"hebbax {__version__}")
        return 0
    try:
        command = _read(resumed(words))
        status = 0 if command is None else command.run()
        # Here, not at exit, so that a closed pipe is met where it can be handled.
        sys.stdout.flush()
        return status
    except BadInputError as error:
        print(f"hebbax: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"interrupted; start again with: {shlex.join(['hebbax', *words])}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _read(words: Sequence[str]) -> Command | None:
    """Return the command that `words` make, None if they ask for help, which is then printed.

    **Raises:** `BadInputError`.
    """
    expected = [("the command", tuple(COMMANDS))]
    if words and words[0] in _SECOND:
        expected.append(_SECOND[words[0]])
    for position, (what, allowed) in enumerate(expected):
        if position == len(words):
            raise BadInputError(f"{what} is missing; it must be one of {', '.join(allowed)}.")
        if words[position].startswith("-"):
            break
        check_name(what, words[position], allowed)
    try:
        return parse(_AnyCommand, words, DESCRIPTION, _OPTIONS)
    except SystemExit:
        return None
