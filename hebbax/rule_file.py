"""Rule files: one `.safetensors` with θ, the rule's hyper-parameters and its card."""

import dataclasses
import json
import os
import re
import warnings
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import PyTree
from safetensors import safe_open

from hebbax import rules
from hebbax._errors import shown
from hebbax._files import check_digest, write_arrays
from hebbax._foreign import check_depth, is_count, parse_json, read_at_most, refusing, short
from hebbax._trees import from_arrays, to_arrays
from hebbax.devices import check_not_forked
from hebbax.rules import AbstractRule

FORMAT = 2
"""2 groups options of `Blur` that belong together, and names rules that are not of hebbax."""
FAMILIES: dict[str, type[AbstractRule]] = {
    name: found
    for name, found in vars(rules).items()
    if isinstance(found, type) and issubclass(found, AbstractRule) and found is not AbstractRule
}
"""The rules that a file names by themselves: those of the facade of `hebbax.rules`."""
LARGEST = 2**30
"""Bytes of a rule file; those of the zoo hold some thousands."""
_registered: dict[str, type[AbstractRule]] = {}

Rule = TypeVar("Rule", bound=type[AbstractRule])


class RuleFileError(ValueError):
    """A rule file that cannot be read; the message says which and why."""


class ForeignRuleError(RuleFileError):
    """A rule file of a `family` that is not of hebbax, and whose class nobody has named."""

    def __init__(self, path: Path, family: str):
        self.family = family
        name = family.rpartition(":")[2].rpartition("<locals>.")[2]
        super().__init__(
            f"{path} holds a rule that is not of hebbax, {family!r}, and files do not say what is "
            f"imported: pass its class, load_rule(path, rule={name}), or "
            f"register it with hebbax.register_rule."
        )


def hyperparameters(rule: AbstractRule) -> dict[str, Any]:
    """Return the fields of `rule` by name, groups of options as dictionaries."""
    fields = {field.name: getattr(rule, field.name) for field in dataclasses.fields(rule)}
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value.item() if isinstance(value, np.generic) else value


def family_name(rule: type[AbstractRule]) -> str:
    """Return what a rule file calls a class: its name, or `module:Class` of one not of hebbax."""
    if FAMILIES.get(rule.__name__) is rule:
        return rule.__name__
    return f"{rule.__module__}:{rule.__qualname__}"


def register_rule(rule: Rule) -> Rule:
    """Let rule files hold rules of a class of your own; a decorator, too.

    A file only says `module:Class`. Nothing is imported on its word: what it names must be a
    family of hebbax, registered here, or passed to `load_rule`.

    **Raises:** `TypeError` unless `rule` is a class of rules.
    """
    if not (isinstance(rule, type) and issubclass(rule, AbstractRule)):
        raise TypeError(f"rule must be a subclass of AbstractRule; got {rule!r}.")
    _registered[family_name(rule)] = rule
    return rule


def save_rule(
    path: str | os.PathLike[str],
    rule: AbstractRule,
    theta: PyTree,
    card: dict[str, Any] | None = None,
) -> None:
    """Write a rule file, whole or not at all.

    **Arguments:**

    - `path`: ends in `.safetensors`.
    - `rule`, `theta`: what to write. Hyper-parameters must be plain values. A rule that is not of
      hebbax is written as `module:Class`; see `register_rule` for how it is read again.
    - `card`: how the rule was trained, on what, and measured results; anything JSON holds. By
      `measured_updates` it says how many updates networks were seen to last.

    **Raises:** `ValueError` for what `load_rule` could not read: a rule whose hyper-parameters or
    card cannot be written as JSON or are out of range, or a θ that is not the rule's or not finite;
    `OSError` where the file cannot be written.
    """
    metadata, arrays = _metadata(rule, card), to_arrays(theta)
    skeleton = jax.eval_shape(rule.init, jax.random.key(0))
    with refusing(f"theta does not fit the {type(rule).__name__}"):
        _theta(skeleton, arrays)
    if sum(array.nbytes for array in arrays.values()) + 2**20 > LARGEST:
        raise ValueError(f"theta holds more than the {LARGEST:,} bytes of the largest rule file.")
    write_arrays(Path(path), arrays, metadata)


def check_writable(rule: AbstractRule, card: dict[str, Any] | None) -> None:
    """Raise the `ValueError` that `save_rule` would raise for this rule or card."""
    _metadata(rule, card)


def _metadata(rule: AbstractRule, card: dict[str, Any] | None) -> dict[str, str]:
    if not isinstance(rule, AbstractRule):
        raise ValueError(f"rule must be one such as hebbax.Blur(); got {shown(rule)}.")
    family = family_name(type(rule))
    card = {} if card is None else card
    try:
        _check_card(card)
    except ValueError as error:
        raise ValueError(f"the card of this {family} cannot be written: {error}.") from error
    written = {}
    for name, value in {**hyperparameters(rule), "card": card}.items():
        try:
            written[name] = json.dumps(value)
        except (TypeError, ValueError) as error:
            what = "the card" if name == "card" else f"{name} = {value!r}"
            raise ValueError(
                f"{what} of this {family} cannot be written to a rule file, which holds plain "
                f"values only: {error}."
            ) from error
    text = json.dumps(hyperparameters(rule))
    with refusing(f"this {family} cannot be written to a rule file"):
        read = type(rule).from_hyperparameters(parse_json(text))
        if read != rule:
            raise ValueError(f"it would be read as {shown(read)}")
    return {
        "hebbax_format": str(FORMAT),
        "family": family,
        "hyperparameters": text,
        "card": written["card"],
    }


