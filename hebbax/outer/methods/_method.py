"""What meta-optimisation methods that follow a gradient share."""

import dataclasses
import hashlib
import re
from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from hebbax._optax import check_needs, updates
from hebbax._options import POSITIVE, Range, check_options
from hebbax._trees import digest, global_norm
from hebbax.outer._method import AbstractMethod
from hebbax.outer._problem import AbstractProblem
from hebbax.outer.engines import CompiledEngine, Setup

Metrics = dict[str, Float[Array, ""]]


class DescentState(NamedTuple):
    """What a method that follows a gradient carries from step to step.

    **Fields:**

    - `optimizer`: the optax transformation's state, and the average of θ if there is one.
    - `estimator`: what the estimate of the gradient needs, such as particles.
    - `step`: the number of meta-steps so far.
    """

    optimizer: PyTree
    estimator: PyTree
    step: Int[Array, ""]


class Averaged(NamedTuple):
    """The state of an optimiser, and of the average of the θ that it went through."""

    optimizer: PyTree
    average: PyTree


class Estimate(NamedTuple):
    """What is known of the meta-gradient at θ.

    **Fields:**

    - `gradient`: an estimate of it.
    - `loss`: the meta-loss.
    - `nonfinite`: the share in [0, 1] of the parts of this estimate that were not finite and were
      left out; 1 where nothing is known.
    - `metrics`: what the objective measured.
    """

    gradient: PyTree
    loss: Float[Array, ""]
    nonfinite: Float[Array, ""]
    metrics: Metrics


