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
from hebbax.networks import Hidden
from hebbax.outer._problem import Problem
from hebbax.outer._training import MetaTraining
from hebbax.outer.objectives import AbstractObjective
from hebbax.tasks import AbstractFamily

State = TypeVar("State")
Metrics = dict[str, list[float]]


@dataclasses.dataclass(frozen=True)
class Setup:
    """What an engine is to solve, and where.

    **Fields:**

    - `training`: all settings of the run.
    - `layout`: which devices share the work.
    - `stage`: of the training's course.
    - `hidden`: units of the hidden layers; None for those that the training says.
    """

    training: MetaTraining
    layout: DeviceGrid = dataclasses.field(default_factory=DeviceGrid)
    stage: int = 0
    hidden: Hidden | None = None

    @property
    def families(self) -> tuple[AbstractFamily, ...]:
        """The task families."""
        return self.training.all_families

    @property
    def objective(self) -> AbstractObjective:
        """What the lifetimes of the stage are judged by."""
        return self.training.course.at(self.stage)

    @property
    def key(self) -> PRNGKeyArray:
        """What decides all random numbers of meta-steps."""
        return self.training.keys.train

    def problem(self, families: Sequence[AbstractFamily] | None = None) -> Problem:
        """Return the problem; give the families if it is built inside a compiled function."""
        families = self.families if families is None else families
        of, hidden = self.training, self.training.units if self.hidden is None else self.hidden
        return Problem(of.rule, families, self.objective, hidden, of.tasks, self.layout)

    def step_key(self, key: PRNGKeyArray, step: Any) -> Any:
        """Return the key of a meta-step, or one for each run where each has its own."""
        key = jax.random.fold_in(key, step)
        if not self.training.per_run:
            return key
        return jax.vmap(lambda run: jax.random.fold_in(key, run))(jnp.arange(self.training.runs))

    @property
    def key_axis(self) -> int | None:
        """The axis of runs in what `step_key` returns."""
        return 0 if self.training.per_run else None


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
        of = self.setup.training
        return of.runs * of.method.updates(self.setup.problem())

    def close(self) -> None:
        """Give back what the engine holds, such as workers."""
