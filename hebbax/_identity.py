"""What an object is, all it holds and closes over included, as a digest."""

import dataclasses
import functools
import hashlib
import inspect
import re
import types
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PACKAGES = ("hebbax", "jax", "jaxlib", "numpy", "optax", "equinox", "builtins", "math")
"""Functions of their modules are known by name."""


def identity(value: Any) -> str:
    """Return 16 hexadecimal digits that change with anything that decides what `value` computes.

    These are arrays, fields, static or not, and of functions their code, defaults and what they
    close over; not the global names that they use. The same in every process.
    """
    total = hashlib.sha256()
    _add(value, total, {})
    return total.hexdigest()[:16]


def _add(value: Any, total: Any, seen: dict[int, tuple[int, Any]]) -> None:
    if isinstance(value, bool | int | float | complex | str | bytes | None | type(...)):
        total.update(f"{type(value).__name__} {value!r};".encode())
        return
    if id(value) in seen:
        total.update(f"again {seen[id(value)][0]};".encode())
        return
    # With the object itself, for the address of one that is gone may be another's.
    seen[id(value)] = len(seen), value
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            total.update(str(jax.random.key_impl(value)).encode())
            value = jax.random.key_data(value)
        array = np.asarray(value)
        total.update(f"array {array.dtype} {array.shape};".encode() + array.tobytes())
        return
    for name, part in _parts(value):
        total.update(f"{name}:".encode())
        _add(part, total, seen)
    total.update(b"end;")


def _parts(value: Any) -> list[tuple[str, Any]]:
    """Return what an object is made of, by name, its kind first."""
    kind = ("kind", _named(type(value)))
    if isinstance(value, Mapping):
        return [kind, *((f"item {key!r}", value[key]) for key in sorted(value, key=repr))]
    if isinstance(value, set | frozenset):
        return [kind, *(("item", part) for part in sorted(map(identity, value)))]
    if isinstance(value, tuple | list):
        return [kind, *(("item", part) for part in value)]
    if isinstance(value, functools.partial):
        return [kind, ("of", value.func), ("items", value.args), ("named", value.keywords)]
    if isinstance(value, types.MethodType):
        return [kind, ("of", value.__func__), ("self", value.__self__)]
    if isinstance(value, types.CodeType):
        return [kind, ("code", value.co_code), ("constants", value.co_consts),
                ("names", (*value.co_names, *value.co_varnames))]  # fmt: skip
    if isinstance(value, type | types.BuiltinFunctionType | types.ModuleType | np.ufunc):
        return [kind, ("name", _named(value))]
    if callable(value) and hasattr(value, "__wrapped__") and not isinstance(value, type):
        return [kind, ("of", inspect.unwrap(value))]
    if isinstance(value, types.FunctionType):
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        own = [("name", _named(value)), ("defaults", value.__defaults__),
               ("named", value.__kwdefaults__), ("closed", closed)]  # fmt: skip
        known = value.__module__.split(".")[0] in PACKAGES
        return [kind, *own] if known else [kind, *own, ("code", value.__code__)]
    if dataclasses.is_dataclass(value):
        fields = [(f.name, getattr(value, f.name, None)) for f in dataclasses.fields(value)]
        return [kind, *fields]
    if held := getattr(value, "__dict__", None):
        return [kind, *sorted(held.items())]
    return [kind, ("shown", re.sub(r" at 0x[0-9a-f]+", "", repr(value)))]


def _named(thing: Any) -> str:
    module = getattr(thing, "__module__", None)
    return f"{module}.{getattr(thing, '__qualname__', getattr(thing, '__name__', repr(thing)))}"
