"""How the package words bad input: what was given, what is allowed, what was probably meant."""

import difflib
from collections.abc import Iterable


def check_choice(what: str, given: object, allowed: Iterable[str]) -> None:
    """Raise `ValueError` naming the allowed values and the nearest one, unless `given` is one."""
    allowed = tuple(allowed)
    if given in allowed:
        return
    near = difflib.get_close_matches(str(given), allowed, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{what} must be one of {', '.join(allowed)}; got {given!r}.{hint}")
