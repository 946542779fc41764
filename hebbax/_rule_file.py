"""Rule files: one `.safetensors` with θ, the rule's hyper-parameters and its card."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree
from safetensors import SafetensorError, safe_open

from hebbax import rules
from hebbax._files import write_arrays
from hebbax._trees import from_arrays, to_arrays
from hebbax.rules import AbstractRule

FORMAT = 1
FAMILIES: dict[str, type[AbstractRule]] = {
    name: kind
    for name, kind in vars(rules).items()
    if isinstance(kind, type) and issubclass(kind, AbstractRule) and kind is not AbstractRule
}
"""All that `hebbax.rules` exports."""


class RuleFileError(ValueError):
    """A rule file that cannot be read; the message says which and why."""


def hyperparameters(rule: AbstractRule) -> dict[str, Any]:
    """Return the fields of `rule` by name."""
    return {field.name: getattr(rule, field.name) for field in dataclasses.fields(rule)}


def save_rule(
    path: str | os.PathLike[str],
    rule: AbstractRule,
    theta: PyTree,
    card: dict[str, Any] | None = None,
) -> None:
    """Write a rule file, whole or not at all.

    **Arguments:**

    - `path`: ends in `.safetensors`.
    - `rule`, `theta`: what to write. Hyper-parameters must be plain values.
    - `card`: how the rule was trained, on what, and measured results; anything JSON holds.

    **Raises:** `ValueError` for a rule of no known family, or whose hyper-parameters or card
    cannot be written as JSON, or a θ that is not the rule's; `OSError` where the folder cannot
    be written.
    """
    metadata, arrays = _metadata(rule, card), to_arrays(theta)
    try:
        from_arrays(jax.eval_shape(rule.init, jax.random.key(0)), arrays)
    except ValueError as error:
        raise ValueError(f"theta does not fit the {type(rule).__name__}: {error}.") from error
    write_arrays(Path(path), arrays, metadata)


def known(rule: AbstractRule) -> bool:
    """Return whether `rule` is of a family that a rule file can hold."""
    return FAMILIES.get(type(rule).__name__) is type(rule)


def check_writable(rule: AbstractRule, card: dict[str, Any] | None) -> None:
    """Raise the `ValueError` that `save_rule` would raise for this rule or card."""
    _metadata(rule, card)


def _metadata(rule: AbstractRule, card: dict[str, Any] | None) -> dict[str, str]:
    family = type(rule).__name__
    if not known(rule):
        raise ValueError(
            f"a rule file holds a rule of one of the families {', '.join(FAMILIES)}; got {family}."
        )
    written = {}
    for name, value in {**hyperparameters(rule), "card": card or {}}.items():
        try:
            written[name] = json.dumps(value)
        except (TypeError, ValueError) as error:
            what = "the card" if name == "card" else f"{name} = {value!r}"
            raise ValueError(
                f"{what} of this {family} cannot be written to a rule file, which holds plain "
                f"values only: {error}."
            ) from error
    return {
        "hebbax_format": str(FORMAT),
        "family": family,
        "hyperparameters": json.dumps(hyperparameters(rule)),
        "card": written["card"],
    }


def read_rule_file(
    path: str | os.PathLike[str],
) -> tuple[AbstractRule, PyTree, dict[str, Any]]:
    """Return the rule, its θ and its card.

    **Raises:** `FileNotFoundError`, or `RuleFileError` for a file that is truncated, not
    safetensors, of another program, of a newer format, of an unknown family, or whose arrays do
    not fit the rule it describes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no rule file {path}.")
    arrays: dict[str, np.ndarray] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if "hebbax_format" in metadata:
                # Those of other programs may hold types that numpy does not know.
                arrays = {n: file.get_tensor(n) for n in file.keys()}
    except (SafetensorError, AttributeError, TypeError) as error:
        raise RuleFileError(f"{path} is truncated or not a safetensors file ({error}).") from error
    if "hebbax_format" not in metadata:
        raise RuleFileError(f"{path} is a safetensors file of another program, not a rule file.")
    if not metadata["hebbax_format"].isdecimal():
        raise RuleFileError(
            f"{path} has the rule-file format {metadata['hebbax_format']!r}, which is no number."
        )
    if int(metadata["hebbax_format"]) > FORMAT:
        raise RuleFileError(
            f"{path} has the rule-file format {metadata['hebbax_format']}; this version of hebbax "
            f"reads formats up to {FORMAT}: install a newer one."
        )
    family = metadata.get("family")
    if family not in FAMILIES:
        raise RuleFileError(
            f"{path} holds a rule of the family {family!r}; this version of hebbax knows "
            f"{', '.join(FAMILIES)}."
        )
    try:
        rule = FAMILIES[family](**json.loads(metadata["hyperparameters"]))
        skeleton = jax.eval_shape(rule.init, jax.random.key(0))
        theta = from_arrays(skeleton, arrays)
        card = json.loads(metadata["card"])
    except (KeyError, TypeError, ValueError) as error:
        raise RuleFileError(f"{path} does not fit the {family} it describes: {error}.") from error
    return rule, theta, card


def load_rule(path: str | os.PathLike[str]) -> tuple[AbstractRule, PyTree]:
    """Return the rule and θ of a rule file; see `read_rule_file` for the errors."""
    rule, theta, _ = read_rule_file(path)
    return rule, theta
