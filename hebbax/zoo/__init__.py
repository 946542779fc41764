"""Rules that ship with the package, by name."""

from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from hebbax import _shipped
from hebbax._errors import check_choice
from hebbax.rule_file import read_rule_file
from hebbax.rules import AbstractRule


def list() -> tuple[str, ...]:
    """Return the names of all shipped rules, such as `blur/mnist`."""
    return _shipped.names()


def path(name: str) -> Path:
    """Return the rule file of a shipped rule.

    **Raises:** `ValueError` naming the shipped rules if there is none of that name.
    """
    check_choice("a shipped rule", name, list())
    return _shipped.path(name)


def load(name: str) -> tuple[AbstractRule, PyTree]:
    """Return the rule and θ called `name`."""
    rule, theta, _ = read_rule_file(path(name))
    return rule, theta


def card(name: str) -> dict[str, Any]:
    """Return the card of the rule called `name`: how it was trained and what it measured."""
    return read_rule_file(path(name))[2]
