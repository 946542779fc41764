"""The engine of methods that are pure functions: many meta-steps in one compiled program."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from hebbax._trees import from_arrays, to_arrays
from hebbax.devices import gather
from hebbax.outer.engines._engine import AbstractEngine, Metrics, Setup, Streaks


class DescentRuns(eqx.Module):
    """Runs side by side, all arrays with a leading axis of runs.

    **Fields:**

    - `theta`, `method`: meta-parameters and the method's state.
    - `streaks`: how long each run has had no finite meta-step.
    """

    theta: PyTree
    method: PyTree
    streaks: Streaks


class CompiledEngine(AbstractEngine[DescentRuns]):
    """Meta-steps of an `AbstractDescent`, in a loop on the device."""

    def __init__(self, setup: Setup):
        self.setup = setup
        self.method: Any = setup.training.method
        self._families = setup.layout.copy(setup.families)
        self._key = setup.layout.copy(setup.key)
        self._program: Any = jax.jit(self._steps)

    def start(self, thetas: PyTree, key: PRNGKeyArray) -> DescentRuns:
        """Return the state before the first meta-step."""

        def init(families: Any, thetas: PyTree, keys: Any) -> PyTree:
            problem = self.setup.problem(families).alone()
            return jax.vmap(lambda t, k: self.method.init(problem, t, k))(thetas, keys)

        keys = jax.random.split(key, self.setup.training.runs)
        states = jax.jit(init)(self.setup.families, thetas, keys)
        runs = DescentRuns(thetas, states, Streaks.none(self.setup.training.runs))
        return self.setup.layout.split_runs(runs)

    def compile(self, state: DescentRuns) -> None:
        """Compile the loop."""
        lowered = self._program.lower(self._families, state, self._key, 0, 1)
        self._program = lowered.compile()

    @property
    def program(self) -> Any:
        """What `compile` has made, for questions about its memory."""
        return self._program

    def advance(self, state: DescentRuns, first: int, count: int) -> tuple[DescentRuns, Metrics]:
        """Take `count` meta-steps."""
        state, metrics = self._program(self._families, state, self._key, first, count)
        return state, {name: value.tolist() for name, value in metrics.items()}

    def thetas(self, state: DescentRuns) -> PyTree:
        """Return what every run has found, see `AbstractDescent.solution`."""
        if self.method.average is None:
            return state.theta

        def found(state: DescentRuns) -> PyTree:
            found = jax.vmap(self.method.solution)(state.theta, state.method.optimizer)
            return self.setup.layout.by_runs(found)

        return jax.jit(found)(state)

    def streaks(self, state: DescentRuns) -> tuple[np.ndarray, np.ndarray]:
        """Return how long each run has had no finite step, and since when."""
        length, since = gather(state.streaks)
        return np.asarray(length), np.asarray(since)

    def replace_runs(
        self, state: DescentRuns, source: DescentRuns, origin: Sequence[int | None]
    ) -> DescentRuns:
        """Put runs of `source` in the place of runs."""
        mine = jnp.asarray([run is None for run in origin])
        index = jnp.asarray([0 if run is None else run for run in origin])

        def replace(state: DescentRuns, source: DescentRuns) -> DescentRuns:
            def choose(own: Any, other: Any) -> Any:
                return jnp.where(mine.reshape(-1, *(1,) * (own.ndim - 1)), own, other[index])

            return self.setup.layout.by_runs(jax.tree.map(choose, state, source))

        return jax.jit(replace)(state, source)

    def to_arrays(self, state: DescentRuns) -> dict[str, np.ndarray]:
        """Return all arrays, by name."""
        return to_arrays(gather(state))

    def from_arrays(self, arrays: dict[str, np.ndarray], like: DescentRuns) -> DescentRuns:
        """Return the state whose arrays these are."""
        skeleton = jax.eval_shape(lambda: like)
        return self.setup.layout.split_runs(from_arrays(skeleton, arrays))

    def _steps(
        self, families: Any, state: DescentRuns, key: PRNGKeyArray, first: Any, count: Any
    ) -> tuple[DescentRuns, Any]:
        # Compiled as a part of this program; a `jit` of its own so that it is traced once, for the
        # metrics' names here and for the loop.
        one = jax.jit(self._step)
        shapes = jax.eval_shape(one, families, state, key, jax.ShapeDtypeStruct((), jnp.int32))[1]
        nothing = {n: (jnp.zeros(s.shape), jnp.zeros(s.shape)) for n, s in shapes.items()}

        def body(index: Any, carried: Any) -> Any:
            state, sums = carried
            state, metrics = one(families, state, key, jnp.asarray(first + index, jnp.int32))
            for name, value in metrics.items():
                total, number = sums[name]
                good = jnp.isfinite(value)
                sums[name] = (total + jnp.where(good, value, 0), number + good.astype(number.dtype))
            return state, sums

        state, sums = jax.lax.fori_loop(0, count, body, (state, nothing))
        means = {name: total / number for name, (total, number) in sums.items()}
        return self.setup.layout.by_runs(state), self.setup.layout.whole(means)

    def _step(
        self, families: Any, state: DescentRuns, key: PRNGKeyArray, step: Any
    ) -> tuple[DescentRuns, Any]:
        problem = self.setup.problem(families)
        theta, method, metrics = jax.vmap(
            lambda t, s, k: self.method.step(problem, t, s, k),
            in_axes=(0, 0, self.setup.key_axis),
        )(state.theta, state.method, self.setup.step_key(key, step))
        streaks = state.streaks.after(metrics["nonfinite"] >= 1, step)
        return DescentRuns(theta, method, streaks), metrics
