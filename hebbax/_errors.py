"""How the package words bad input: what was given, what is allowed, what was probably meant."""

import difflib
from collections.abc import Iterable

LONGEST = 80
"""Characters of a value in a message."""


def check_choice(what: str, given: object, allowed: Iterable[str], *, none: bool = False) -> None:
    """Raise `ValueError` naming the allowed values and the nearest one, unless `given` is one.

    `none`: whether None, too, is allowed.
    """
    allowed = tuple(allowed)
    if (isinstance(given, str) and given in allowed) or (none and given is None):
        return
    near = difflib.get_close_matches(str(given), allowed, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    choice = f"{'None or ' if none else ''}one of {', '.join(allowed)}"
    raise ValueError(f"{what} must be {choice}; got {shown(given)}.{hint}")


def shown(value: object) -> str:
    """Return a value as a message quotes it: in one line, cut where it is long."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):
        # Python spells no number of thousands of digits, and nothing that is too deep.
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
