"""Options that are what their annotations say: one check for every dataclass of options.

A field's annotation is the whole rule: `bool`, `int`, `float`, `str`, `Literal["sum", "mean"]`,
`tuple[float, ...]`, another dataclass, a function, or a union of these. A range goes beside the
type: `Annotated[int, Range(1)]`, `Annotated[float, Range(0, 1, open_low=True)]`.
"""

import collections.abc
import dataclasses
import functools
import math
import numbers
import types
import typing
from typing import Annotated, Any, Literal

import numpy as np

from hebbax._errors import check_choice, shown

LARGEST = 2**32
"""The largest whole number of any option: larger ones are no counts of anything in memory."""
FINITE = float(np.finfo(np.float32).max)
"""The largest number of any option: larger ones are infinite in single precision."""


@dataclasses.dataclass(frozen=True)
class Range:
    """What a number may be, or each number of a tuple: from `low` to `high`, open ends left out."""

    low: int | float = -math.inf
    high: int | float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, number: int | float) -> bool:
        """Return whether a number lies in the range."""
        above = self.low < number if self.open_low else self.low <= number
        return above and (number < self.high if self.open_high else number <= self.high)

    def words(self) -> str:
        """Return the range as it stands behind "a number"."""
        if self.low == -math.inf and self.high == math.inf:
            return ""
        if self.high == math.inf:
            return f" {'above' if self.open_low else 'of at least'} {self.low:g}"
        if self.low == -math.inf:
            return f" {'below' if self.open_high else 'of at most'} {self.high:g}"
        return (
            f" in {'(' if self.open_low else '['}{self.low:g}, {self.high:g}"
            f"{')' if self.open_high else ']'}"
        )


POSITIVE = Range(0, open_low=True)
NOT_NEGATIVE = Range(0)
AT_LEAST_1 = Range(1)
SHARE = Range(0, 1)


def check_options(options: Any) -> None:
    """Refuse a dataclass with a field that is not what its annotation says.

    Call it first in `__check_init__` of an `eqx.Module`, or `__post_init__` of a dataclass; what
    options must be to one another is checked after that. Annotations that name no type that a value
    could be compared with, such as `Any` or those of arrays, allow everything.

    **Raises:** `ValueError` naming the option, its value and what is allowed.
    """
    hints = _hints(type(options))
    for field in dataclasses.fields(options):
        check_option(field.name, getattr(options, field.name), hints[field.name])


def check_option(name: str, value: object, annotation: Any) -> None:
    """Refuse one option that is not what `annotation` says. **Raises:** as `check_options`."""
    if allows(annotation, value):
        return
    alternatives = _alternatives(annotation)
    choices = [c for a in alternatives if typing.get_origin(a) is Literal for c in a.__args__]
    if isinstance(value, str) and choices and all(isinstance(c, str) for c in choices):
        none = types.NoneType in alternatives
        check_choice(name, value, choices, none=none)
    raise ValueError(f"{name} must be {describe(annotation)}; got {shown(value)}.")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, and anything else alone; a range stays with its type."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(a for member in typing.get_args(annotation) for a in _alternatives(member))
    return (annotation,)


def allows(annotation: Any, value: object, within: Range | None = None) -> bool:
    """Return whether a value is what an annotation says; numbers must be finite."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        ranges = [a for a in arguments[1:] if isinstance(a, Range)]
        return allows(arguments[0], value, ranges[0] if ranges else within)
    if origin in (typing.Union, types.UnionType):
        return any(allows(member, value, within) for member in arguments)
    if origin is Literal:
        return any(type(value) is type(a) and value == a for a in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and _allows_items(arguments, value, within)
    if annotation is None or annotation is types.NoneType:
        return value is None
    if annotation is int:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            return False
        return abs(int(value)) <= LARGEST and (within is None or within.holds(int(value)))
    if annotation is float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return False
        number: Any = value
        return bool(abs(number) <= FINITE) and (within is None or within.holds(float(number)))
    if origin is collections.abc.Sequence:
        items = _items(value)
        return items is not None and all(allows(arguments[0], item, within) for item in items)
    if origin is collections.abc.Callable or annotation is collections.abc.Callable:
        return callable(value)
    kind = origin if isinstance(origin, type) else annotation
    return not _comparable(kind) or isinstance(value, kind)


def _allows_items(arguments: tuple[Any, ...], value: tuple[Any, ...], within: Range | None) -> bool:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return all(allows(arguments[0], item, within) for item in value)
    return len(arguments) == len(value) and all(
        allows(argument, item, within) for argument, item in zip(arguments, value, strict=True)
    )


def _items(value: object) -> collections.abc.Sequence[Any] | None:
    """Return what is in a row: a sequence that is no text, or an array of one axis."""
    if getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
        array: Any = value
        return array.tolist()
    if isinstance(value, collections.abc.Sequence) and not isinstance(value, (str, bytes)):
        return value
    return None


def _comparable(kind: Any) -> bool:
    """Return whether `isinstance` has a meaning: not for `Any`, arrays with shapes, protocols."""
    if not isinstance(kind, type) or kind in (Any, object):
        return False
    return not getattr(kind, "_is_protocol", False) and "jaxtyping" not in type(kind).__module__


def describe(annotation: Any, within: Range | None = None) -> str:
    """Return an annotation in words, as they follow "must be"."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        ranges = [a for a in arguments[1:] if isinstance(a, Range)]
        return describe(arguments[0], ranges[0] if ranges else within)
    if origin in (typing.Union, types.UnionType):
        members = _alternatives(annotation)
        # None first, for what it stands for is said last.
        members = sorted(members, key=lambda member: member is not types.NoneType)
        return " or ".join(describe(member, within) for member in members)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        return _describe_items(arguments, within)
    if origin is collections.abc.Sequence:
        return f"a sequence, each item {describe(arguments[0], within)}"
    if annotation is None or annotation is types.NoneType:
        return "None"
    words = "" if within is None else within.words()
    if annotation is bool:
        return "True or False"
    if annotation is int:
        return f"a whole number{words}"
    if annotation is float:
        return f"a finite number{words}"
    if annotation is str:
        return "a text"
    if origin is collections.abc.Callable or annotation is collections.abc.Callable:
        return "a function"
    name = getattr(origin or annotation, "__name__", str(annotation))
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"


def _describe_items(arguments: tuple[Any, ...], within: Range | None) -> str:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return f"a tuple, each item {describe(arguments[0], within)}"
    items = ", ".join(describe(argument, within) for argument in arguments)
    return f"a tuple of {len(arguments)}: {items}"


def as_tuple(value: Any) -> Any:
    """Return a list, as files hold, as the tuple that can be hashed; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value
