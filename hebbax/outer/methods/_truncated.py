"""`TruncatedGradient`: follow the meta-gradient through a piece of the unroll at a time."""

from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from hebbax._options import AT_LEAST_1
from hebbax.outer._problem import AbstractProblem, Particle
from hebbax.outer._truncation import Truncation
from hebbax.outer.methods._method import (
    AbstractDescent,
    Estimate,
    finite,
    mean_of_finite,
    split_keys,
)
from hebbax.outer.methods._particles import Lives, renewed, stagger


class TruncatedGradient(AbstractDescent):
    """Truncated backpropagation through time.

    Every particle goes on from where its last truncation ended, and the gradient does not reach
    back beyond. Memory and time of a meta-step depend on the truncation, not on the lifetime;
    the estimate is biased towards what pays off soon. Particles are at different points of their
    lifetimes and begin anew at different meta-steps.

    **Arguments:** `optimizer` and `clip`, see `AbstractDescent`; and

    - `truncation`: a `Truncation`, or just the number of updates in each.
    - `particles`: how many live side by side; each has networks for `tasks` tasks of every family.

    A particle whose loss or gradient is not finite is left out of the mean and begins anew.
    """

    truncation: Truncation = eqx.field(default=Truncation(10), converter=lambda t: as_truncation(t))
    particles: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=1)

    def check(self, lifetime: int) -> None:
        """Refuse lifetimes that cannot be cut so. **Raises:** `ValueError`."""
        self.truncation.check(lifetime)

    def begin(self, problem: AbstractProblem, theta: PyTree, key: PRNGKeyArray) -> Lives:
        """Return particles whose lifetimes end one after the other."""
        k_begin, k_count = jax.random.split(key)
        fresh = jax.vmap(lambda k: problem.alone().begin(theta, k))(
            jax.random.split(k_begin, self.particles)
        )
        return stagger(problem, self.truncation, fresh, self.particles, k_count)

    def estimate(
        self,
        problem: AbstractProblem,
        theta: PyTree,
        carried: Lives,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Estimate, Lives]:
        """Differentiate the mean loss of the particles' next truncations."""
        layout = problem.layout
        part = problem if self.particles == 1 else problem.alone()
        k_unroll, k_count = jax.random.split(jax.random.fold_in(key, 1))
        taken = self.truncation.draw_unroll(k_unroll, step)
        keys = split_keys(key, self.particles)
        fresh = jax.vmap(lambda k: part.begin(theta, k))(keys)
        lives = renewed(
            problem, self.truncation, carried, fresh,
            jax.random.split(k_count, self.particles), step,
        )  # fmt: skip
        if self.particles > 1:
            lives = layout.split_inner(lives)

        def loss(theta: PyTree, particle: Particle):
            # Again inside, so that θ's part in fresh networks counts.
            born = part.begin(theta, particle.key)
            nets = jax.tree.map(
                lambda n, o: jnp.where(particle.position == 0, n, o), born.nets, particle.nets
            )
            particle = eqx.tree_at(lambda p: p.nets, particle, nets)
            after, (value, metrics) = part.advance(theta, particle, self.truncation.longest, taken)
            return value, (after, metrics)

        (losses, (after, metrics)), gradients = jax.vmap(
            jax.value_and_grad(loss, has_aux=True), in_axes=(None, 0)
        )(theta, lives.particle)
        good = finite(losses, gradients)
        left = jnp.where(good & finite(after.nets), lives.left - 1, 0)
        return mean_of_finite(gradients, losses, metrics, good), Lives(after, left)

    def inner(self, tasks: int) -> int:
        """Return how many parts a step can be split into: its particles, or one's tasks."""
        return self.particles if self.particles > 1 else tasks

    def updates(self, problem: AbstractProblem) -> float:
        """Return how many updates of a network one meta-step makes, once truncations have grown."""
        return self.particles * problem.networks * self.truncation.mean_unroll


def as_truncation(given: Truncation | int) -> Truncation:
    """Return a `Truncation`, also of just the number of updates in each."""
    return Truncation(given) if isinstance(given, int) else given
