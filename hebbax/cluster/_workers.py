"""What runs in a cluster's workers: estimates of the meta-gradient, losses of a population.

Nothing here knows of Ray but `Worker`'s methods, which it calls; the classes that compute can be
used in any process.
"""

import dataclasses
import functools
import math
import os
import pickle
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

from hebbax._version import __version__
from hebbax.networks import Architectures, Hidden
from hebbax.outer.engines import Setup
from hebbax.outer.methods import Estimate, Lives

COMPILED = 32
"""Programs of so many architectures are kept; each holds memory."""

FLAGS = (
    "jax_enable_x64",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_disable_most_optimizations",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)
"""Settings of JAX that change numbers or the time to compile, which workers take over."""


@dataclasses.dataclass(frozen=True)
class Place:
    """What a worker is to be like.

    **Fields:**

    - `threads`: XLA's on the CPU.
    - `gpus`: how many accelerators it may use.
    - `flags`: JAX's settings, by name.
    - `versions`: of packages that must be the same, for results would differ silently.
    - `paths`: where else modules are looked for, such as the user's own beside a script.
    """

    threads: int
    gpus: float
    flags: dict[str, Any]
    versions: dict[str, str]
    paths: tuple[str, ...]

    @classmethod
    def like_here(cls, cpus: float, gpus: float) -> "Place":
        """Return one with this process's settings."""
        flags = {name: getattr(jax.config, name) for name in FLAGS if hasattr(jax.config, name)}
        paths = tuple(os.path.abspath(path) for path in sys.path)
        return cls(max(1, math.floor(cpus)), gpus, flags, _versions(), paths)

    def settle(self) -> None:
        """Make this process so; before JAX is first used in it."""
        if (found := _versions()) != self.versions:
            raise RuntimeError(
                f"the worker has {found}, the learner {self.versions}; install the same versions "
                f"on all machines of the cluster."
            )
        sys.path += [path for path in self.paths if path not in sys.path]
        # More threads than cores asked for would take those of the other workers.
        os.environ["NPROC"] = str(self.threads)
        if self.gpus == 0:
            jax.config.update("jax_platforms", "cpu")
        elif self.gpus < 1:
            # Else JAX takes three quarters of the memory, and nothing is left for the others.
            os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        for name, value in self.flags.items():
            jax.config.update(name, value)


def _versions() -> dict[str, str]:
    return {"hebbax": __version__, "jax": jax.__version__}


class Worker:
    """An actor: makes one thing at a time of what it is asked.

    **Arguments:**

    - `place`: what this process is to be like.
    - `job`: a pickled `Setup`, read once JAX is set up, for it holds arrays.
    - `number`: which of all workers of the run this is, in the order of their starts.
    """

    def __init__(self, place: Place, job: bytes, number: int):
        # Nothing that could fail: Ray says little about what fails here.
        self._place, self._job, self._number = place, job, number
        self._work: Any = None

    def prepare(self, *arguments: Any) -> int:
        """Set JAX up, compile with `arguments` like those to come, and return the process id."""
        self._place.settle()
        setup = pickle.loads(self._job)
        kind = Estimator if setup.training.method.shares == "estimates" else Evaluator
        kind(setup, self._number).compute(*arguments)
        # Anew, for the first one's random numbers have moved on; compiled programs are kept.
        self._work = kind(setup, self._number)
        return os.getpid()

    def compute(self, *arguments: Any) -> Any:
        """Compute what the setup's method asks of workers."""
        return self._work.compute(*arguments)


class Estimator:
    """One worker's particles, tasks, architecture and random numbers.

    **Arguments:**

    - `setup`: what is solved, by a method whose estimates can be shared.
    - `number`: decides all random numbers together with the setup's key.
    """

    def __init__(self, setup: Setup, number: int):
        self._setup = setup
        self._key = jax.random.fold_in(setup.key, number)
        self._count = 0
        self._lineage: int | None = None
        self._hidden = setup.training.units
        self._carried: PyTree = None

    def compute(self, lineage: int, version: int, theta: PyTree) -> Estimate:
        """Estimate the meta-gradient at θ, in numpy arrays, and carry the particles on.

        **Arguments:**

        - `lineage`: if it is another than the last time, all particles begin anew, for θ is not
          a later one of those they have lived under.
        - `version`: meta-steps that made θ.
        - `theta`: θ.
        """
        k_hidden, k_begin, k_estimate = jax.random.split(
            jax.random.fold_in(self._key, self._count), 3
        )
        self._count += 1
        setup, families = self._setup, self._setup.families
        drawn = _architectures(setup)
        if lineage != self._lineage or (drawn is not None and over(self._carried)):
            self._hidden = setup.training.units if drawn is None else drawn.draw(k_hidden)
            begin, _ = _estimate_programs(_Of(setup, self._hidden))
            self._carried = begin(families, theta, k_begin)
            self._lineage = lineage
        _, estimate = _estimate_programs(_Of(setup, self._hidden))
        found, self._carried = estimate(
            families, theta, self._carried, k_estimate, jnp.asarray(version, jnp.int32)
        )
        return jax.device_get(found)


class Evaluator:
    """Losses of members of a population; holds nothing from one call to the next."""

    def __init__(self, setup: Setup, number: int):
        self._setup = setup

    def compute(self, step: int, run: int, rows: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Return losses `[members]` and metrics of each of `rows` `[members, n]`.

        `step` is the index of the meta-step and `run` that of the run, which decide the tasks.
        """
        setup = self._setup
        key = setup.step_key(setup.key, step)
        key = key[run] if setup.training.per_run else key
        hidden, drawn = setup.training.units, _architectures(setup)
        if drawn is not None:
            # A whole population is compared on one architecture.
            hidden = drawn.draw(jax.random.fold_in(key, 1))
        losses = _losses_program(_Of(setup, hidden))
        return jax.device_get(losses(setup.families, key, rows))


def _architectures(setup: Setup) -> Architectures | None:
    hidden = setup.training.hidden
    return hidden if isinstance(hidden, Architectures) else None


class _Of:
    """A setup with other hidden layers, hashed by the object it is, for setups hold arrays."""

    def __init__(self, setup: Setup, hidden: Hidden):
        self.setup, self.hidden = setup, hidden

    def __hash__(self) -> int:
        return hash((id(self.setup), self.hidden))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Of) and (
            self.setup is other.setup and self.hidden == other.hidden
        )

    def problem(self, families: Any) -> Any:
        return dataclasses.replace(self.setup, hidden=self.hidden).problem(families)


@functools.lru_cache(COMPILED)
def _estimate_programs(of: _Of) -> tuple[Any, Any]:
    method: Any = of.setup.training.method

    def begin(families: Any, theta: PyTree, key: Any) -> PyTree:
        return method.begin(of.problem(families), theta, key)

    def estimate(families: Any, theta: PyTree, carried: PyTree, key: Any, version: Any) -> Any:
        return method.estimate(of.problem(families), theta, carried, key, version)

    return jax.jit(begin), jax.jit(estimate)


@functools.lru_cache(COMPILED)
def _losses_program(of: _Of) -> Any:
    skeleton = jax.eval_shape(of.setup.training.rule.init, of.setup.key)
    unravel = ravel_pytree(jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), skeleton))[1]

    def losses(families: Any, key: Any, rows: Any) -> Any:
        problem = of.problem(families)
        return jax.vmap(lambda flat: problem.loss(unravel(flat), key))(rows)

    return jax.jit(losses)


def lives(carried: PyTree) -> list[Lives]:
    """Return the particles in what a method carries."""
    leaves = jax.tree.leaves(carried, is_leaf=lambda part: isinstance(part, Lives))
    return [leaf for leaf in leaves if isinstance(leaf, Lives)]


def over(carried: PyTree) -> bool:
    """Whether every lifetime is; always so for methods that carry none from step to step."""
    return all(bool(np.all(np.asarray(found.left) == 0)) for found in lives(carried))
