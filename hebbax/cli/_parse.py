"""From words on the command line to a command, or to one line that says what is wrong."""

import contextlib
import io
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro
from tyro.conf import CascadeSubcommandArgs, OmitArgPrefixes, OmitSubcommandPrefixes
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from hebbax._foreign import short
from hebbax.cli._errors import BadInputError, worded

LARGEST = 2**53
"""Whole numbers up to here are the same in every program."""

registry = ConstructorRegistry()


def parse(commands: Any, words: Sequence[str], description: str, options: Sequence[str]) -> Any:
    """Return an instance of one of `commands`, a union of dataclasses.

    **Arguments:**

    - `words`: the command line without the program's name.
    - `description`: what `hebbax --help` begins with.
    - `options`: the names of all fields that are options.

    **Raises:** `BadInputError` for words that make no command; `SystemExit` with status 0 after
    printing help.
    """
    printed = io.StringIO()
    try:
        # tyro reports in boxes of many lines, and has no public hook for another form.
        with contextlib.redirect_stderr(printed):
            return tyro.cli(
                commands,
                prog="hebbax",
                description=description,
                args=list(words),
                registry=registry,
                config=(CascadeSubcommandArgs, OmitArgPrefixes, OmitSubcommandPrefixes),
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise BadInputError(condense(printed.getvalue(), options)) from end


def condense(report: str, options: Sequence[str]) -> str:
    """Return tyro's report of a parse error as one line; what is not recognised is joined up."""
    report = re.sub(r"\x1b\[[0-9;]*m", "", report)
    boxed = "╭" in report
    lines = [line.strip("│").rstrip() for line in report.splitlines()]
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith(("╭", "╰")):
            continue
        if line.strip() and not line.strip(" ─-"):
            sections.append([])
        else:
            sections[-1].append(line)
    if not boxed and len(sections) > 1:
        # Where the terminal has no lines to draw with, the title stands above the first rule.
        del sections[0]
    message = " ".join(" ".join(sections[0]).split())
    for pattern, reword in _FORMS:
        found = re.match(pattern, message)
        if found:
            return reword(found, sections, options)
    return message


def _unrecognized(found: re.Match[str], sections: list[list[str]], _: Sequence[str]) -> str:
    given = [w.strip(",") for w in found[1].split()]
    word = next((w for w in given if w.startswith("-")), given[0])
    if not word.startswith("-"):
        return f"the argument {word!r} is one too many."
    near = re.search(r"--[\w-]+", " ".join(line for part in sections[1:-1] for line in part))
    if near and near.group() == word:
        return f"{word} must come after the command or recipe that it belongs to."
    hint = f" Did you mean {near.group()}?" if near else ""
    return f"there is no option {word}.{hint}"


def _missing(_: re.Match[str], sections: list[list[str]], __: Sequence[str]) -> str:
    # Names stand four columns in, their help eight.
    lines = textwrap.dedent("\n".join(sections[0])).splitlines()
    names = [name[1] for line in lines if (name := re.match(r" {4}(\S+)", line))]
    return f"missing {' and '.join(names)}."


def _refused(found: re.Match[str], _: list[list[str]], options: Sequence[str]) -> str:
    what, message = found[1], found[2]
    return f"{what} {message}" if what.startswith("-") else worded(message, what, options)


_FORMS: tuple[tuple[str, Callable[[re.Match[str], list[list[str]], Sequence[str]], str]], ...] = (
    (r"Unrecognized(?: or misplaced)? options: (.*)", _unrecognized),
    (r"Missing from ", _missing),
    (r"Error parsing ([^:]+): (.*)", _refused),
    (r"Missing value for argument '([^']+)'", lambda m, *_: f"{m[1]} needs a value."),
    (
        r"invalid choice '(.*)' for argument '([^']+)'\. Expected one of \((.*?),?\)",
        lambda m, *_: f"{m[2]} must be one of {m[3].replace(chr(39), '')}; got {m[1]!r}.",
    ),
    (r"Expected one of \{(.*)\}", lambda m, *_: f"the first argument must be one of {m[1]}."),
)


# How values are read. tyro's own readers name Python's types and functions in their messages.


def _whole(word: str) -> int:
    try:
        return _bounded(word)
    except ValueError:
        raise ValueError(f"must be a whole number; got {short(word, 60)!r}.") from None


def _whole_numbers(words: Sequence[str]) -> tuple[int, ...]:
    try:
        return tuple(map(_bounded, words))
    except ValueError:
        raise ValueError(f"must be whole numbers; got {short(' '.join(words), 60)!r}.") from None


def _bounded(word: str) -> int:
    number = int(word)
    if abs(number) > LARGEST:
        raise ValueError
    return number


def _path(word: str) -> Path:
    if not word or "\0" in word:
        raise ValueError(f"must be a path; got {word!r}.")
    return Path(word)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"must be a number; got {word!r}.") from None


_READERS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    int: ("INT", _whole),
    int | None: ("INT", _whole),
    float: ("FLOAT", _number),
    Path: ("PATH", _path),
    Path | None: ("PATH", _path),
}


@registry.primitive_rule
def _one(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    if info.type not in _READERS:
        return None
    metavar, read = _READERS[info.type]
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=lambda value: value is None or isinstance(value, int | float | Path),
        str_from_instance=lambda value: ["none" if value is None else str(value)],
    )


@registry.primitive_rule
def _sizes(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    if info.type != tuple[int, ...]:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="[INT [INT ...]]",
        instance_from_str=_whole_numbers,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [str(size) for size in value],
    )
