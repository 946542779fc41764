"""The command line: `hebbax COMMAND`, one module for each command.

A command is a frozen dataclass: its fields are the options, `run` does the work and returns the
exit status. Modules that need JAX are imported by `run`, so that help comes at once.
"""

import dataclasses
import errno
import functools
import io
import operator
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

from tyro.conf import subcommand

from hebbax._foreign import short
from hebbax._version import __version__
from hebbax.cli._command import BAD_INPUT, INTERRUPTED, Command
from hebbax.cli._console import printable
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

LONGEST = 1500
"""Characters of the one line that says what was bad."""
COMMANDS = {
    kind.__name__.lower(): kind
    for kind in (Quickstart, Train, Doctor, Evaluate, Plot, Reproduce, Show, Rules, Data)
}
"""All commands by name, in the order of `hebbax --help`."""
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

_AnyCommand: Any = functools.reduce(
    operator.or_, (Annotated[kind, subcommand(name)] for name, kind in COMMANDS.items())
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return its exit status.

    0: done. 1: numbers ended where a rule was evaluated, or standard output cannot be written.
    2: bad input, said in one line on standard error. 130: interrupted. A standard stream that is
    closed takes what is printed and drops it.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without Greek shows question marks instead of failing.
            stream.reconfigure(errors="replace")
    try:
        if words == ["--version"]:
            print(f"hebbax {__version__}")
            command = None
        else:
            command = _read(resumed(words))
        status = 0 if command is None else command.run()
        # Here, not at exit, so that a closed pipe is met where it can be handled.
        sys.stdout.flush()
        return status
    except BadInputError as error:
        print(f"hebbax: {short(printable(str(error)), LONGEST)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"interrupted; start again with: {shlex.join(['hebbax', *words])}", file=sys.stderr)
        return INTERRUPTED
    except (OverflowError, MemoryError, RecursionError) as error:
        return _too_large(error)
    except RuntimeError as error:
        # What XLA raises where memory ends; its class has another name in every version of JAX.
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _too_large(error)
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:
        if error.filename is not None:
            # Whatever a command was given to read or write, wherever it was met.
            file = printable(short(os.fsdecode(error.filename)))
            print(f"hebbax: {file}: {error.strerror or error}.", file=sys.stderr)
            return BAD_INPUT
        if not _is_output(error):
            raise
        _drop_output()
        print(f"hebbax: standard output cannot be written ({error.strerror}).", file=sys.stderr)
        return 1


def _is_output(error: OSError) -> bool:
    """Return whether an error is that of a stream: those of files name their file."""
    return error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF)


def _drop_output() -> None:
    """Take no more output, for Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _too_large(error: Exception) -> int:
    why = short(error) or type(error).__name__
    print(f"hebbax: this is too large for the memory or numbers here: {why}", file=sys.stderr)
    return BAD_INPUT


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
