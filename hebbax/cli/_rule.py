"""Rules as the command line names them: a shipped one, a rule file, a run directory."""

import dataclasses
import difflib
import importlib
import operator
import sys
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

from hebbax import zoo
from hebbax._card import as_card, title
from hebbax.cli._errors import BadInputError, blame
from hebbax.rule_file import (
    ForeignRuleError,
    family_name,
    hyperparameters,
    read_rule_file,
    register_rule,
)
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
        written = hyperparameters(self.rule)
        return {
            name: written[name]
            for name, default in defaults.items()
            if getattr(self.rule, name) != default
        }

    def summary(self) -> dict[str, Any]:
        """Return what a list of rules says of this one."""
        return {
            "name": self.name,
            "family": family_name(type(self.rule)),
            "states": hyperparameters(self.rule).get("states"),
            "meta_parameters": self.meta_parameters,
            "title": title(self.card),
            "path": self.path,
        }


def count(tree: PyTree) -> int:
    """Return how many numbers a pytree of arrays, or of their shapes, holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def find_rule(name: str, rule_class: str | None = None) -> FoundRule:
    """Return the rule that RULE names, read as `rule_class`, `module:Class`, if there is one.

    **Raises:** `BadInputError` if there is none, or its file cannot be read.
    """
    path = _path(name)
    cls = None if rule_class is None else _imported(rule_class)
    try:
        rule, theta, card = read_rule_file(path, cls)
    except ForeignRuleError as error:
        raise BadInputError(
            f"RULE {name} holds a rule that is not of hebbax, {error.family!r}; --rule-class "
            f"MODULE:CLASS names the class to read it as."
        ) from error
    except (ValueError, OSError) as error:
        raise BadInputError(f"RULE {name}: {error}") from error
    return FoundRule(name, path, rule, theta, as_card(card))


def _imported(name: str) -> type[AbstractRule]:
    """Import the class that the user names. **Raises:** `BadInputError` if there is none."""
    module, _, wanted = name.partition(":")
    # As `python -m` does it: modules lie in the folder where the command is given.
    sys.path.insert(0, "")
    try:
        found = operator.attrgetter(wanted)(importlib.import_module(module))
        return register_rule(found)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise BadInputError(
            f"--rule-class must be MODULE:CLASS of a class of rules that can be imported; "
            f"got {name!r} ({error})."
        ) from error
    finally:
        sys.path.remove("")


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
                f"RULE {name} is a folder without a rule.safetensors; a run writes one at the "
                f"first checkpoint at which a validation loss is finite."
            )
        _check_run(name, path, inside)
        return inside
    if exists:
        return path
    near = difflib.get_close_matches(name, zoo.list(), n=1, cutoff=0.5)
    raise BadInputError(
        f"RULE must be a rule file, a run directory or a shipped rule "
        f"({', '.join(zoo.list()) or 'none in this version'}); got {name!r}."
        + (f" Did you mean {near[0]!r}?" if near else "")
    )


def _check_run(name: str, folder: Path, file: Path) -> None:
    """Refuse a rule file that says that it is of another run than the folder's."""
    from hebbax.rule_file import RuleFileError, read_rule_file
    from hebbax.runs import CheckpointError, digest_of

    if not (folder / "config.json").is_file():
        return
    try:
        run, own = digest_of(folder), read_rule_file(file)[2].get("run")
    except (CheckpointError, RuleFileError) as error:
        raise BadInputError(f"RULE {name}: {error}") from error
    if own is not None and own != run:
        raise BadInputError(
            f"RULE {name}: {file.name} is of another run than the settings beside it; name the "
            f"file itself to use it all the same."
        )
