"""The engine of `CMAES`: the search runs in Python, its population on the devices."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PRNGKeyArray, PyTree

from hebbax.outer.engines._engine import AbstractEngine, Metrics, Setup

APART = 1000
"""Between the seeds of two runs: more than there will be restarts."""


class SearchRuns(NamedTuple):
    """Runs side by side.

    **Fields:**

    - `searches`: the state of each run, as arrays.
    - `means` `[runs, n]`: the mean of each.
    - `length`, `since` `[runs]`: as in `Streaks`.
    """

    searches: tuple[dict[str, np.ndarray], ...]
    means: np.ndarray
    length: np.ndarray
    since: np.ndarray


class SearchEngine(AbstractEngine[SearchRuns]):
    """Meta-steps of `CMAES`: ask, evaluate all members of all runs in one call, tell."""

    def __init__(self, setup: Setup):
        self.setup = setup
        self.method: Any = setup.training.method
        self._families = setup.layout.copy(setup.families)
        self._key = setup.layout.copy(setup.key)
        skeleton = jax.eval_shape(setup.training.rule.init, setup.key)
        example = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), skeleton)
        flat, self._unravel = ravel_pytree(example)
        self._numbers, self._dtype = flat.size, flat.dtype
        self._evaluate: Any = self._on_devices
        self._programs: dict[int, Any] = {}

    def start(self, thetas: PyTree, key: PRNGKeyArray) -> SearchRuns:
        """Return the state before the first meta-step."""
        flat = np.asarray(jax.vmap(lambda t: ravel_pytree(t)[0])(thetas), np.float64)
        drawn = int(jax.random.randint(key, (), 1, 2**31 - 2**20))
        seed = drawn if self.method.seed is None else self.method.seed
        searches = [self.method.search(row, seed + APART * run) for run, row in enumerate(flat)]
        zeros = np.zeros(len(flat), np.int32)
        return _held(searches, zeros, zeros)

    def compile(self, state: SearchRuns) -> None:
        """Compile the evaluation of a population."""
        members = max(self.method.restore(held).population for held in state.searches)
        population = jnp.zeros((self.setup.training.runs, members, self._numbers), self._dtype)
        jax.block_until_ready(self._evaluate(self._families, self._key, 0, population))

    @property
    def program(self) -> Any:
        """What evaluates the largest population so far, for questions about its memory."""
        return self._programs[max(self._programs)]

    def _on_devices(self, families: Any, key: PRNGKeyArray, step: Any, population: Any) -> Any:
        # A restart has a larger population and is compiled for when it comes.
        members = population.shape[1]
        if members not in self._programs:
            lowered = jax.jit(self._losses).lower(families, key, step, population)
            self._programs[members] = lowered.compile()
        return self._programs[members](families, key, step, population)

    def advance(self, state: SearchRuns, first: int, count: int) -> tuple[SearchRuns, Metrics]:
        """Take `count` meta-steps."""
        searches = [self.method.restore(held) for held in state.searches]
        length, since = state.length.copy(), state.since.copy()
        sums: dict[str, list[np.ndarray]] = {}
        for step in range(first, first + count):
            measured = self._step(searches, step)
            bad = measured["nonfinite"] >= 1
            since = np.where(bad & (length == 0), step, since).astype(np.int32)
            length = np.where(bad, length + 1, 0).astype(np.int32)
            for name, value in measured.items():
                sums.setdefault(name, []).append(value)
        metrics = {name: finite_mean(np.stack(rows)).tolist() for name, rows in sums.items()}
        return _held(searches, length, since), metrics

    def _step(self, searches: list[Any], step: int) -> dict[str, np.ndarray]:
        asked = [search.ask() for search in searches]
        members = max(map(len, asked))
        # Runs that have restarted are larger; the others repeat their first member to match.
        padded = [np.concatenate([p, np.repeat(p[:1], members - len(p), axis=0)]) for p in asked]
        losses, metrics = self._evaluate(
            self._families, self._key, step, jnp.asarray(np.stack(padded), self._dtype)
        )
        losses = np.asarray(losses, np.float64)
        measured = {
            name: np.asarray([np.mean(row[: len(p)]) for row, p in zip(v, asked, strict=True)])
            for name, v in jax.tree.map(np.asarray, metrics).items()
        }
        rows = [row[: len(p)] for row, p in zip(losses, asked, strict=True)]
        for search, row in zip(searches, rows, strict=True):
            search.tell(row)
            search.restart_if_over(self.method)
        return {
            "loss": np.asarray([np.mean(row[np.isfinite(row)]) if np.isfinite(row).any()
                                else np.nan for row in rows]),
            "best_loss": np.asarray([np.min(np.where(np.isfinite(row), row, np.inf))
                                     for row in rows]),
            "nonfinite": np.asarray([1 - np.mean(np.isfinite(row)) for row in rows]),
            "std": np.asarray([search.std for search in searches]),
            "population": np.asarray([float(search.population) for search in searches]),
            **measured,
        }  # fmt: skip

    def thetas(self, state: SearchRuns) -> PyTree:
        """Return the mean of every run's distribution."""
        return jax.vmap(self._unravel)(jnp.asarray(state.means, self._dtype))

    def streaks(self, state: SearchRuns) -> tuple[np.ndarray, np.ndarray]:
        """Return how long each run has had no finite member, and since when."""
        return state.length, state.since

    def replace_runs(
        self, state: SearchRuns, source: SearchRuns, origin: Sequence[int | None]
    ) -> SearchRuns:
        """Put runs of `source` in the place of runs; copies draw the same random numbers."""
        rows = [
            (state, run) if other is None else (source, other) for run, other in enumerate(origin)
        ]
        return SearchRuns(
            tuple(held.searches[run] for held, run in rows),
            *(
                np.stack([getattr(held, name)[run] for held, run in rows])
                for name in ("means", "length", "since")
            ),
        )

    def to_arrays(self, state: SearchRuns) -> dict[str, np.ndarray]:
        """Return all that the state is."""
        arrays = {
            f"search.{i}.{name}": array
            for i, held in enumerate(state.searches)
            for name, array in held.items()
        }
        return {**arrays, "length": state.length, "since": state.since}

    def from_arrays(self, arrays: dict[str, np.ndarray], like: SearchRuns) -> SearchRuns:
        """Return the state whose arrays these are."""
        if "search.0" in arrays:
            raise ValueError(
                "it holds the state of cma as a pickle of an older version of hebbax, which can "
                "run programs and is not read any more"
            )
        held: list[dict[str, np.ndarray]] = [{} for _ in like.searches]
        for name, array in arrays.items():
            if name.startswith("search."):
                index, _, rest = name.removeprefix("search.").partition(".")
                if not (index.isdecimal() and int(index) < len(held)):
                    raise ValueError(f"the array {name!r} does not belong there")
                held[int(index)][rest] = array
        searches = [self.method.restore(each) for each in held]
        try:
            length, since = arrays["length"], arrays["since"]
        except KeyError as error:
            raise ValueError(f"the array {error} is missing") from error
        state = _held(searches, length, since)
        if state.means.shape != like.means.shape:
            raise ValueError(f"θ holds {state.means.shape[1]} numbers, not {like.means.shape[1]}")
        return state

    @functools.cached_property
    def _members(self) -> int:
        # Bounds decide nothing here, and any start will do without them.
        options = {n: v for n, v in self.method.options.items() if n != "bounds"}
        method = dataclasses.replace(self.method, options=options)
        return method.search(np.zeros(self._numbers), seed=1).population

    def updates_per_step(self) -> float:
        """Return how many updates of networks a meta-step makes, before any restart."""
        return super().updates_per_step() * self._members

    def _losses(self, families: Any, key: PRNGKeyArray, step: Any, population: Any) -> Any:
        """Return losses and metrics `[runs, members]` of a population `[runs, members, n]`."""
        problem = self.setup.problem(families)
        part = problem.alone()

        def run(population: Any, key: PRNGKeyArray) -> Any:
            population = self.setup.layout.split_inner(population)
            return jax.vmap(lambda flat: part.loss(self._unravel(flat), key))(population)

        keys = self.setup.step_key(key, step)
        out = jax.vmap(run, in_axes=(0, self.setup.key_axis))(population, keys)
        return self.setup.layout.whole(out)


def _held(searches: list[Any], length: np.ndarray, since: np.ndarray) -> SearchRuns:
    return SearchRuns(
        tuple(search.state() for search in searches),
        np.stack([search.mean for search in searches]),
        length,
        since,
    )


def finite_mean(rows: np.ndarray) -> np.ndarray:
    """Average over the leading axis, leaving out what is not finite; NaN where nothing is."""
    good = np.isfinite(rows)
    total = np.sum(np.where(good, rows, 0), axis=0)
    number = np.sum(good, axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
