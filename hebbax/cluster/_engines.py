"""Engines whose meta-steps are computed by a pool of workers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from hebbax._trees import from_arrays, to_arrays
from hebbax.cluster._worker_pool import Resources, WorkerPool
from hebbax.outer.engines import (
    AbstractEngine,
    Metrics,
    SearchEngine,
    SearchRuns,
    Setup,
    Streaks,
    finite_mean,
)
from hebbax.outer.methods import Estimate, finite, mean_of_finite


def start_pool(
    resources: Resources, setup: Setup, rehearsal: Sequence[Any], born: int = 0
) -> WorkerPool:
    """Return a pool of workers once the first of them is ready."""
    pool = WorkerPool(resources, setup, rehearsal, born)
    try:
        while not pool.alive:
            pool.receive()
    except BaseException:
        pool.close()
        raise
    return pool


class HasPool:
    """What an engine with workers has besides."""

    _pool: WorkerPool | None = None

    @property
    def pool(self) -> WorkerPool:
        """The workers, which `compile` starts."""
        assert self._pool is not None, "compile comes first"
        return self._pool

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


class Learner(eqx.Module):
    """What the learner of an asynchronous run holds, and a checkpoint keeps.

    **Fields:**

    - `theta`, `optimizer`: meta-parameters and the optimiser's state.
    - `version`: meta-steps that made θ.
    - `born`: workers that have been started for the run so far; each had keys of its own.
    - `streaks`: as in other engines, of one run.
    """

    theta: PyTree
    optimizer: PyTree
    version: Int[Array, ""]
    born: Int[Array, ""]
    streaks: Streaks


class AsynchronousEngine(HasPool, AbstractEngine[Learner]):
    """The learner of the asynchronous scheme of Metz et al. (2019).

    Workers estimate the meta-gradient at the θ that they were last given; the learner takes a
    meta-step along the mean of every `batch` estimates that are not too old.
    """

    def __init__(self, setup: Setup, resources: Resources, batch: int, staleness: int):
        self.setup, self._resources = setup, resources
        self._batch, self._staleness = batch, staleness
        self.method: Any = setup.training.method
        self._program: Any = jax.jit(self._follow)
        self._last: Learner | None = None
        self._lineage = 0

    def start(self, thetas: PyTree, key: Any) -> Learner:
        """Return the state before the first meta-step."""
        theta = jax.tree.map(lambda a: a[0], thetas)
        zero = jnp.zeros((), jnp.int32)
        return Learner(theta, self.method.start(theta), zero, zero, Streaks.none(1))

    def compile(self, state: Learner) -> None:
        """Start the workers, compile the learner's step, and wait for the first worker."""
        problem, method = self.setup.problem(), self.method

        def example(theta: PyTree, key: Any) -> Estimate:
            carried = method.begin(problem, theta, key)
            return method.estimate(problem, theta, carried, key, jnp.zeros((), jnp.int32))[0]

        # Before anything is started, for this is where settings that do not fit are refused.
        shapes = jax.eval_shape(example, state.theta, self.setup.key)
        stacked = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct((self._batch, *s.shape), s.dtype), shapes
        )
        self._program = self._program.lower(state, stacked).compile()
        theta = jax.device_get(state.theta)
        self._pool = start_pool(self._resources, self.setup, (0, 0, theta), int(state.born))

    def advance(self, state: Learner, first: int, count: int) -> tuple[Learner, Metrics]:
        """Take `count` meta-steps."""
        pool = self.pool
        if state is not self._last:
            # θ was put back or read from a checkpoint: estimates under way are of another one.
            self._lineage += 1
        rows: list[dict[str, Any]] = []
        stale, lost = 0, pool.lost
        for _ in range(count):
            estimates, ages, dropped = self._collect(pool, state)
            stale += dropped
            stacked = jax.tree.map(lambda *a: np.stack(a), *estimates)
            state, metrics = self._program(state, stacked)
            rows.append({**metrics, "age": np.mean(ages)})
        state = dataclasses.replace(state, born=jnp.asarray(pool.born, jnp.int32))
        self._last = state
        metrics = {name: [_mean(rows, name)] for name in rows[0]}
        return state, {
            **metrics,
            "stale": [float(stale)],
            "workers": [float(pool.alive)],
            "lost": [float(pool.lost - lost)],
        }

    def _collect(self, pool: WorkerPool, state: Learner) -> tuple[list[Estimate], list[int], int]:
        """Return as many estimates as make a meta-step, their ages, and how many were too old."""
        version = int(state.version)
        theta = jax.device_get(state.theta)
        shared = pool.share(theta, sum(leaf.nbytes for leaf in jax.tree.leaves(theta)))
        estimates: list[Estimate] = []
        ages: list[int] = []
        stale = 0
        while len(estimates) < self._batch:
            for index in pool.idle:
                pool.send(index, (self._lineage, version), self._lineage, version, shared)
            answer = pool.receive()
            if answer.lost or answer.tag is None:
                continue
            lineage, made = answer.tag
            if lineage != self._lineage or version - made > self._staleness:
                stale += 1
                continue
            estimates.append(answer.value)
            ages.append(version - made)
        return estimates, ages, stale

    def _follow(self, state: Learner, estimates: Estimate) -> tuple[Learner, dict[str, Any]]:
        """Take a meta-step along the mean of `estimates`, stacked along a leading axis."""
        good = finite(estimates.loss, estimates.gradient) & (estimates.nonfinite < 1)
        mean = mean_of_finite(estimates.gradient, estimates.loss, estimates.metrics, good)
        mean = mean._replace(nonfinite=jnp.mean(jnp.where(good, estimates.nonfinite, 1)))
        theta, optimizer, metrics = self.method.follow(state.theta, state.optimizer, mean)
        streaks = state.streaks.after(metrics["nonfinite"][None] >= 1, state.version)
        version = state.version + 1
        return dataclasses.replace(
            state, theta=theta, optimizer=optimizer, version=version, streaks=streaks
        ), metrics

    def thetas(self, state: Learner) -> PyTree:
        """Return θ, with a leading axis."""
        found = self.method.solution(state.theta, state.optimizer)
        return jax.tree.map(lambda a: a[None], found)

    def streaks(self, state: Learner) -> tuple[np.ndarray, np.ndarray]:
        """Return how long there has been no finite step, and since when."""
        return np.asarray(state.streaks.length), np.asarray(state.streaks.since)

    def replace_runs(
        self, state: Learner, source: Learner, origin: Sequence[int | None]
    ) -> Learner:
        """Put `source` in the place of the only run, or leave that as it is."""
        if origin[0] is None or source is state:
            return state
        return dataclasses.replace(source, version=state.version, born=state.born)

    def to_arrays(self, state: Learner) -> dict[str, np.ndarray]:
        """Return all arrays, by name."""
        return to_arrays(state)

    def from_arrays(self, arrays: dict[str, np.ndarray], like: Learner) -> Learner:
        """Return the state whose arrays these are."""
        return from_arrays(jax.eval_shape(lambda: like), arrays)

    def updates_per_step(self) -> float:
        """Return how many updates of networks make a meta-step, without those dropped."""
        return self._batch * super().updates_per_step()


