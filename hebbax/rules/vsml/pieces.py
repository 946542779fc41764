"""How many lifetimes at once: as many as a processor's cache holds, and their gradient datum by datum.

A vectorised run of 16 networks of 784 inputs takes two to three times as long on a CPU as the same
networks one after another, whose pre-activations stay in the cache. Which of the two the outer loop
asks for, by `jax.vmap`, should not matter.
"""

from collections.abc import Callable
from typing import Any

import jax


def in_pieces(function: Callable[..., Any], at_once: int) -> Callable[..., Any]:
    """Return `function` such that `jax.vmap` of it runs in pieces of `at_once`, on a CPU.

    Arguments and results are pytrees of arrays. Elsewhere, and where all fit at once, it is an
    ordinary `vmap`. It has no derivatives; see `rematerialised`.
    """

    @jax.custom_batching.custom_vmap
    def call(*arguments: Any) -> Any:
        return function(*arguments)

    @call.def_vmap
    def _(axis_size: int, batched: Any, *arguments: Any) -> tuple[Any, Any]:
        leaves, structure = jax.tree.flatten(arguments)
        flags = jax.tree.leaves(batched)

        def of_mapped(mapped: list[Any]) -> Any:
            rest = iter(mapped)
            merged = [next(rest) if f else a for f, a in zip(flags, leaves, strict=True)]
            return merged

        mapped = [a for f, a in zip(flags, leaves, strict=True) if f]
        if axis_size <= at_once or jax.default_backend() != "cpu":
            axes = [0 if f else None for f in flags]
            every = jax.vmap(lambda *a: function(*structure.unflatten(a)), axes)
            out = in_pieces(every, max(1, at_once // axis_size))(*leaves)
        else:
            one = lambda m: call(*structure.unflatten(of_mapped(m)))  # noqa: E731
            out = jax.lax.map(one, mapped, batch_size=at_once if at_once > 1 else None)
        return out, jax.tree.map(lambda _: True, out)

    return call


def rematerialised(function: Callable[..., Any], at_once: int) -> Callable[..., Any]:
    """Return `in_pieces(function)` with a gradient that keeps nothing but the arguments."""
    run = in_pieces(function, at_once)

    def pull(arguments: Any, gradients: Any) -> Any:
        return jax.vjp(function, *arguments)[1](gradients)

    @jax.custom_vjp
    def call(*arguments: Any) -> Any:
        return run(*arguments)

    call.defvjp(lambda *a: (run(*a), a), in_pieces(pull, at_once))
    return call