def _check_card(card: Any) -> None:
    """Refuse a card whose fields that are read elsewhere hold something else.

    **Raises:** `ValueError` naming the field.
    """
    if not isinstance(card, dict):
        raise ValueError(f"a card must hold names with values; got {shown(card)}")
    check_depth(card)
    if not isinstance(card.get("title"), (str, NoneType)):
        raise ValueError(f"the card's title must be a text; got {shown(card['title'])}")
    if not is_count(card.get("meta_steps", 0), least=0):
        raise ValueError(
            f"the card's meta_steps must be a whole number; got {shown(card['meta_steps'])}"
        )
    if not is_count(card.get("measured_updates", 1)):
        raise ValueError(
            f"the card's measured_updates must be a number of updates of at least 1; "
            f"got {shown(card['measured_updates'])}"
        )
    options = card.get("options", {})
    if not isinstance(options, dict):
        raise ValueError(f"the card's options must be names with values; got {shown(options)}")
    for name in {"unrolls", "final"} & options.keys():
        unrolls = options[name]
        several = unrolls if isinstance(unrolls, (list, tuple)) and unrolls else [unrolls]
        if not all(map(is_count, several)):
            raise ValueError(
                f"the card's option {name} must be numbers of updates of at least 1; "
                f"got {shown(unrolls)}"
            )


def read_rule_file(
    path: str | os.PathLike[str], rule: type[AbstractRule] | None = None
) -> tuple[AbstractRule, PyTree, dict[str, Any]]:
    """Return the rule, its θ and its card; `rule` as in `load_rule`.

    θ comes in the precision that JAX has now, whatever that of the file. One written before rule
    files had digests of their content is read with a `RuntimeWarning`.

    **Raises:** `FileNotFoundError`, or `RuleFileError` for whatever else is wrong: no regular
    file, truncated, damaged, not safetensors, of another program, of a newer format, of a class
    that is not known, with options or a card out of range, or arrays that do not fit the rule it
    describes or are not finite.
    """
    check_not_forked()
    path = Path(path)
    with refusing(f"{path} cannot be read", RuleFileError):
        found = path.exists()
        content = read_at_most(path, LARGEST) if found else b""
    if not found:
        raise FileNotFoundError(f"there is no rule file {path}.")
    arrays: dict[str, np.ndarray] = {}
    with (
        refusing(f"{path} is truncated or not a safetensors file", RuleFileError),
        safe_open(path, framework="numpy") as file,
    ):
        metadata = file.metadata() or {}
        if "hebbax_format" in metadata:
            # Those of other programs may hold types that numpy does not know.
            arrays = {n: file.get_tensor(n) for n in file.keys()}
    if "hebbax_format" not in metadata:
        raise RuleFileError(f"{path} is a safetensors file of another program, not a rule file.")
    with refusing(f"{path} is damaged", RuleFileError):
        sealed = check_digest(content)
    number = metadata["hebbax_format"]
    if not (number.isascii() and number.isdecimal()):
        raise RuleFileError(f"{path} has the rule-file format {shown(number)}, which is no number.")
    # Python reads no number of thousands of digits.
    if len(number) > 9 or int(number) > FORMAT:
        raise RuleFileError(
            f"{path} has the rule-file format {short(number, 20)}; this version of hebbax "
            f"reads formats up to {FORMAT}: install a newer one."
        )
    if int(number) < 1:
        raise RuleFileError(f"{path} has the rule-file format {number}; the first one is 1.")
    family = metadata.get("family", "")
    cls = _class_of(path, family, rule)
    with refusing(f"{path} does not fit the {shown(family)} it describes", RuleFileError):
        found = cls.from_hyperparameters(parse_json(metadata["hyperparameters"]))
        theta = _theta(jax.eval_shape(found.init, jax.random.key(0)), arrays)
    with refusing(f"{path} does not fit the card of a {shown(family)}", RuleFileError):
        card = parse_json(metadata["card"])
        _check_card(card)
    if not sealed:
        warnings.warn(
            f"{path} was written by an older version of hebbax or by another program, without a "
            f"digest of its content: whether it is whole cannot be told.",
            RuntimeWarning,
            stacklevel=3,
        )
    return found, theta, card


def _theta(skeleton: PyTree, arrays: dict[str, np.ndarray]) -> PyTree:
    """Return θ in the precision of `skeleton`. **Raises:** `ValueError` where it does not fit."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"the array {name!r} holds numbers that are not finite")
    return from_arrays(skeleton, arrays, any_precision=True)


def _class_of(path: Path, family: str, rule: type[AbstractRule] | None) -> type[AbstractRule]:
    """Return the class that a file may be read as."""
    if rule is not None:
        # A script's classes are of the module __main__, and of another one once it is imported.
        if family.rpartition(":")[2] != family_name(rule).rpartition(":")[2]:
            raise RuleFileError(
                f"{path} holds a rule of {shown(family)}; it was to be read as "
                f"{family_name(rule)!r}."
            )
        return rule
    families = {**_registered, **FAMILIES}
    if family in families:
        return families[family]
    if re.fullmatch(r"[\w.]+:[\w.<>]+", family):
        raise ForeignRuleError(path, family)
    raise RuleFileError(
        f"{path} holds a rule of the family {shown(family)}; this version of hebbax knows "
        f"{', '.join(FAMILIES)}."
    )


def load_rule(
    path: str | os.PathLike[str], rule: type[AbstractRule] | None = None
) -> tuple[AbstractRule, PyTree]:
    """Return the rule and θ of a rule file.

    **Arguments:**

    - `rule`: the class of a rule that is not of hebbax, unless `register_rule` knows it. The
      module in which it was defined may have changed since, its name may not.

    **Raises:** see `read_rule_file`.
    """
    found, theta, _ = read_rule_file(path, rule)
    return found, theta
