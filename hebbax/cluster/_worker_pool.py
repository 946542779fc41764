"""A pool of Ray actors, each replaced by a fresh one when it is lost."""

import contextlib
import dataclasses
import importlib
import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hebbax.cluster._workers import Place, Worker

STORE = 256 * 2**20
"""Bytes of shared memory that a local cluster may use for what is sent around, at least."""

LOOPBACK = "127.0.0.1"

INLINE = 64 * 2**10
"""Up to so many bytes are faster sent along with a call than kept in shared memory."""

REPLACED = 3
"""So many losses of each worker, and not one answer between them, are no accident."""


def import_ray() -> Any:
    """Return the module. **Raises:** `ModuleNotFoundError` that says how to install it."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "workers=Ray(...) needs the package ray: pip install 'hebbax[ray]'."
        ) from error
    return ray


class Answer(NamedTuple):
    """What came from a worker.

    **Fields:**

    - `tag`: of the call that it answers; None if it only says that a worker is ready.
    - `value`: the result; None if there is none.
    - `lost`: whether the worker was lost, and what it was doing with it.
    """

    tag: Any
    value: Any = None
    lost: bool = False


@dataclasses.dataclass(frozen=True)
class Resources:
    """How many workers there are, what each takes, and where.

    **Fields:** `workers`, `cpus`, `gpus`, `address`, `patience`, as in `Ray`.
    """

    workers: int
    cpus: float
    gpus: float
    address: str | None
    patience: float


class WorkerPool:
    """Workers, each of which does one thing at a time.

    Connects to the cluster at `address`, or starts one on this machine unless the process has
    Ray initialised already; `close` ends what was started or connected to here, and no more.

    **Arguments:**

    - `resources`: how many workers, and what they take.
    - `setup`: what they work on; anything that pickles.
    - `rehearsal`: arguments of a call like those to come, to compile with.
    - `born`: how many workers the run has had before.
    """

    def __init__(
        self,
        resources: Resources,
        setup: Any,
        rehearsal: Sequence[Any],
        born: int = 0,
    ):
        self._ray = import_ray()
        workers, cpus, gpus = resources.workers, resources.cpus, resources.gpus
        self._patience, self._rehearsal = resources.patience, tuple(rehearsal)
        job = _pickled(self._ray, setup)
        self._opened = not self._ray.is_initialized()
        if self._opened:
            _open(
                self._ray,
                resources.address,
                workers * cpus,
                workers * gpus,
                max(STORE, 4 * len(job)),
            )
        self.born, self.lost = born, 0
        self.pids: dict[int, int] = {}
        self._fruitless = 0
        self._actors: dict[int, Any] = {}
        self._calls: dict[Any, tuple[int, Any]] = {}
        self._options = {"num_cpus": cpus, "num_gpus": gpus, "max_restarts": 0}
        self._place = self._ray.put(Place.like_here(cpus, gpus))
        self._job = self._ray.put(job)
        for index in range(workers):
            self._begin(index)

    @property
    def alive(self) -> int:
        """Workers that are known to be at work: neither lost nor still starting."""
        return len(self.pids)

    @property
    def idle(self) -> list[int]:
        """The indices of workers that have nothing to do."""
        busy = {index for index, _ in self._calls.values()}
        return [index for index in self.pids if index not in busy]

    def share(self, value: Any, size: int) -> Any:
        """Return what to send in place of a value of `size` bytes that many calls need."""
        return value if size <= INLINE else self._ray.put(value)

    def send(self, index: int, tag: Any, *arguments: Any) -> None:
        """Have an idle worker compute."""
        self._calls[self._actors[index].compute.remote(*arguments)] = index, tag

    def receive(self) -> Answer:
        """Wait for an answer, the oldest call's first; a lost worker is replaced.

        **Raises:** `RuntimeError` if what a worker ran failed, if nothing comes from any of them
        for `patience` seconds, or if all are lost again and again.
        """
        ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=self._patience)
        if not ready:
            raise RuntimeError(
                f"no worker has answered for {self._patience:g} s; the cluster has "
                f"{self._ray.cluster_resources().get('CPU', 0):g} CPUs in all and "
                f"{self._ray.available_resources().get('CPU', 0):g} free. If that is no fault, "
                f"give workers=Ray(..., patience=SECONDS) more."
            )
        index, tag = self._calls.pop(ready[0])
        errors = self._ray.exceptions
        try:
            value = self._ray.get(ready[0])
        except errors.RayTaskError as error:
            raise RuntimeError(f"a worker failed: {error.cause!r}") from error
        except errors.RayError as error:
            self._replace(index, error)
            return Answer(tag, lost=True)
        if tag is None:
            self.pids[index] = value
        else:
            self._fruitless = 0
        return Answer(tag, value)

    def close(self) -> None:
        """End the workers, and the cluster or connection if it was opened here."""
        if self._opened:
            self._ray.shutdown()
        elif self._ray.is_initialized():
            for actor in self._actors.values():
                self._ray.kill(actor)
        self._actors, self._calls, self.pids = {}, {}, {}

    def _begin(self, index: int) -> None:
        remote = self._ray.remote(Worker).options(**self._options)
        actor = remote.remote(self._place, self._job, self.born)
        self.born += 1
        self._actors[index] = actor
        self._calls[actor.prepare.remote(*self._rehearsal)] = index, None

    def _replace(self, index: int, error: Exception) -> None:
        self.lost += 1
        self._fruitless += 1
        self.pids.pop(index, None)
        if self._fruitless > REPLACED * len(self._actors):
            raise RuntimeError(
                f"{self._fruitless} workers in a row were lost and none has sent anything; "
                f"the last: {error}"
            ) from error
        # It may live on, out of reach, and would keep its place on the cluster.
        self._ray.kill(self._actors[index])
        self._begin(index)


def _pickled(ray: Any, setup: Any) -> bytes:
    try:
        return ray.cloudpickle.dumps(setup)
    except Exception as error:
        raise ValueError(
            f"rule, families, objective and method must pickle to be sent to workers; "
            f"they do not: {error}"
        ) from error


def _open(ray: Any, address: str | None, cpus: float, gpus: float, store: int) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is not None:
        ray.init(address, **quiet)
        return
    # JAX warns of every fork; Ray's are followed by another program at once, which is safe.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        _start(ray, cpus, gpus, store, quiet)


def _start(ray: Any, cpus: float, gpus: float, store: int, quiet: dict[str, Any]) -> None:
    """Start a cluster that nothing outside of this machine can reach.

    **Raises:** `RuntimeError` if the folder for its sockets has too long a name.
    """
    settings = {
        # A cluster of one's own reports nothing to anyone, and leaves the environment's list of
        # accelerators alone: workers without one are told so by their own setting.
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        with _loopback(ray):
            ray.init(
                "local",
                num_cpus=math.ceil(cpus),
                num_gpus=math.ceil(gpus),
                include_dashboard=False,
                object_store_memory=store,
                _node_ip_address=LOOPBACK,
                **quiet,
            )
    except OSError as error:
        if "AF_UNIX" not in str(error):
            raise
        folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
        raise RuntimeError(
            f"Ray cannot start: the paths of its sockets in {folder} would be longer than the "
            f"system allows; set RAY_TMPDIR (or TMPDIR) to a folder with a shorter name."
        ) from error
    finally:
        for name in added:
            del os.environ[name]
    found = ray.util.get_node_ip_address()
    if found != LOOPBACK:
        warnings.warn(
            f"this version of Ray ({ray.__version__}) listens on {found} instead of {LOOPBACK} "
            f"alone: other machines can reach the cluster.",
            RuntimeWarning,
            stacklevel=2,
        )


@contextlib.contextmanager
def _loopback(ray: Any) -> Iterator[None]:
    # Ray takes a given 127.0.0.1 for a mistake and puts the machine's outward address in its place.
    services = importlib.import_module("ray._private.services")
    resolve = getattr(services, "resolve_ip_for_localhost", None)
    if resolve is None:
        yield
        return
    services.resolve_ip_for_localhost = lambda host: host  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        services.resolve_ip_for_localhost = resolve  # pyright: ignore[reportAttributeAccessIssue]
