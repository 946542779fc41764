"""`PersistentES`: estimate the meta-gradient from truncations of perturbed lifetimes, unbiased."""

from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from hebbax._options import AT_LEAST_1, POSITIVE
from hebbax.outer._problem import AbstractProblem, Particle
from hebbax.outer._truncation import Truncation
from hebbax.outer.methods._evolution import perturbations, weighted
from hebbax.outer.methods._method import (
    AbstractDescent,
    Estimate,
    finite,
    mean_of_finite,
    split_keys,
)
from hebbax.outer.methods._particles import Lives, renewed, stagger, where
from hebbax.outer.methods._truncated import as_truncation


class PersistentState(eqx.Module):
    """Pairs of particles, and the sum of the noise that each has met in its lifetime so far."""

    lives: Lives
    noise: PyTree


class PersistentES(AbstractDescent):
    """Persistent evolution strategy (PES: Vicol, Metz and Sohl-Dickstein 2021, algorithm 2).

    Antithetic pairs of particles go through their lifetimes a truncation at a time, with fresh
    noise on θ at each. A loss is credited with all the noise that its particle has met, not only
    the last: g = mean of (L₊ - L₋) Σ ε / 2σ². This estimates the gradient of the mean loss of all
    truncations of a lifetime without the bias of truncation, at the cost of variance that grows
    with the number of truncations.

    **Arguments:** `optimizer` and `clip`, see `AbstractDescent`; `pairs` and `std`, see
    `EvolutionStrategy`; and

    - `truncation`: a `Truncation`, or just the number of updates in each.

    A pair that is not finite is left out of the mean and begins anew.
    """

    truncation: Truncation = eqx.field(default=Truncation(10), converter=lambda t: as_truncation(t))
    pairs: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=16)
    std: Annotated[float, POSITIVE] = eqx.field(static=True, default=0.01)

    def check(self, lifetime: int) -> None:
        """Refuse lifetimes that cannot be cut so. **Raises:** `ValueError`."""
        self.truncation.check(lifetime)

    def begin(self, problem: AbstractProblem, theta: PyTree, key: PRNGKeyArray) -> PersistentState:
        """Return pairs whose lifetimes end one after the other."""
        k_begin, k_count = jax.random.split(key)
        keys = jax.random.split(k_begin, self.pairs)
        fresh = jax.vmap(lambda k: _pair(problem.alone(), theta, theta, k))(keys)
        lives = stagger(problem, self.truncation, fresh, self.pairs, k_count)
        nothing = jax.tree.map(lambda a: jnp.zeros((self.pairs, *a.shape), a.dtype), theta)
        return PersistentState(lives, nothing)

    def estimate(
        self,
        problem: AbstractProblem,
        theta: PyTree,
        carried: PersistentState,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Estimate, PersistentState]:
        """Estimate the gradient of the mean loss of truncations."""
        part, layout = problem.alone(), problem.layout
        k_noise, k_begin, k_unroll, k_count = jax.random.split(key, 4)
        taken = self.truncation.draw_unroll(k_unroll, step)
        noise = perturbations(theta, k_noise, self.pairs, self.std)
        noise, keys = layout.split_inner((noise, split_keys(k_begin, self.pairs)))
        up = jax.vmap(lambda e: jax.tree.map(jnp.add, theta, e))(noise)
        down = jax.vmap(lambda e: jax.tree.map(jnp.subtract, theta, e))(noise)
        fresh = jax.vmap(lambda u, d, k: _pair(part, u, d, k))(up, down, keys)
        counts = jax.random.split(k_count, self.pairs)
        lives = renewed(problem, self.truncation, carried.lives, fresh, counts, step)
        over = carried.lives.left == 0
        nothing = jax.tree.map(jnp.zeros_like, carried.noise)
        met = jax.tree.map(jnp.add, noise, where(over, nothing, carried.noise))

        def both(up: PyTree, down: PyTree, particle: Particle):
            def one(theta: PyTree, nets: PyTree):
                before = eqx.tree_at(lambda p: p.nets, particle, nets)
                return part.advance(theta, before, self.truncation.longest, taken)

            pair = jax.tree.map(lambda *a: jnp.stack(a), up, down)
            after, value = jax.vmap(one)(pair, particle.nets)
            position = jnp.max(jnp.asarray(after.position))
            moved = (after.nets, position)
            return eqx.tree_at(lambda p: (p.nets, p.position), particle, moved), value

        after, (losses, metrics) = jax.vmap(both)(up, down, lives.particle)
        good = finite(losses)
        gradients = weighted(met, (losses[:, 0] - losses[:, 1]) / (2 * self.std**2))
        left = jnp.where(good & finite(after.nets), lives.left - 1, 0)
        metrics = jax.tree.map(lambda a: jnp.mean(a, axis=1), metrics)
        estimate = mean_of_finite(gradients, jnp.mean(losses, axis=1), metrics, good)
        return estimate, PersistentState(Lives(after, left), met)

    def inner(self, tasks: int) -> int:
        """Return how many parts a step can be split into: its pairs."""
        return self.pairs

    def updates(self, problem: AbstractProblem) -> float:
        """Return how many updates of a network one meta-step makes, once truncations have grown."""
        return 2 * self.pairs * problem.networks * self.truncation.mean_unroll


def _pair(problem: AbstractProblem, up: PyTree, down: PyTree, key: PRNGKeyArray) -> Particle:
    """Return two particles in one, with a leading axis in the networks only."""
    pair = jax.tree.map(lambda *a: jnp.stack(a), up, down)
    nets = jax.vmap(lambda theta: problem.begin(theta, key).nets)(pair)
    return Particle(nets, key, jnp.zeros((), jnp.int32))
