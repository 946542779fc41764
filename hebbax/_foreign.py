"""Reading what others wrote: regular files only, no further than allowed, one error for all faults.

Libraries that parse files raise almost anything at a damaged one, so what a call may raise is not
listed: whatever goes wrong inside `refusing` is the file's fault.
"""

import contextlib
import json
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEEPEST = 64
"""Lists and objects inside each other that JSON may hold: what walks through them recurses."""
LONGEST = 300
"""Characters of a foreign message that are told."""


def short(text: object, longest: int = LONGEST) -> str:
    """Return a text as one line of at most `longest` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def printable(text: str) -> str:
    """Return a text without what a terminal would obey: files may hold anything.

    Left out are control characters other than new lines and tabs, marks that turn the direction of
    writing, and halves of characters.
    """
    return "".join(
        c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )


def is_count(value: object, least: int = 1) -> bool:
    """Return whether a value is a whole number from `least` to the largest of 32 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31


@contextlib.contextmanager
def refusing(what: str, error: type[ValueError] = ValueError) -> Iterator[None]:
    """Turn whatever goes wrong inside into one `error`: `what`, and why.

    An `error` raised inside passes as it is if it is of a class of its own. Only for calls that
    do nothing but read a file of others.
    """
    try:
        yield
    except Exception as caught:
        if error is not ValueError and isinstance(caught, error):
            raise
        why = short(caught) or type(caught).__name__
        raise error(f"{what}: {why.removesuffix('.')}.") from caught


def size_of(path: Path) -> int:
    """Return the length in bytes of a regular file, which can be read without waiting for ever.

    **Raises:** `ValueError` for a folder, a pipe or a device; `OSError` if there is nothing.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is not a regular file")
    return status.st_size


def read_at_most(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    **Raises:** `ValueError` for other things than regular files, and longer ones, of which nothing
    is read; `OSError` if it cannot be read.
    """
    size = size_of(path)
    if size <= limit:
        with open(path, "rb") as stream:
            content = stream.read(limit + 1)
        size = len(content)
        if size <= limit:
            return content
    raise ValueError(f"{path} is longer than the {limit:,} bytes that it may hold")


def parse_json(text: str | bytes) -> Any:
    """Return what JSON holds.

    **Raises:** `ValueError` if it is none, or has lists and objects deeper than `DEEPEST` inside
    each other.
    """
    try:
        found = json.loads(text)
        check_depth(found)
    except RecursionError:
        raise ValueError(f"it holds more than {DEEPEST} lists inside each other") from None
    return found


def check_depth(value: Any) -> None:
    """Raise `ValueError` for lists and objects deeper than `DEEPEST` inside each other."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            item
            for outer in level
            if isinstance(outer, (list, tuple, dict))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"it holds more than {DEEPEST} lists inside each other")
