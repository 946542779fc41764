"""`EvolutionStrategy`: estimate the meta-gradient from whole lifetimes of perturbed θ."""

from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from hebbax._options import AT_LEAST_1, POSITIVE
from hebbax.outer._problem import AbstractProblem
from hebbax.outer.methods._method import AbstractDescent, Estimate, finite, mean_of_finite


class EvolutionStrategy(AbstractDescent):
    """Antithetic evolution strategy (OpenAI-ES: Salimans et al. 2017).

    The gradient of the loss smoothed by Gaussian noise on θ, estimated from pairs θ ± ε that
    live through whole lifetimes on the same tasks and batches:
    g = mean of (L(θ + ε) - L(θ - ε)) ε / 2σ². It needs no gradient of rule or objective, and its
    memory does not grow with the lifetime.

    **Arguments:** `optimizer` and `clip`, see `AbstractDescent`; and

    - `pairs`: antithetic pairs at every meta-step, a population of twice as many.
    - `std`: σ, the standard deviation of the noise on every number of θ.
    - `ranks`: take the ranks of the losses, spread evenly over [-0.5, 0.5], instead of the losses
      themselves; equal losses share a rank. Robust to outliers, but no estimate of the gradient in
      its own units.

    A pair whose losses are not both finite is left out of the mean.
    """

    pairs: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=16)
    std: Annotated[float, POSITIVE] = eqx.field(static=True, default=0.01)
    ranks: bool = eqx.field(static=True, default=False)

    def begin(self, problem: AbstractProblem, theta: PyTree, key: PRNGKeyArray) -> tuple[()]:
        """Return nothing: every step begins and ends its lifetimes."""
        return ()

    def estimate(
        self,
        problem: AbstractProblem,
        theta: PyTree,
        carried: PyTree,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Estimate, PyTree]:
        """Estimate the gradient of the smoothed loss."""
        part, layout = problem.alone(), problem.layout
        k_noise, k_loss = jax.random.split(key)
        noise = perturbations(theta, k_noise, self.pairs, self.std)
        keys = jax.random.split(k_loss, self.pairs)
        noise, keys = layout.split_inner((noise, keys))

        def both(noise: PyTree, key: PRNGKeyArray):
            up, metrics = part.loss(jax.tree.map(jnp.add, theta, noise), key)
            down, others = part.loss(jax.tree.map(jnp.subtract, theta, noise), key)
            return jnp.stack([up, down]), jax.tree.map(lambda a, b: (a + b) / 2, metrics, others)

        losses, metrics = jax.vmap(both)(noise, keys)
        good = finite(losses)
        worth = _centred_ranks(losses) if self.ranks else losses
        gradients = weighted(noise, (worth[:, 0] - worth[:, 1]) / (2 * self.std**2))
        return mean_of_finite(gradients, jnp.mean(losses, axis=1), metrics, good), carried

    def inner(self, tasks: int) -> int:
        """Return how many parts a step can be split into: its pairs."""
        return self.pairs

    def updates(self, problem: AbstractProblem) -> float:
        """Return how many updates of a network one meta-step makes."""
        return float(2 * self.pairs * problem.networks * problem.lifetime)


def perturbations(theta: PyTree, key: PRNGKeyArray, number: int, std: float) -> PyTree:
    """Return Gaussian noise of the form of θ, `number` times along a new leading axis."""
    leaves, structure = jax.tree.flatten(theta)
    keys = jax.random.split(key, len(leaves))
    noise = [
        std * jax.random.normal(k, (number, *leaf.shape), leaf.dtype)
        for k, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, noise)


def weighted(noise: PyTree, weight: Float[Array, " pairs"]) -> PyTree:
    """Return each row of `noise` times its weight."""
    return jax.tree.map(lambda n: n * weight.reshape(-1, *(1,) * (n.ndim - 1)), noise)


def _centred_ranks(losses: Float[Array, "pairs both"]) -> Float[Array, "pairs both"]:
    # What is not finite counts as worst.
    flat = jnp.where(jnp.isfinite(losses), losses, jnp.inf).ravel()
    ordered = jnp.sort(flat)
    first, end = (jnp.searchsorted(ordered, flat, side=side) for side in ("left", "right"))
    # Equal losses share their mean rank, lest their order in memory move θ.
    ranks = (first + end - 1).astype(losses.dtype) / 2
    return (ranks / max(flat.size - 1, 1) - 0.5).reshape(losses.shape)
