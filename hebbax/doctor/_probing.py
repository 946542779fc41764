"""`Prober`: raw measurements of the meta-gradient, one compiled program for all unroll lengths."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PRNGKeyArray, PyTree

from hebbax.doctor._memory import Memory
from hebbax.outer import AbstractProblem, Particle

SPACINGS = tuple(10 ** (-1 - i / 2) for i in range(8))
"""Steps of the finite differences, as shares of θ's root mean square.

In float32 too long a step meets the curvature, too short a one the rounding of the loss. Which is
best depends on both, so all are tried.
"""

Factory = Callable[[PyTree, int], AbstractProblem]
"""Makes a problem of some data and a number of updates; called inside a compiled function."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How much is sampled at each unroll length.

    **Arguments:**

    - `episodes`: lifetimes differentiated, each with tasks, fresh networks and batches of its own.
    - `pairs`: antithetic pairs θ ± ε of the evolution strategy; each lives in one of the episodes.
    - `std`: standard deviation of ε on every number of θ.
    - `checks`: random directions for finite differences; each in one of the episodes.

    **Raises:** `ValueError` for settings out of range.
    """

    episodes: int = 16
    pairs: int = 32
    std: float = 0.01
    checks: int = 8

    def __post_init__(self) -> None:
        """Refuse samples too small for a variance."""
        for name, low in {"episodes": 2, "pairs": 2, "checks": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} must be at least {low}; got {getattr(self, name)}.")
        if not 0 < self.std < float("inf"):
            raise ValueError(f"std must be positive and finite; got {self.std}.")


class Probe(NamedTuple):
    """What was measured at one unroll length; n numbers in θ.

    **Fields:**

    - `losses` `[episodes]`, `gradients` `[episodes, n]`: of fresh lifetimes, by reverse mode.
    - `directions` `[checks + pairs, n]`: standard normal, those of the checks first.
    - `spacings` `[len(SPACINGS)]`: of the finite differences.
    - `check_slopes` `[len(SPACINGS), checks]`, `pair_slopes` `[pairs]`: central differences along
      the directions, per unit of them; the pairs' at the evolution strategy's `std`.
    - `compile_seconds`, `seconds`: to compile what was not compiled for another length, and to run.
    """

    losses: np.ndarray
    gradients: np.ndarray
    directions: np.ndarray
    spacings: np.ndarray
    check_slopes: np.ndarray
    pair_slopes: np.ndarray
    compile_seconds: float
    seconds: float


class Prober:
    """Measures the meta-gradient at one θ, at one unroll length after the other.

    **Arguments:**

    - `make`, `data`: `make(data, unroll)` is the problem with lifetimes of so many updates.
    - `theta`: where the gradient is taken; floating-point numbers only.
    - `longest`: the longest lifetime to be asked for. One program serves all: it passes over the
      updates that a shorter one does not have. 0: the problem cannot do that, and each
      length has a program of its own.
    - `key`: decides episodes and directions, the same at all lengths.
    """

    def __init__(
        self,
        make: Factory,
        data: PyTree,
        theta: PyTree,
        longest: int,
        sampling: Sampling,
        key: PRNGKeyArray,
    ):
        self._make, self._data, self._longest, self.sampling = make, data, longest, sampling
        self._flat, self._unravel = ravel_pytree(theta)
        k_episodes, k_directions = jax.random.split(key)
        self._keys = jax.random.split(k_episodes, sampling.episodes)
        shape = (sampling.checks + sampling.pairs, self._flat.size)
        self._directions = jax.random.normal(k_directions, shape, self._flat.dtype)
        scale = float(jnp.sqrt(jnp.mean(self._flat**2))) or 1.0
        self._spacings = scale * np.asarray(SPACINGS)
        self._programs: dict[int, Any] = {}

    def probe(self, unroll: int) -> Probe:
        """Measure lifetimes of `unroll` updates."""
        spacings, rows = self._spacings, _rows(self.sampling, self._spacings)
        taken = jnp.asarray(unroll) if self._longest else None
        arguments = (self._data, self._flat, self._keys, self._directions, rows, taken)
        begin = time.perf_counter()
        length = self._longest or unroll
        if length not in self._programs:
            measure = functools.partial(self._measure, length)
            self._programs[length] = jax.jit(measure).lower(*arguments).compile()
        compiled = time.perf_counter()
        (losses, gradients), perturbed = jax.block_until_ready(self._programs[length](*arguments))
        end = time.perf_counter()
        signed = np.asarray(perturbed, np.float64).reshape(-1, 2)
        # Both may be infinite; what is not finite is left out where it is used.
        with np.errstate(invalid="ignore"):
            differences = (signed[:, 0] - signed[:, 1]) / 2
        split = len(spacings) * self.sampling.checks
        return Probe(
            losses=np.asarray(losses, np.float64),
            gradients=np.asarray(gradients, np.float64),
            directions=np.asarray(self._directions, np.float64),
            spacings=spacings,
            check_slopes=differences[:split].reshape(len(spacings), -1) / spacings[:, None],
            pair_slopes=differences[split:] / self.sampling.std,
            compile_seconds=compiled - begin,
            seconds=end - compiled,
        )

    def truncations(self, unroll: int, lifetime: int) -> tuple[np.ndarray, np.ndarray]:
        """Measure the gradients of the mean loss of all truncations of a lifetime.

        Cut at each truncation, and not cut, `[episodes, n]` both. `unroll` divides `lifetime`.
        """

        def measure(data: PyTree, flat: Any, keys: Any) -> Any:
            problem = self._make(data, lifetime)

            def loss(flat: Any, key: Any, through: Any) -> Any:
                return _lifetime_loss(problem, self._unravel(flat), key, unroll, through)

            both = jnp.tile(jnp.asarray([False, True]), len(keys))
            return jax.lax.map(lambda row: jax.grad(loss)(flat, *row), (jnp.repeat(keys, 2), both))

        gradients = jax.jit(measure)(self._data, self._flat, self._keys)
        numbers = np.asarray(gradients, np.float64)
        return numbers[0::2], numbers[1::2]

    def memory(self, lifetime: int, enough: float) -> Memory:
        """Return what one gradient of a whole lifetime needs.

        It is the program's of all lengths, which needs no less, if its temporaries are at most
        `enough` bytes. Call `probe` before.
        """
        bound = Memory.of(self._programs[self._longest or lifetime])
        if bound.temporaries <= enough:
            return bound

        def gradient(data: PyTree, flat: Any, key: Any) -> Any:
            problem = self._make(data, lifetime)
            return jax.grad(lambda f: problem.loss(self._unravel(f), key)[0])(flat)

        lowered = jax.jit(gradient).lower(self._data, self._flat, self._keys[0])
        return Memory.of(lowered.compile())

    def _measure(
        self,
        unroll: int,
        data: PyTree,
        flat: Any,
        keys: Any,
        directions: Any,
        rows: Any,
        taken: Any,
    ) -> Any:
        problem = self._make(data, unroll)

        def loss(flat: Any, key: Any) -> Any:
            theta = self._unravel(flat)
            if taken is None:
                return problem.loss(theta, key)[0]
            fresh = problem.begin(theta, key)
            fresh = eqx.tree_at(lambda p: p.position, fresh, 0)
            return problem.advance(theta, fresh, unroll, taken)[1][0]

        # One after the other, so that memory is that of a single lifetime.
        gradients = jax.lax.map(lambda k: jax.value_and_grad(loss)(flat, k), keys)
        perturbed = jax.lax.map(
            lambda row: loss(flat + row[2] * directions[row[0]], keys[row[1]]), rows
        )
        return gradients, perturbed


def episode_of(index: Any, sampling: Sampling) -> Any:
    """Return the index of the episode that check or pair `index` lives in."""
    return index % sampling.episodes


def _rows(sampling: Sampling, spacings: np.ndarray) -> tuple[Any, Any, Any]:
    """Return direction, episode and signed scale of every evaluation of a perturbed θ."""
    checks, pairs = np.arange(sampling.checks), np.arange(sampling.pairs)
    direction = np.concatenate([np.tile(checks, len(spacings)), sampling.checks + pairs])
    episode = episode_of(np.concatenate([np.tile(checks, len(spacings)), pairs]), sampling)
    scale = np.concatenate([
        np.repeat(spacings, sampling.checks), np.full(sampling.pairs, sampling.std)
    ])  # fmt: skip
    return (
        jnp.asarray(np.repeat(direction, 2)),
        jnp.asarray(np.repeat(episode, 2)),
        jnp.asarray(np.stack([scale, -scale], axis=1).ravel(), float),
    )


def _lifetime_loss(
    problem: AbstractProblem, theta: PyTree, key: PRNGKeyArray, unroll: int, through: Any
) -> Any:
    """Return the mean loss of a lifetime's truncations of `unroll` updates.

    Its gradient reaches back to the beginning where `through` is true, else to the beginning of
    each truncation. One program serves both, with the same numbers but for the gradient.
    """

    def truncation(particle: Particle, _: Any) -> tuple[Particle, Any]:
        # Fresh networks are made of θ and belong to the first truncation.
        linked = through | (particle.position == 0)

        def cut(array: Any) -> Any:
            if not jnp.issubdtype(array.dtype, jnp.inexact):
                return array
            return jnp.where(linked, array, jax.lax.stop_gradient(array))

        nets = jax.tree.map(cut, particle.nets)
        before = eqx.tree_at(lambda p: p.nets, particle, nets)
        after, (loss, _) = problem.advance(theta, before, unroll)
        return after, loss

    count = problem.lifetime // unroll
    _, losses = jax.lax.scan(truncation, problem.begin(theta, key), None, length=count)
    return jnp.mean(losses)
