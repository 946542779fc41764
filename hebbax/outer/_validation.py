"""Which θ of a run is the best."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from hebbax.devices import gather
from hebbax.outer.engines import Setup


@dataclasses.dataclass(frozen=True)
class Best:
    """The θ with the lowest validation loss so far.

    **Fields:**

    - `theta`: it, or the first run's initial one while none had a finite loss.
    - `loss`, `run`, `step`: its validation loss, whose it was, and when.
    """

    theta: PyTree
    loss: float = float("inf")
    run: int = 0
    step: int = 0

    def after(self, thetas: PyTree, losses: np.ndarray, step: int) -> "Best":
        """Return the better of this and of the runs' θ, whose losses `[runs]` these are."""
        losses = np.where(np.isfinite(losses), losses, np.inf)
        run = int(np.argmin(losses))
        if not losses[run] < self.loss:
            return self
        theta = jax.tree.map(lambda a: jnp.asarray(a[run]), gather(thetas))
        return Best(theta, float(losses[run]), run, step)


class Validator:
    """The mean loss of whole lifetimes on the same tasks and batches at every call.

    Lifetimes are as long as the stage of `setup` says.
    """

    def __init__(self, setup: Setup):
        self._setup, self._layout = setup, setup.layout
        key, episodes = setup.training.keys.validation, setup.training.validation
        self._families, self._key = setup.layout.copy((setup.families, key))

        def losses(families: Any, thetas: PyTree, key: PRNGKeyArray) -> Any:
            problem = dataclasses.replace(setup.problem(families).alone(), tasks=1)
            keys = jax.random.split(key, episodes)
            each = jax.lax.map(lambda k: jax.vmap(lambda t: problem.loss(t, k)[0])(thetas), keys)
            return setup.layout.whole(jnp.mean(each, axis=0))

        self._losses: Any = jax.jit(losses)

    def compile(self, thetas: PyTree) -> None:
        """Compile for the θ of all runs."""
        self._losses = self._losses.lower(self._families, thetas, self._key).compile()

    @property
    def program(self) -> Any:
        """What `compile` has made, for questions about its memory."""
        return self._losses

    def __call__(self, thetas: PyTree) -> np.ndarray:
        """Return the losses `[runs]` of θ of all runs."""
        return np.asarray(self._losses(self._families, thetas, self._key))

    def of(self, theta: PyTree) -> float:
        """Return the loss of a single θ."""
        runs = self._setup.training.runs
        thetas = jax.tree.map(lambda a: jnp.broadcast_to(a, (runs, *a.shape)), theta)
        return float(self(self._layout.split_runs(thetas))[0])
