"""`equations`, and what all rules' equations are written with."""

import functools
from collections.abc import Iterable

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import PyTree

from hebbax.rules import AbstractRule

SMALLEST = 5e-4
"""Coefficients below this are left out of sums."""


@functools.singledispatch
def equations(rule: AbstractRule, theta: PyTree) -> str:
    r"""Return a rule as LaTeX: an `align*` for each of its passes, numbers in place of symbols.

    Matrices that are too large to read stay symbols, with their sizes. What is printed needs the
    package `amsmath`.

    **Raises:** `NotImplementedError` for rules of families that nothing here writes out.
    """
    written = [cls.__name__ for cls in equations.registry if cls not in (object, AbstractRule)]
    raise NotImplementedError(
        f"equations are written out for {', '.join(sorted(written))}; got {type(rule).__name__}."
    )


def number(value: ArrayLike) -> str:
    """Return a number with three figures."""
    return f"{float(np.asarray(value)):#.3g}".rstrip(".")


def times(value: ArrayLike, symbol: str) -> str:
    """Return a factor and what it multiplies, if anything; before that a 1 is not written."""
    if not symbol:
        return number(value)
    return symbol if number(value) == "1.00" else rf"{number(value)}\,{symbol}"


def linear(coefficients: ArrayLike, symbols: Iterable[str]) -> str:
    """Return a sum of symbols with their coefficients; 0 if all are too small."""
    text = ""
    for value, symbol in zip(np.asarray(coefficients, float), symbols, strict=True):
        if abs(value) < SMALLEST:
            continue
        sign = "-" if value < 0 else "+"
        # Before the first term a plus is left out.
        text += f" {sign} " if text else sign.removeprefix("+")
        text += times(abs(value), symbol)
    return text or "0"


def within(text: str) -> str:
    """Put a sum of several terms in brackets."""
    return rf"\bigl({text}\bigr)" if " + " in text or " - " in text else text


def block(title: str, lines: Iterable[str]) -> str:
    """Return lines of equations under a title."""
    body = " \\\\\n".join(f"  {line}" for line in lines)
    return f"% {title}\n\\begin{{align*}}\n{body}\n\\end{{align*}}"
