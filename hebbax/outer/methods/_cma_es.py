"""`CMAES`: covariance matrix adaptation, by the `cma` package."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import equinox as eqx
import numpy as np
from jaxtyping import PyTree

from hebbax.outer._method import AbstractMethod
from hebbax.outer._problem import AbstractProblem
from hebbax.outer.engines import SearchEngine, Setup
from hebbax.outer.methods._cma_options import check_options
from hebbax.outer.methods._cma_state import set_arrays, to_arrays

QUIET = {"verbose": -10, "verb_log": 0, "verb_disp": 0, "seed": np.nan}
"""Below -9 `cma` does not look for a file of options in the current folder."""


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
    - `options`: further options of `cma.CMAOptions`, such as `{"CMA_diagonal": True}` or
      `{"bounds": [-1, 1]}`; all that are numbers or lists of them, and `BoundaryHandler`. With
      bounds, scales and fixed numbers, what is evaluated and returned is what `cma` calls the
      phenotype: θ within the bounds.

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
        check_options(self.options)

    def engine(self, setup: Setup) -> SearchEngine:
        """Return what carries out its meta-steps in this process."""
        return SearchEngine(setup)

    def search(self, start: np.ndarray, seed: int) -> "Search":
        """Return a search that begins, see `Search`."""
        return Search(self, start, seed)

    def restore(self, arrays: dict[str, np.ndarray]) -> "Search":
        """Return the search whose state was `arrays`. **Raises:** see `Search.restore`."""
        return Search.restore(self, arrays)

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
        return float(problem.networks * problem.lifetime)


class Search:
    """One run of `cma`, with random numbers of its own.

    **Arguments:**

    - `method`: the settings.
    - `start` `[n]`: the mean of the first population.
    - `seed`: of the random numbers, where the method has none.

    **Raises:** `ValueError` if `start` lies outside of the method's bounds.
    """

    def __init__(self, method: CMAES, start: np.ndarray, seed: int):
        self.start = np.asarray(start, np.float64)
        self.seed = seed
        self.left = method.restarts
        self._begin(method, method.population)

    def _begin(self, method: CMAES, size: int | None) -> None:
        import cma

        self._size = size
        self._random = np.random.RandomState(self.seed)
        options = {**QUIET, **method.options, "randn": self._random.randn}
        if size is not None:
            options["popsize"] = size
        bounds = options.get("bounds")
        if not cma.boundary_handler.BoundTransform(bounds).is_in_bounds(self.start):
            raise ValueError(
                f"the first θ must lie within the bounds {bounds!r} of CMAES; its numbers reach "
                f"from {self.start.min():g} to {self.start.max():g}."
            )
        handler = options.get("BoundaryHandler")
        if isinstance(handler, str):
            options["BoundaryHandler"] = getattr(cma.boundary_handler, handler)
        with warnings.catch_warnings():
            # cma would have scales and fixed numbers be the objective's business.
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            try:
                self.strategy = cma.CMAEvolutionStrategy(self.start, method.std, options)
            except (AssertionError, IndexError, TypeError, ValueError) as error:
                raise ValueError(
                    f"cma cannot begin from {len(self.start)} numbers with the options "
                    f"{dict(method.options)}: {error}"
                ) from error
        if isinstance(self.strategy.adapt_sigma, cma.sigma_adaptation.CMAAdaptSigmaTPA):
            adapt: Any = self.strategy.adapt_sigma
            adapt.check_consistency = self._check_consistency

    def _check_consistency(self, es: Any) -> None:
        # In place of a check of cma's own coordinates, which draws two from NumPy's global numbers.
        if es.countiter > 3:
            self._random.randint(0, es.N)
            self._random.randint(0, es.N, 1)

    @property
    def population(self) -> int:
        """Members of the next population."""
        return self.strategy.popsize

    @property
    def mean(self) -> np.ndarray:
        """The mean `[n]` of the search distribution, within the bounds."""
        return np.asarray(self.strategy.to_phenotype(self.strategy.mean))

    @property
    def std(self) -> float:
        """The overall standard deviation, `cma`'s sigma."""
        return float(self.strategy.sigma)

    def ask(self) -> np.ndarray:
        """Return a population `[members, n]`."""
        directions = [row.copy() for row in self.strategy.pop_injection_directions]
        self._asked, self._directions = self.strategy.ask(), directions
        return np.stack(self._asked)

    def tell(self, losses: np.ndarray) -> None:
        """Say what each member of the last population was worth, `[members]`."""
        strategy, finite = self.strategy, np.isfinite(losses)
        if not finite.any():
            # As if it had not been asked for, but for the random numbers.
            strategy.pop_injection_directions = self._directions
            strategy.number_of_solutions_asked = 0
            strategy._flgtelldone = True
            strategy.sent_solutions.clear()
            strategy._injected_solutions_archive.clear()
            return
        worst = losses[finite].max()
        losses = np.where(finite, losses, worst + abs(worst) + 1)
        strategy.tell(self._asked, losses.tolist())
        # When a diagonal becomes full cma makes a sampler that draws from NumPy's global numbers.
        strategy.sm.randn = self._random.randn

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
        bits: Any = self._random.get_state(legacy=False)
        gauss = [bits["state"]["pos"], bits["has_gauss"]]
        counts = [self.seed, self.left, -1 if self._size is None else self._size]
        own = {
            "start": self.start,
            "counts": np.asarray(counts, np.int64),
            "random": bits["state"]["key"],
            "random.counts": np.asarray(gauss, np.int64),
            "random.gauss": np.asarray(bits["gauss"], np.float64),
        }
        return own | {f"cma.{name}": a for name, a in to_arrays(self.strategy).items()}

    @classmethod
    def restore(cls, method: CMAES, arrays: dict[str, np.ndarray]) -> "Search":
        """Return the search by `method` whose `state` was `arrays`.

        **Raises:** `ValueError` if they hold anything else.
        """
        from cma.utilities.utils import ElapsedWCTime

        search = object.__new__(cls)
        try:
            search.start = np.array(arrays["start"])
            search.seed, search.left, size = map(int, arrays["counts"])
            search._begin(method, None if size < 0 else size)
            pos, has_gauss = map(int, arrays["random.counts"])
            state = {"key": arrays["random"], "pos": pos}
            gauss = {"has_gauss": has_gauss, "gauss": float(arrays["random.gauss"])}
            held = {n.removeprefix("cma."): a for n, a in arrays.items() if n.startswith("cma.")}
            set_arrays(search.strategy, held, search._random.randn)
            search.strategy.timer = ElapsedWCTime()
            search._random.set_state({"bit_generator": "MT19937", "state": state, **gauss})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the state of cma cannot be read: {error}") from error
        return search
