"""What carries out meta-steps, whatever the method."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from hebbax.devices import DeviceGrid
from hebbax.networks import Architectures, Hidden
from hebbax.outer._problem import Problem
from hebbax.outer.methods import AbstractMethod
from hebbax.outer.objectives import Objective
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily

State = TypeVar("State")
Metrics = dict[str, list[float]]


@dataclasses.dataclass(frozen=True)
class Setup:
    """What is to be solved, and how.

    **Fields:**

    - `rule`, `families`, `objective`, `method`, `hidden`, `tasks`, `runs`: as in
      `hebbax.meta_train`.
    - `key`: decides all random numbers of meta-steps.
    - `per_run`: whether runs meet different tasks and batches, not the same.
    - `layout`: which devices share the work.
    - `architectures`: of which workers draw one for every lifetime; `hidden` is its middle then.
    """

    rule: AbstractRule
    families: tuple[AbstractFamily, ...]
    objective: Objective
    method: AbstractMethod
    hidden: Hidden
    tasks: int
    runs: int
    key: PRNGKeyArray
    per_run: bool = False
    layout: DeviceGrid = dataclasses.field(default_factory=DeviceGrid)
    architectures: Architectures | None = None

    def problem(self, families: Sequence[AbstractFamily] | None = None) -> Problem:
        """Return the problem; give the families if it is built inside a compiled function."""
        families = self.families if families is None else families
        return Problem(self.rule, families, self.objective, self.hidden, self.tasks, self.layout)

    def step_key(self, key: PRNGKeyArray, step: Any) -> Any:
        """Return the key of a meta-step, or one for each run if they are apart."""
        key = jax.random.fold_in(key, step)
        if not self.per_run:
            return key
        return jax.vmap(lambda run: jax.random.fold_in(key, run))(jnp.arange(self.runs))

    @property
    def key_axis(self) -> int | None:
        """The axis of runs in what `step_key` returns."""
        return 0 if self.per_run else None


class Streaks(NamedTuple):
    """How long it is that each run had no finite meta-step.

    **Fields:**

    - `length` `[runs]`: meta-steps in a row that were not finite, up to now.
    - `since` `[runs]`: the index of the first of the last such row.
    """

    length: Int[Array, " runs"]
    since: Int[Array, " runs"]

    @classmethod
    def none(cls, runs: int) -> "Streaks":
        """Return those of runs that have just begun."""
        return cls(jnp.zeros(runs, jnp.int32), jnp.zeros(runs, jnp.int32))

    def after(self, bad: Any, step: Any) -> "Streaks":
        """Return those after meta-step `step`, of which `bad` says where it was not finite."""
        since = jnp.where(bad & (self.length == 0), step, self.since)
        return Streaks(
            jnp.where(bad, self.length + 1, 0).astype(jnp.int32), since.astype(jnp.int32)
        )


class AbstractEngine(ABC, Generic[State]):
    """Carries out meta-steps of all runs; a state is never changed in place."""

    setup: Setup

    @abstractmethod
    def start(self, thetas: PyTree, key: PRNGKeyArray) -> State:
        """Return the state before the first meta-step, from θ of every run."""

    @abstractmethod
    def compile(self, state: State) -> None:
        """Compile what `advance` needs, so that its time can be told apart."""

    @property
    def program(self) -> Any:
        """What `compile` has made for this process, None if it makes nothing here."""
        return None

    @abstractmethod
    def advance(self, state: State, first: int, count: int) -> tuple[State, Metrics]:
        """Take `count` meta-steps, of which `first` is the index of the first.

        Returns means of the metrics over these steps, a number for each run.
        """

    @abstractmethod
    def thetas(self, state: State) -> PyTree:
        """Return θ of every run, with a leading axis of runs."""

    @abstractmethod
    def streaks(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """Return `Streaks`, as numbers."""

    @abstractmethod
    def replace_runs(self, state: State, source: State, origin: Sequence[int | None]) -> State:
        """Put run `origin[i]` of `source` in the place of run i; None leaves it as it is."""

    @abstractmethod
    def to_arrays(self, state: State) -> dict[str, np.ndarray]:
        """Return all that the state is; in several processes, all of them must ask."""

    @abstractmethod
    def from_arrays(self, arrays: dict[str, np.ndarray], like: State) -> State:
        """Return the state whose arrays these are.

        `like` is any state of the same setup. **Raises:** `ValueError` if they do not fit.
        """

    def updates_per_step(self) -> float:
        """Return how many updates of networks a meta-step makes, in all runs."""
        return self.setup.runs * self.setup.method.updates(self.setup.problem())

    def close(self) -> None:
        """Give back what the engine holds, such as workers."""
