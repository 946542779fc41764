"""Arguments of public functions that are what the functions' annotations say."""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hebbax._errors import shown
from hebbax._options import check_option

KEY = "key"
"""What random keys are called everywhere."""


def check_arguments(function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse arguments that are not what the annotations of a function say, as `check_options`.

    To be called at a function's beginning, with its `locals()` or the arguments it asks about.
    Annotations of arrays allow everything, and so do those of further `**settings`.

    **Raises:** `ValueError` naming the argument, its value and what is allowed.
    """
    hints = _hints(function)
    for name, value in given.items():
        if name != KEY:
            check_option(name, value, hints[name])
        elif not (is_key(value) or (value is None and type(None) in typing.get_args(hints[name]))):
            raise ValueError(f"key must be one such as jax.random.key(0); got {shown(value)}.")


def is_key(value: object) -> bool:
    """Return whether a value is one of JAX's random keys, typed or raw."""
    if not isinstance(value, jax.Array):
        return False
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return value.ndim == 0
    return value.ndim == 1 and value.dtype == jnp.uint32


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(function, include_extras=True)
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in several:
            hints[name] = Any
    return hints
