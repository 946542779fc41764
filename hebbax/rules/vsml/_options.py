"""Which options of `Vsml` are allowed, alone and together."""

import math
from typing import Any

from hebbax._errors import check_choice
from hebbax.rules.vsml._passes import COORDINATES
from hebbax.rules.vsml.cells import CELLS, REDUCTIONS

_CHOICES: dict[str, tuple[str, ...]] = {
    "cell": CELLS,
    "feedback": ("same_datum", "next_datum"),
    "error_as": ("input", "message"),
    "reduction": REDUCTIONS,
    "batch": ("in_order", "averaged", "half_averaged"),
    "initial": ("half", "all", "line"),
}
_LEAST = {"state_size": 2, "message_size": 1, "ticks": 1, "output_channel": 0, "copies": 1}
# Each tick is compiled anew, and each copy holds all states.
_MOST = {"ticks": 100, "copies": 2**16}


def check_options(rule: Any) -> None:
    """Refuse options of a `Vsml` that are out of range or do not go together.

    **Raises:** `ValueError` naming the option, what was given and what is allowed.
    """
    for name, allowed in _CHOICES.items():
        check_choice(name, getattr(rule, name), allowed)
    for name in rule.coordinates:
        check_choice("coordinates", name, COORDINATES)
    if len(set(rule.coordinates)) < len(rule.coordinates):
        raise ValueError(f"coordinates must not repeat; got {list(rule.coordinates)}.")
    for name, least in _LEAST.items():
        if getattr(rule, name) < least:
            raise ValueError(f"{name} must be at least {least}; got {getattr(rule, name)}.")
    for name, most in _MOST.items():
        if getattr(rule, name) > most:
            raise ValueError(f"{name} must be at most {most:,}; got {getattr(rule, name)}.")
    for name in ("bound", "state_clip"):
        value = getattr(rule, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be None or a positive number; got {value}.")
    if not math.isfinite(rule.gate_offset):
        raise ValueError(f"gate_offset must be a finite number; got {rule.gate_offset}.")
    if len(rule.gains) != 2 or not all(0 < gain < math.inf for gain in rule.gains):
        raise ValueError(
            f"gains must be two positive numbers, for messages up and down; got {list(rule.gains)}."
        )
    _check_roles(rule)
    _check_line(rule)
    if rule.layer_norm and rule.cell != "lstm":
        raise ValueError(
            f"layer_norm needs the cell lstm, whose messages have heads; got {rule.cell!r}."
        )
    if rule.batch == "averaged" and rule.feedback != "same_datum":
        raise ValueError(
            f"batch='averaged' needs feedback='same_datum', because the error of a datum ends "
            f"with its copy of the network; got feedback={rule.feedback!r}."
        )
    if rule.quiet_forward and rule.feedback != "same_datum":
        raise ValueError(
            f"quiet_forward needs feedback='same_datum', because otherwise forward passes are to "
            f"read the error of the datum before; got feedback={rule.feedback!r}."
        )
    if rule.copies > 1 and rule.batch != "half_averaged":
        raise ValueError(
            f"copies above 1 need batch='half_averaged'; got copies={rule.copies} with "
            f"batch={rule.batch!r}."
        )


def _check_line(rule: Any) -> None:
    """Refuse a line without its option, the option without a line, and one that does not fit."""
    if bool(rule.line) != (rule.initial == "line"):
        raise ValueError(
            f"initial='line' and a line of at least one number go together; got "
            f"initial={rule.initial!r} with line={list(rule.line)}."
        )
    if len(rule.line) > rule.state_size:
        raise ValueError(
            f"line must hold at most state_size={rule.state_size} numbers; got {len(rule.line)}."
        )
    if not all(math.isfinite(number) for number in rule.line):
        raise ValueError(f"line must hold finite numbers; got {list(rule.line)}.")


def _check_roles(rule: Any) -> None:
    """Refuse messages, or states that are messages, with too few channels for their roles."""
    name = "message_size" if rule.cell == "lstm" else "state_size"
    roles = {"the prediction": rule.output_channel + 1}
    if rule.error_as == "message":
        roles["the error and the label" if rule.feed_label else "the error"] = rule.fed
    for role, least in roles.items():
        if rule.channels < least:
            raise ValueError(
                f"{name} must be at least {least} for {role} to have a channel; "
                f"got {rule.channels}."
            )
