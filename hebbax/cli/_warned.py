"""Warnings of commands: a line each on standard error."""

import contextlib
import warnings
from collections.abc import Iterator

from hebbax.cli._console import console, say


def warn(sentence: str) -> None:
    """Say a warning."""
    say(console(stderr=True), f"hebbax: warning: {sentence}")


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """Collect, inside, what is warned of numbers that end; other warnings come afterwards."""
    from hebbax.inner import NotFiniteWarning

    sentences: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NotFiniteWarning)
        yield sentences
    for one in caught:
        if issubclass(one.category, NotFiniteWarning):
            sentences.append(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
