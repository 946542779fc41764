"""What the user did wrong, in one line that names the option."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hebbax._errors import check_choice
from hebbax._foreign import short


class BadInputError(Exception):
    """Bad input; its message is the one line that the user sees."""


def at_least(low: int, **options: int | None) -> None:
    """Raise `BadInputError` for the first of `options` that is given and below `low`."""
    for name, value in options.items():
        if value is not None and value < low:
            raise BadInputError(f"{flag(name)} must be at least {low}; got {value}.")


def check_seed(seed: int) -> None:
    """Raise `BadInputError` for a seed that is not an unsigned number of 32 bits."""
    if not 0 <= seed < 2**32:
        raise BadInputError(f"--seed must be from 0 to {2**32 - 1}; got {seed}.")


def check_sizes(hidden: Sequence[int]) -> None:
    """Raise `BadInputError` for a hidden layer without units."""
    if min(hidden, default=1) < 1:
        raise BadInputError(f"--hidden must hold sizes of at least 1; got {_spaced(hidden)}.")


def check_name(what: str, given: str, allowed: Sequence[str]) -> None:
    """Raise `BadInputError` with the nearest name, unless `given` is one of `allowed`."""
    try:
        check_choice(what, given, allowed)
    except ValueError as error:
        raise BadInputError(str(error)) from error


@contextlib.contextmanager
def blame(context: str, options: Sequence[str] = ()) -> Iterator[None]:
    """Turn what is refused inside into a `BadInputError` that begins with `context`.

    Only for calls that refuse what the user gave: it takes `ValueError` and `OSError` for the
    user's doing, and numbers too large for the machine. Where the message begins with the name of
    one of `options`, that is spelt as on the command line and stands for the context.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        raise BadInputError(worded(str(error), context, options)) from error
    except (OverflowError, MemoryError) as error:
        raise BadInputError(f"{context}: this is too large ({short(error)}).") from error


def worded(message: str, context: str, options: Sequence[str]) -> str:
    """Return `message` beginning with the option it speaks of, or else with `context`."""
    first = re.match(r"\w+", message)
    if first and first.group() in options:
        return flag(first.group()) + message[first.end() :]
    return f"{context}: {message}"


def flag(name: str) -> str:
    """Return the option of a field: `log_every` is `--log-every`."""
    return "--" + name.replace("_", "-")


def check_writable(folder: Path, option: str) -> None:
    """Make `folder` and write into it, so that a run does not fail at its end.

    **Raises:** `BadInputError` if that cannot be done.
    """
    probe = folder / ".hebbax-write-test"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadInputError(
            f"{option} must be a folder that can be written; {folder} cannot be "
            f"({error.strerror or error})."
        ) from error


def _spaced(values: Sequence[int]) -> str:
    return " ".join(map(str, values))