class AbstractDescent(AbstractMethod):
    """Estimate the meta-gradient, then follow it by any optax transformation.

    **Arguments:**

    - `optimizer`: an `optax.GradientTransformation`, such as `optax.adam(5e-4)`.
    - `clip`: bound on the global norm of the meta-gradient (10 in BLUR, supplement 3.1; 5 in Metz
      et al.); None for no bound.
    - `average`: the part of itself that a running average of θ keeps at each step, in (0, 1); .99
      is about the mean of the last hundred. It is validated and returned instead of θ itself,
      which goes on as without (Polyak and Juditsky, 1992). None for no average.

    A step whose estimate is not finite changes nothing and is counted.
    """

    shares: ClassVar[Literal["estimates", "members"] | None] = "estimates"

    optimizer: optax.GradientTransformation = eqx.field(static=True)
    clip: Annotated[float, POSITIVE] | None = eqx.field(static=True, default=None)
    average: Annotated[float, Range(0, 1, open_low=True, open_high=True)] | None = eqx.field(
        static=True, default=None, kw_only=True
    )

    def __check_init__(self) -> None:
        """Refuse what is no optimiser, and settings out of range."""
        if not hasattr(self.optimizer, "update"):
            raise ValueError(
                f"optimizer must be an optax.GradientTransformation such as optax.adam(5e-4); "
                f"got {self.optimizer!r}."
            )
        check_needs(self.optimizer)
        check_options(self)

    def engine(self, setup: Setup) -> CompiledEngine:
        """Return what carries out its meta-steps in this process."""
        return CompiledEngine(setup)

    @abstractmethod
    def begin(self, problem: AbstractProblem, theta: PyTree, key: PRNGKeyArray) -> PyTree:
        """Return what `estimate` carries, before the first step."""

    @abstractmethod
    def estimate(
        self,
        problem: AbstractProblem,
        theta: PyTree,
        carried: PyTree,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Estimate, PyTree]:
        """Estimate the gradient at θ; also returns what to carry to the next estimate.

        `key` decides all random numbers, `step` counts the meta-steps before this one.
        """

    def init(self, problem: AbstractProblem, theta: PyTree, key: PRNGKeyArray) -> DescentState:
        """Return the state before the first step."""
        return DescentState(
            self.start(theta), self.begin(problem, theta, key), jnp.zeros((), jnp.int32)
        )

    def start(self, theta: PyTree) -> PyTree:
        """Return the state of the optimiser, with that of the average of θ if there is one."""
        state = self.optimizer.init(theta)
        if self.average is None:
            return state
        return Averaged(state, optax.ema(self.average).init(theta))

    def solution(self, theta: PyTree, optimizer: PyTree) -> PyTree:
        """Return what has been found: θ, or its average if the optimiser's state has one."""
        if self.average is None:
            return theta
        count, average = optimizer.average
        # An average of no θ yet has nothing but zeros.
        kept = jax.lax.pow(jnp.asarray(self.average, float), count)
        share = jnp.where(count == 0, 1, 1 - kept)
        return jax.tree.map(lambda t, a: jnp.where(count == 0, t, a / share), theta, average)

    def step(
        self, problem: AbstractProblem, theta: PyTree, state: DescentState, key: PRNGKeyArray
    ) -> tuple[PyTree, DescentState, Metrics]:
        """Take one meta-step; returns θ, the state and metrics, all numbers of rank 0."""
        estimate, carried = self.estimate(problem, theta, state.estimator, key, state.step)
        theta, optimizer, metrics = self.follow(theta, state.optimizer, estimate)
        return theta, DescentState(optimizer, carried, state.step + 1), metrics

    def follow(
        self, theta: PyTree, optimizer: PyTree, estimate: Estimate
    ) -> tuple[PyTree, PyTree, Metrics]:
        """Move θ along an estimated gradient; returns θ, the optimiser's state and metrics."""
        gradient = estimate.gradient
        norm = global_norm(gradient)
        good = jnp.isfinite(estimate.loss) & jnp.isfinite(norm) & (estimate.nonfinite < 1)
        clipped = jnp.zeros(())
        if self.clip is not None:
            scale = jnp.minimum(1.0, self.clip / jnp.maximum(norm, 1e-12))
            gradient = jax.tree.map(lambda g: g * scale, gradient)
            clipped = (norm > self.clip).astype(float)
        new = self._moved(theta, optimizer, gradient)
        theta, optimizer = jax.tree.map(lambda n, o: jnp.where(good, n, o), new, (theta, optimizer))
        return (
            theta,
            optimizer,
            {
                "loss": estimate.loss,
                "gradient_norm": norm,
                "nonfinite": jnp.where(good, estimate.nonfinite, 1.0),
                "clipped": clipped,
                **estimate.metrics,
            },
        )

    def _moved(self, theta: PyTree, optimizer: PyTree, gradient: PyTree) -> tuple[PyTree, PyTree]:
        if self.average is None:
            change, state = updates(self.optimizer, gradient, optimizer, theta)
            return optax.apply_updates(theta, change), state
        change, state = updates(self.optimizer, gradient, optimizer.optimizer, theta)
        theta = optax.apply_updates(theta, change)
        average = updates(optax.ema(self.average), theta, optimizer.average, None)[1]
        return theta, Averaged(state, average)

    def fingerprint(self, theta: PyTree) -> str:
        """Return a digest of the optimiser's program and of the other settings."""

        def step(theta: PyTree) -> PyTree:
            return updates(self.optimizer, theta, self.optimizer.init(theta), theta)

        # Of the θ itself: what is done may depend on its leaves' names, shapes and dtypes.
        program = jax.make_jaxpr(step)(theta)
        text = re.sub(r"0x[0-9a-f]+", "", str(program))
        others = [
            (field.name, repr(getattr(self, field.name)))
            for field in dataclasses.fields(self)
            if field.name != "optimizer"
        ]
        # Arrays that the program closes over are not in its text.
        whole = f"{text}{digest(program.consts)}{others}"
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def mean_of_finite(
    gradients: PyTree, losses: Float[Array, " parts"], metrics: Any, good: Any
) -> Estimate:
    """Average over the leading axis, leaving out the parts that are not `good`."""
    count = jnp.sum(good)

    def mean(array: Any) -> Any:
        mask = good.reshape(-1, *(1,) * (array.ndim - 1))
        total = jnp.sum(jnp.where(mask, array, 0), axis=0)
        return total / jnp.maximum(count, 1).astype(array.dtype)

    nothing = count == 0
    loss = jnp.where(nothing, jnp.nan, mean(losses))
    share = jnp.sum(~good).astype(float) / len(good)
    return Estimate(jax.tree.map(mean, gradients), loss, share, jax.tree.map(mean, metrics))


def finite(*trees: PyTree) -> Any:
    """Whether all numbers of each row are finite, `[rows]`; the leading axis counts rows."""
    leaves = [
        jnp.all(jnp.isfinite(a).reshape(len(a), -1), axis=1)
        for a in jax.tree.leaves(trees)
        if jnp.issubdtype(a.dtype, jnp.inexact)
    ]
    return jnp.all(jnp.stack(leaves), axis=0)


def split_keys(key: PRNGKeyArray, parts: int) -> Any:
    """Return a key for each of `parts`; a single part keeps the key itself."""
    return key[None] if parts == 1 else jax.random.split(key, parts)
