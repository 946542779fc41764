"""Where things are printed: results on standard output, all else where it does not disturb."""

import json
import math
import sys
from typing import Any

from rich.console import Console

from hebbax._foreign import printable as printable

PIPED_WIDTH = 120
"""Columns where no terminal says how many it has."""


def console(stderr: bool = False) -> Console:
    """Return a console that prints text as it is: no markup, no colours of its own making."""
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else PIPED_WIDTH
    return Console(stderr=stderr, markup=False, highlight=False, width=width)


def say(place: Console, text: str) -> None:
    """Print a line without folding it, so that paths and commands can be copied."""
    place.print(printable(text), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output; what is not finite becomes null."""
    print(json.dumps(plain(value), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: arrays as lists, paths as text, NaN as None."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, int, str, type(None))):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)