class ClusterSearchEngine(HasPool, SearchEngine):
    """Meta-steps of `CMAES`, its populations evaluated in slices by workers."""

    def __init__(self, setup: Setup, resources: Resources, members: int):
        super().__init__(setup)
        self._resources, self._members = resources, members
        self._evaluate = self._on_workers

    def compile(self, state: SearchRuns) -> None:
        """Start the workers and wait for the first."""
        rows = np.zeros((self._members, self._numbers), self._dtype)
        # Before anything is started, for this is where settings that do not fit are refused.
        jax.eval_shape(self._losses, self.setup.families, self.setup.key, 0, rows[None])
        self._pool = start_pool(self._resources, self.setup, (0, 0, rows))

    def advance(self, state: SearchRuns, first: int, count: int) -> tuple[SearchRuns, Metrics]:
        """Take `count` meta-steps."""
        pool = self.pool
        lost = pool.lost
        state, metrics = super().advance(state, first, count)
        metrics["workers"] = [float(pool.alive)] * self.setup.training.runs
        metrics["lost"] = [float(pool.lost - lost)] * self.setup.training.runs
        return state, metrics

    def _on_workers(self, families: Any, key: Any, step: int, population: Any) -> Any:
        """Return what `_losses` does; slices are of one size however many workers there are."""
        pool = self.pool
        population = np.asarray(population)
        runs, members, _ = population.shape
        size = self._members
        todo = [(step, run, at) for run in range(runs) for at in range(0, members, size)]
        found: dict[Any, Any] = {}
        wanted = len(todo)
        while len(found) < wanted:
            for index, task in zip(pool.idle, list(todo), strict=False):
                _, run, at = task
                rows = population[run, at : at + size]
                # The last slice repeats its first member, so that one program does for all.
                rows = np.concatenate([rows, np.repeat(rows[:1], size - len(rows), axis=0)])
                pool.send(index, task, step, run, rows)
                todo.remove(task)
            answer = pool.receive()
            if answer.tag is None:
                continue
            if answer.lost:
                todo.insert(0, answer.tag)
            else:
                found[answer.tag] = answer.value

        def joined(run: int) -> Any:
            parts = [found[step, run, at] for at in range(0, members, size)]
            return jax.tree.map(lambda *a: np.concatenate(a)[:members], *parts)

        return jax.tree.map(lambda *a: np.stack(a), *map(joined, range(runs)))


def _mean(rows: Sequence[dict[str, Any]], name: str) -> float:
    return float(finite_mean(np.stack([np.asarray(row[name]) for row in rows])))
