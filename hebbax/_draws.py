"""Random numbers of many small arrays, drawn together."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Shape = tuple[int, ...]
SMALL = 4096
"""Numbers of the longest array that is worth drawing with others."""


def draws(
    one: Callable[[PRNGKeyArray, Shape], Float[Array, "..."]],
    keys: Sequence[PRNGKeyArray],
    shapes: Sequence[Shape],
) -> list[Float[Array, "..."]]:
    """Return `one(key, shape)` for each, bit for bit.

    Each draw is a loop of its own to a compiler, and in small programs these take longest to
    compile. Threefry's numbers depend on the key and on their place only, so one loop can draw
    many arrays, each a little longer than it need be.
    """
    sizes = [math.prod(shape) for shape in shapes]
    together = [i for i, size in enumerate(sizes) if 0 < size <= SMALL]
    if len(together) < 2 or not _by_place(keys[0]):
        return [one(key, shape) for key, shape in zip(keys, shapes, strict=True)]
    most = max(sizes[i] for i in together)
    rows = jax.vmap(lambda key: one(key, (most,)))(jnp.stack([keys[i] for i in together]))
    found = {i: row[: sizes[i]].reshape(shapes[i]) for i, row in zip(together, rows, strict=True)}
    return [
        found[i] if i in found else one(key, shape)
        for i, (key, shape) in enumerate(zip(keys, shapes, strict=True))
    ]


def in_a_row(
    one: Callable[[PRNGKeyArray, Shape], Float[Array, "..."]], key: PRNGKeyArray, shape: Shape
) -> Float[Array, "..."]:
    """Return `one(key, shape)`, bit for bit, drawn in one loop over all its numbers.

    A compiler unrolls the loop over a last axis of ten or so, with the whole generator in each
    turn: normal numbers `[500, 32, 10]` take it fourteen times as long as 160,000 in a row.
    """
    if not _by_place(key):
        return one(key, shape)
    return one(key, (math.prod(shape),)).reshape(shape)


def numbered(key: PRNGKeyArray, count: int, derive: Callable[[PRNGKeyArray], Any]) -> Any:
    """Return `derive(fold_in(key, i))` for each i below `count`, stacked: keys made of keys."""

    def one(i: Any) -> Any:
        return derive(jax.random.fold_in(key, i))

    if _by_place(key):
        return jax.vmap(one)(jnp.arange(count))
    return jnp.stack([one(i) for i in range(count)])


def _by_place(key: PRNGKeyArray) -> bool:
    """Whether a number depends on the key and on its place alone."""
    flags: Any = jax.config
    return str(jax.random.key_impl(key)) == "threefry2x32" and flags.jax_threefry_partitionable
