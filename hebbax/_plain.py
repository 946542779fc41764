"""Whether plain values, read from a file, fit the fields of a dataclass."""

import collections.abc
import dataclasses
import types
import typing
from typing import Any

import numpy as np

from hebbax._foreign import shown

LARGEST_INT = 2**53
"""Whole numbers up to here are the same in every program that reads JSON."""
LARGEST_FLOAT = float(np.finfo(np.float32).max)


def check_fields(kind: type, values: Any) -> None:
    """Refuse values that cannot be those of the fields of the dataclass `kind`.

    Where a field's annotation is not made of plain types, its value is not looked at.

    **Raises:** `ValueError` naming the first field that is unknown or has another type, or a number
    that is not finite or too large.
    """
    if not isinstance(values, dict):
        raise ValueError(f"its options must be names with values; got {shown(values)}")
    fields = {field.name: field.type for field in dataclasses.fields(kind) if field.init}
    for name, value in values.items():
        if name not in fields:
            raise ValueError(f"there is no option {shown(name)}")
        if not _fits(value, fields[name]):
            raise ValueError(f"{name} must be {_spelt(fields[name])}; got {shown(value)}")


def is_count(value: Any, least: int = 1) -> bool:
    """Return whether a value is a whole number from `least` to the largest of 32 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31


def _fits(value: Any, annotation: Any) -> bool:
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in inside)
    if origin is typing.Annotated:
        return _fits(value, inside[0])
    if origin is typing.Literal:
        return any(type(value) is type(one) and value == one for one in inside)
    if origin in (tuple, list):
        if not isinstance(value, (list, tuple)):
            return False
        if origin is tuple and inside[-1:] != (...,):
            return len(value) == len(inside) and all(map(_fits, value, inside))
        return all(_fits(item, inside[0]) for item in value)
    if origin is collections.abc.Callable:
        return callable(value)
    if annotation is None or annotation is types.NoneType:
        return value is None
    if annotation in (bool, str):
        return isinstance(value, annotation)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INT
    if annotation is float:
        # True for no NaN, and for whole numbers of any length without making them floats.
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and -LARGEST_FLOAT <= value <= LARGEST_FLOAT
    return True


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a word",
    types.NoneType: "null",
}


def _spelt(annotation: Any) -> str:
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_spelt, inside))
    if origin in (tuple, list):
        return f"a list ({_spelt(inside[0])} each)" if inside else "a list"
    return _WORDS.get(annotation, "a value of its type")
