"""What a way to find θ says of itself, whatever it does."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import equinox as eqx
from jaxtyping import PyTree

from hebbax.outer._problem import AbstractProblem


class AbstractMethod(eqx.Module):
    """A way to find θ.

    A method holds settings only; what it carries from meta-step to meta-step is explicit.
    """

    shares: ClassVar[Literal["estimates", "members"] | None] = None
    """What others can compute of a meta-step: estimates of the meta-gradient, which are averaged,
    the losses of members of a population, or nothing."""

    @abstractmethod
    def engine(self, setup: Any) -> Any:
        """Return what carries out its meta-steps in this process, an `AbstractEngine`.

        `setup` is a `hebbax.outer.engines.Setup` with this method.
        """

    @abstractmethod
    def fingerprint(self, theta: PyTree) -> str:
        """Return a digest of what a step computes, its constants (the learning rate) included.

        `theta` is of the form of the θ that is to be found. Two methods with the same digest are
        the same, whatever functions they were made of.
        """

    def check(self, lifetime: int) -> None:
        """Refuse lifetimes of so many updates that it cannot do. **Raises:** `ValueError`."""

    @abstractmethod
    def inner(self, tasks: int) -> int:
        """Return how many parts a run's meta-step can be split into, for several devices.

        `tasks` counts the tasks of each family.
        """

    @abstractmethod
    def updates(self, problem: AbstractProblem) -> float:
        """Return how many updates of a network one meta-step makes, on average."""
