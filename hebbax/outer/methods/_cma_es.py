"""`CMAES`: covariance matrix adaptation, by the `cma` package."""

import contextlib
import importlib
import io
import pickle
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import equinox as eqx
import numpy as np
from jaxtyping import PyTree

from hebbax.outer._method import AbstractMethod
from hebbax.outer._problem import AbstractProblem
from hebbax.outer.engines import SearchEngine, Setup

OWN_OPTIONS = ("popsize", "seed", "randn")
QUIET = {"verbose": -9, "verb_log": 0, "verb_disp": 0}


class CMAES(AbstractMethod):
    """CMA-ES (Hansen 2016, by his `cma` package), as in BLUR sec. 4.4 and VSML table 2.

    Every meta-step asks `cma` for a population of θ, evaluates all of them at once on the same
    tasks and batches, and tells `cma` their losses. The θ of a run is the mean of the search
    distribution, which noise misleads less than the best member seen. For up to some thousand
    numbers in θ; it needs no gradient of rule or objective.

    **Arguments:**

    - `std`: standard deviation of the first population around the first θ, `cma`'s sigma0.
    - `population`: members; None for `cma`'s own choice, 4 + 3 ln n.
    - `restarts`: how often to start anew from the first θ, with a population twice as large and
      the next seed, when one of `cma`'s termination criteria is met. After that they are
      disregarded: `steps` decides.
    - `seed`: of `cma`'s random numbers, at least 1; a run of index i has `seed` + 1000 i. None:
      from `meta_train`'s key.
    - `options`: further options of `cma.CMAOptions`, such as `{"CMA_diagonal": True}`.

    A member whose loss is not finite counts as worse than all others; a population without any
    finite one is not told.
    """

    shares: ClassVar[Literal["estimates", "members"] | None] = "members"

    std: float = eqx.field(static=True, default=0.1)
    population: int | None = eqx.field(static=True, default=None)
    restarts: int = eqx.field(static=True, default=0)
    seed: int | None = eqx.field(static=True, default=None)
    options: Mapping[str, Any] = eqx.field(static=True, default_factory=dict)

    def __check_init__(self) -> None:
        """Refuse settings out of range, and options that `cma` does not know."""
        if not 0 < self.std < float("inf"):
            raise ValueError(f"std must be positive and finite; got {self.std}.")
        if self.population is not None and self.population < 2:
            raise ValueError(f"population must be None or at least 2; got {self.population}.")
        if self.restarts < 0:
            raise ValueError(f"restarts must be at least 0; got {self.restarts}.")
        if self.seed is not None and not 1 <= self.seed < 2**31:
            raise ValueError(
                f"seed must be None or from 1 to 2**31 - 1 (0 means the clock to cma); "
                f"got {self.seed}."
            )
        import cma

        for name in self.options:
            if name in OWN_OPTIONS:
                raise ValueError(
                    f"options may not hold {name!r}: population and seed are settings of CMAES."
                )
            if name not in cma.CMAOptions.defaults():
                raise ValueError(f"options holds {name!r}, which is no option of cma.CMAOptions.")

    def engine(self, setup: Setup) -> SearchEngine:
        """Return what carries out its meta-steps in this process."""
        return SearchEngine(setup)

    def search(self, start: np.ndarray, seed: int) -> "Search":
        """Return a search that begins, see `Search`."""
        return Search(self, start, seed)

    def restore(self, arrays: dict[str, np.ndarray]) -> "Search":
        """Return the search whose state was `arrays`. **Raises:** see `Search.restore`."""
        return Search.restore(arrays)

    def fingerprint(self, theta: PyTree) -> str:
        """Return the settings, as text."""
        import cma

        shown = sorted((name, repr(value)) for name, value in self.options.items())
        return (
            f"std={self.std} population={self.population} restarts={self.restarts} "
            f"seed={self.seed} options={shown} cma={cma.__version__}"
        )

    def inner(self, tasks: int) -> int:
        """Return how many parts a step can be split into: its population."""
        return self.population or 1

    def updates(self, problem: AbstractProblem) -> float:
        """Return how many updates of a network a member of the population makes."""
        return float(problem.networks * problem.steps)


