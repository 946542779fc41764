"""`hebbax train --resume DIR`: the command line that the run in a folder was begun with."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hebbax._foreign import parse_json, read_at_most
from hebbax.cli._errors import BadInputError, flag
from hebbax.recipes import RECIPES

LARGEST = 2**26
"""Bytes of a configuration."""
OPTION = "--resume"


def resumed(words: Sequence[str]) -> list[str]:
    """Return `words` with recipe, options and folder in the place of `--resume DIR`.

    What is given beside it goes before what the run was begun with, such as more `--steps`.

    **Raises:** `BadInputError` if the folder holds no run of a recipe.
    """
    words = list(words)
    if not words or words[0] != "train" or OPTION not in words:
        return words
    at = words.index(OPTION)
    if at + 1 == len(words):
        raise BadInputError(f"{OPTION} needs the folder of a run.")
    folder, given = words[at + 1], [*words[1:at], *words[at + 2 :]]
    if "--out" in given or any(word in RECIPES for word in given):
        raise BadInputError(f"{OPTION} takes recipe and folder from the run; give neither.")
    recipe, options = _recorded(Path(folder))
    falls = "decay" in {field.name for field in dataclasses.fields(RECIPES[recipe])}
    if falls and _gives(given, "steps") and options.get("decay") is None and "steps" in options:
        # Schedules go on as they were begun: the rate stays what it ended with.
        options["decay"] = options["steps"]
    fields = [*words[:1], recipe]
    for name, value in options.items():
        if not _gives(given, name):
            fields += _spelt(name, value)
    return [*fields, "--out", folder, *given]


def _gives(words: Sequence[str], name: str) -> bool:
    """Return whether an option is among the words of a command line."""
    spelt = (flag(name), flag(f"no_{name}"))
    return any(word.partition("=")[0] in spelt for word in words)


def _recorded(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the recipe and the options that a run's configuration names."""
    file = folder / "config.json"
    try:
        card = parse_json(read_at_most(file, LARGEST))["card"]
        recipe, options = card["recipe"], dict(card["options"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"{OPTION} {folder} holds no run that 'hebbax train RECIPE' has begun ({file} cannot "
            f"be read, or names no recipe)."
        ) from error
    if not isinstance(recipe, str) or recipe not in RECIPES:
        raise BadInputError(f"{OPTION} {folder} holds a run of {recipe!r}, which is no recipe.")
    return recipe, options


def _spelt(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [flag(name if value else f"no_{name}")]
    values = value if isinstance(value, list) else [value]
    return [] if value is None else [flag(name), *map(str, values)]
