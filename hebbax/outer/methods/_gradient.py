"""`Gradient`: follow the meta-gradient through the whole unroll."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from hebbax.outer._problem import AbstractProblem
from hebbax.outer.methods._method import AbstractDescent, Estimate


class Gradient(AbstractDescent):
    """Reverse-mode differentiation through the full unroll, and any optax transformation.

    **Arguments:** `optimizer` and `clip`, see `AbstractDescent`. A step whose loss or gradient
    is not finite changes nothing and is counted.
    """

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
        """Differentiate the loss of whole lifetimes."""
        (loss, metrics), gradient = jax.value_and_grad(problem.loss, has_aux=True)(theta, key)
        return Estimate(gradient, loss, jnp.zeros(()), metrics), carried

    def inner(self, tasks: int) -> int:
        """Return how many parts a step can be split into: its tasks."""
        return tasks

    def updates(self, problem: AbstractProblem) -> float:
        """Return how many updates of a network one meta-step makes."""
        return float(problem.networks * problem.lifetime)