class Search:
    """One run of `cma`, with random numbers of its own.

    `cma` draws from NumPy's global generator; here that is exchanged for the search's own while
    `cma` works, so that nothing else in the process can change what it draws.

    **Arguments:**

    - `method`: the settings.
    - `start` `[n]`: the mean of the first population.
    - `seed`: of the random numbers, where the method has none.
    """

    def __init__(self, method: CMAES, start: np.ndarray, seed: int):
        self.start = np.asarray(start, np.float64)
        self.seed = seed
        self.left = method.restarts
        self._begin(method, method.population)

    def _begin(self, method: CMAES, population: int | None) -> None:
        import cma

        options = {**QUIET, **method.options, "randn": _randn}
        if population is not None:
            options["popsize"] = population
        self._random = np.random.RandomState(self.seed).get_state(legacy=False)
        with self._own_random_numbers():
            self.strategy = cma.CMAEvolutionStrategy(self.start, method.std, options)

    @property
    def population(self) -> int:
        """Members of the next population."""
        return self.strategy.popsize

    @property
    def mean(self) -> np.ndarray:
        """The mean `[n]` of the search distribution."""
        return np.asarray(self.strategy.mean)

    @property
    def std(self) -> float:
        """The overall standard deviation, `cma`'s sigma."""
        return float(self.strategy.sigma)

    def ask(self) -> np.ndarray:
        """Return a population `[members, n]`."""
        with self._own_random_numbers():
            self._asked = self.strategy.ask()
        return np.stack(self._asked)

    def tell(self, losses: np.ndarray) -> None:
        """Say what each member of the last population was worth, `[members]`."""
        finite = np.isfinite(losses)
        if finite.any():
            worst = losses[finite].max()
            losses = np.where(finite, losses, worst + abs(worst) + 1)
            with self._own_random_numbers():
                self.strategy.tell(self._asked, losses.tolist())

    def restart_if_over(self, method: CMAES) -> bool:
        """Start anew, larger, if `cma` would stop and a restart is left; says whether it did."""
        if not self.left or not self.strategy.stop():
            return False
        self.left -= 1
        self.seed += 1
        self._begin(method, 2 * self.population)
        return True

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the search is, as arrays; `restore` is its inverse."""
        held = (self.strategy, self._random, self.start, self.seed, self.left)
        file = io.BytesIO()
        _Pickler(file).dump(held)
        return {"cma": np.frombuffer(file.getvalue(), np.uint8)}

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray]) -> "Search":
        """Return the search whose `state` was `arrays`.

        **Raises:** `ValueError` if they hold anything else.
        """
        search = object.__new__(cls)
        try:
            held = _Unpickler(io.BytesIO(arrays["cma"].tobytes())).load()
            search.strategy, search._random, search.start, search.seed, search.left = held
        except (KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise ValueError(f"the state of cma cannot be read: {error}") from error
        return search

    @contextlib.contextmanager
    def _own_random_numbers(self) -> Iterator[None]:
        before = np.random.get_state(legacy=False)  # noqa: NPY002
        np.random.set_state(self._random)  # noqa: NPY002
        try:
            yield
        finally:
            self._random = np.random.get_state(legacy=False)  # noqa: NPY002
            np.random.set_state(before)  # noqa: NPY002


def _randn(*shape: int) -> np.ndarray:
    # A function of a module is pickled by name; NumPy's own would bring its generator along.
    return np.random.randn(*shape)  # noqa: NPY002


class _Pickler(pickle.Pickler):
    """Writes NumPy's own `randn`, which `cma` takes when it leaves a diagonal, as ours."""

    def persistent_id(self, obj: Any) -> str | None:
        return "randn" if obj is np.random.randn else None


class _Unpickler(pickle.Unpickler):
    """Builds objects of `cma` and NumPy's arrays only, so that a checkpoint cannot run programs."""

    _ALLOWED: ClassVar = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy.linalg", "eigh"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        *(("builtins", name) for name in ("bytearray", "complex", "frozenset", "range", "set")),
        (__name__, "_randn"),
    }

    _FUNCTIONS: ClassVar = ("_pass", "is_feasible")

    def persistent_load(self, pid: Any) -> Any:
        if pid != "randn":
            raise pickle.UnpicklingError(f"{pid!r} does not belong there")
        return _randn

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) in self._ALLOWED:
            return super().find_class(module_name, global_name)
        if module_name.split(".")[0] == "cma":
            found = getattr(importlib.import_module(module_name), global_name, None)
            if isinstance(found, type) or global_name in self._FUNCTIONS:
                return found
        raise pickle.UnpicklingError(f"{module_name}.{global_name} does not belong there")
