"""Rules as the command line names them: a shipped one, a rule file, a run directory."""

import dataclasses
import difflib
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

from hebbax import zoo
from hebbax._rule_file import hyperparameters, read_rule_file
from hebbax.cli._errors import BadInputError, blame
from hebbax.rules import AbstractRule


@dataclasses.dataclass(frozen=True)
class FoundRule:
    """A rule, its θ and its card, by the name it was asked for."""

    name: str
    path: Path
    rule: AbstractRule
    theta: PyTree
    card: dict[str, Any]

    @property
    def meta_parameters(self) -> int:
        """How many numbers θ holds."""
        return count(self.theta)

    def changed(self) -> dict[str, Any]:
        """Return the hyper-parameters that differ from the family's defaults."""
        defaults = {f.name: f.default for f in dataclasses.fields(self.rule)}
        return {n: v for n, v in hyperparameters(self.rule).items() if v != defaults[n]}

    def summary(self) -> dict[str, Any]:
        """Return what a list of rules says of this one."""
        return {
            "name": self.name,
            "family": type(self.rule).__name__,
            "states": getattr(self.rule, "states", None),
            "meta_parameters": self.meta_parameters,
            "title": self.card.get("title"),
            "path": self.path,
        }


def count(tree: PyTree) -> int:
    """Return how many numbers a pytree of arrays, or of their shapes, holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def find_rule(name: str) -> FoundRule:
    """Return the rule that RULE names.

    **Raises:** `BadInputError` if there is none, or its file cannot be read.
    """
    path = _path(name)
    with blame(f"RULE {name}"):
        rule, theta, card = read_rule_file(path)
    return FoundRule(name, path, rule, theta, card)


def _path(name: str) -> Path:
    if name in zoo.list():
        return zoo.path(name)
    if not name or "\0" in name:
        raise BadInputError(f"RULE must be a path or a name; got {name!r}.")
    path = Path(name)
    with blame(f"RULE {name}"):
        is_folder, exists = path.is_dir(), path.exists()
    if is_folder:
        inside = path / "rule.safetensors"
        if not inside.is_file():
            raise BadInputError(
                f"RULE {name} is a folder without a rule.safetensors; a run writes one at its "
                f"first checkpoint."
            )
        return inside
    if exists:
        return path
    near = difflib.get_close_matches(name, zoo.list(), n=1, cutoff=0.5)
    raise BadInputError(
        f"RULE must be a rule file, a run directory or a shipped rule "
        f"({', '.join(zoo.list()) or 'none in this version'}); got {name!r}."
        + (f" Did you mean {near[0]!r}?" if near else "")
    )
