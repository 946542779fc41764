"""`Ray`: meta-training by workers on a cluster, any of which may be lost at any time."""

import dataclasses
from typing import Annotated, Any

import jax

from hebbax._options import AT_LEAST_1, NOT_NEGATIVE, POSITIVE, check_options
from hebbax.cluster._engines import AsynchronousEngine, ClusterSearchEngine
from hebbax.cluster._worker_pool import Resources, import_ray
from hebbax.cluster._workers import lives
from hebbax.networks import Architectures
from hebbax.outer.engines import AbstractEngine, Setup


@dataclasses.dataclass(frozen=True)
class Ray:
    """Workers on a Ray cluster, for `meta_train(..., workers=Ray(...))`.

    With a method that follows a gradient, this is the asynchronous scheme of Metz et al. (2019).
    Each worker has tasks, particles, architecture, unroll lengths and random numbers of its own,
    estimates the meta-gradient by the method at the θ it was last given, and sends it. The learner
    waits for `batch` estimates, averages those that are finite, takes a meta-step, and gives the
    new θ to whoever asks next. An estimate made at a θ that more than `staleness` meta-steps have
    changed since is dropped.

    With `CMAES` a meta-step is as in one process: the population is evaluated in slices of
    `members` wherever a worker is free.

    **Arguments:**

    - `workers`: how many processes compute, beside the learner.
    - `batch`: estimates in a meta-step; None for half as many as workers (in Metz et al., 256 of
      512), at least 1. Each comes of as many tasks and particles as the method and `meta_train`
      say.
    - `staleness`: the most meta-steps that an estimate may lag behind.
    - `members`: members of a population of `CMAES` that a worker evaluates at once.
    - `cpus`, `gpus`: what each worker takes of the cluster. A worker uses as many threads as
      whole `cpus`, at least one, and no accelerator if `gpus` is 0.
    - `address`: of a running cluster, as `ray.init` takes it; all its machines need the same
      versions of hebbax and JAX. None for the one that this process has initialised, or else a
      local one that is just as large as is asked for here, listens on this machine's loopback
      address only, and ends with this process.
    - `patience`: seconds without a sign of any worker after which the run ends with an error;
      more than the longest compilation.

    **What is lost with what.** A worker that is lost takes with it what it was computing, and its
    particles; a fresh one with fresh particles and keys comes in its place, and a slice of a
    population is evaluated again. If the learner is killed, the same call with a `directory` goes
    on from the last checkpoint, which holds θ, the optimiser's state and the number of meta-steps,
    with workers that begin anew. Local workers end with their learner.

    **What is random.** Asynchronous runs are not reproducible: which estimates come together, and
    how old they are, depends on the workers' speed. What one key does decide is every estimate,
    given θ: that of the n-th worker started, for the m-th thing it is asked. So a single worker
    with `batch=1` makes the same run every time it is not interrupted. With `CMAES` the result
    depends neither on the number of workers nor on who is lost when: it is the same bit for bit
    on the same kind of machine, and differs by rounding from that of `meta_train` without
    workers.

    The logged lines of asynchronous runs hold the mean `age` in meta-steps of the estimates used,
    how many were dropped as `stale`; and those of all methods how many workers were `lost`, both
    since the last line, and how many `workers` are at work at the end of it. A key that a
    divergence names is the meta-step's, from which workers' keys do not follow.

    **Raises:** `ValueError` for settings out of range; `meta_train` raises `ModuleNotFoundError`
    without the package `ray`, `ValueError` for what cannot be distributed, and `RuntimeError` if
    what workers run fails, or all are lost again and again.
    """

    workers: Annotated[int, AT_LEAST_1] = 2
    batch: Annotated[int, AT_LEAST_1] | None = None
    staleness: Annotated[int, NOT_NEGATIVE] = 10
    members: Annotated[int, AT_LEAST_1] = 4
    cpus: Annotated[float, POSITIVE] = 1.0
    gpus: Annotated[float, NOT_NEGATIVE] = 0.0
    address: str | None = None
    patience: Annotated[float, POSITIVE] = 1800.0

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        check_options(self)
        # For either Ray starts a cluster that other machines can reach.
        if self.address in ("", "local"):
            raise ValueError(
                f"address must be None, for a cluster of this process, or that of a running one; "
                f"got {self.address!r}."
            )

    @property
    def enough(self) -> int:
        """Estimates in a meta-step."""
        return max(1, self.workers // 2) if self.batch is None else self.batch

    def settings(self) -> dict[str, Any]:
        """Return what decides results: not how many workers there are, unless `batch` does."""
        return {
            "name": "Ray",
            "batch": self.enough,
            "staleness": self.staleness,
            "members": self.members,
        }

    def check(self, setup: Setup) -> None:
        """Refuse what cannot be distributed.

        **Raises:** `ValueError` that says what; `ModuleNotFoundError` without ray.
        """
        ray = import_ray()
        if self.address is not None and ray.is_initialized():
            raise ValueError(
                f"address must be None where Ray is initialised already; got {self.address!r}."
            )
        if jax.process_count() > 1:
            raise ValueError(
                f"workers=Ray(...) needs a program of one process; this one has "
                f"{jax.process_count()}, joined by jax.distributed."
            )
        training = setup.training
        method = training.method
        if method.shares is None:
            raise ValueError(
                f"workers=Ray(...) needs CMAES or a method that follows a gradient; "
                f"got {type(method).__name__}."
            )
        if method.shares == "members":
            return
        if training.runs != 1:
            raise ValueError(
                f"runs must be 1 with workers=Ray(...) and {type(method).__name__}, whose "
                f"workers all serve one θ; got {training.runs}."
            )
        if isinstance(training.hidden, Architectures):
            _check_single_lives(setup, method)

    def engine(self, setup: Setup) -> AbstractEngine[Any]:
        """Return the engine whose meta-steps the workers compute."""
        self.check(setup)
        resources = Resources(self.workers, self.cpus, self.gpus, self.address, self.patience)
        if setup.training.method.shares == "members":
            return ClusterSearchEngine(setup, resources, self.members)
        return AsynchronousEngine(setup, resources, self.enough, self.staleness)


def _check_single_lives(setup: Setup, method: Any) -> None:
    """Refuse particles that would have to live side by side in networks of one size."""

    def begin(key: Any) -> Any:
        return method.begin(setup.problem(), setup.training.rule.init(key), key)

    found = lives(jax.eval_shape(begin, setup.key))
    number = max((each.left.shape[0] for each in found), default=1)
    if number > 1:
        raise ValueError(
            f"with hidden=Architectures(...) a worker lives one lifetime at a time, so particles "
            f"or pairs must be 1 (and Ray's batch larger instead); got {number}."
        )
