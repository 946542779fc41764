"""Particles that live through many truncations and begin anew when their lifetime is over."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from hebbax.outer._problem import AbstractProblem, Particle
from hebbax.outer._truncation import Truncation


class Lives(eqx.Module):
    """Particles, their leading axis, and how many truncations each has left before it ends."""

    particle: Particle
    left: Int[Array, " particles"]


def stagger(
    problem: AbstractProblem,
    truncation: Truncation,
    particles: Particle,
    number: int,
    key: PRNGKeyArray,
) -> Lives:
    """Give fresh particles first lifetimes of unequal length, so that they end apart.

    The first has none left and begins anew at once.
    """
    truncation.check(problem.lifetime)
    counts = jax.vmap(lambda k: truncation.draw_count(k, jnp.zeros((), int), problem.lifetime))(
        jax.random.split(key, number)
    )
    return Lives(particles, counts * jnp.arange(number, dtype=counts.dtype) // number)


def renewed(
    problem: AbstractProblem,
    truncation: Truncation,
    lives: Lives,
    fresh: Particle,
    keys: Any,
    step: Int[Array, ""],
) -> Lives:
    """Put `fresh` particles in the place of those that have nothing left."""
    over = lives.left == 0
    counts = jax.vmap(lambda k: truncation.draw_count(k, step, problem.lifetime))(keys)
    return Lives(
        where(over, fresh, lives.particle),
        jnp.where(over, counts, lives.left),
    )


def where(rows: Any, new: PyTree, old: PyTree) -> PyTree:
    """Choose row by row of the leading axis."""

    def choose(n: Any, o: Any) -> Any:
        return jnp.where(rows.reshape(-1, *(1,) * (n.ndim - 1)), n, o)

    return jax.tree.map(choose, new, old)
