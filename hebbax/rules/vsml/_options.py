"""Which options of `Vsml` go together."""

from typing import Any


def check_together(rule: Any) -> None:
    """Refuse options of a `Vsml` that do not go together.

    **Raises:** `ValueError` naming the option, what was given and what is allowed.
    """
    if len(set(rule.coordinates)) < len(rule.coordinates):
        raise ValueError(f"coordinates must not repeat; got {list(rule.coordinates)}.")
    _check_roles(rule)
    _check_line(rule)
    if rule.forget_offsets is not None and rule.cell != "lstm":
        raise ValueError(
            f"forget_offsets need the cell lstm, whose gates forget; got {rule.cell!r}."
        )
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


def _check_roles(rule: Any) -> None:
    """Refuse messages, or states that are messages, with too few channels for their roles."""
    name = "message_size" if rule.cell == "lstm" else "state_size"
    inputs, outputs = rule.bundles
    roles = {"the prediction": rule.output_channel + outputs, "the inputs of a bundle": inputs}
    if rule.error_as == "message":
        roles["the error and the label" if rule.feed_label else "the error"] = rule.fed
    for role, least in roles.items():
        if rule.channels < least:
            raise ValueError(
                f"{name} must be at least {least} for {role} to have a channel; "
                f"got {rule.channels}."
            )
