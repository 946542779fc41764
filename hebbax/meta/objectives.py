"""Meta-objectives: what a lifetime was worth.

An objective is called with a rule, its θ, a fresh network and an episode and returns the number
to be minimised and metrics to be logged. Any callable with that signature and the attributes
`steps`, `batch` and `query`, which say how large an episode it needs, can stand in their place.
"""

from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from hebbax.losses import accuracy, cross_entropy
from hebbax.meta.unrolling import unroll
from hebbax.rules import AbstractRule

Value = tuple[Float[Array, ""], dict[str, Float[Array, ""]]]


@runtime_checkable
class Objective(Protocol):
    """What `meta_train` asks of a meta-objective."""

    @property
    def steps(self) -> int:
        """Updates in a lifetime."""
        ...

    @property
    def batch(self) -> int:
        """Examples in each."""
        ...

    @property
    def query(self) -> int:
        """Examples judged after the last update."""
        ...

    def __call__(self, rule: AbstractRule, theta: PyTree, net: PyTree, episode: Any) -> Value:
        """Return the value to be minimised and a dictionary of metrics."""
        ...


class AbstractObjective(eqx.Module):
    """What the objectives of this package share.

    **Arguments:**

    - `steps`: updates in a lifetime.
    - `batch`: examples in each.
    - `query`: examples judged after the last update.
    - `remat`: compute each update again in the meta-gradient's backward pass, see `unroll`.
    """

    steps: int = eqx.field(static=True, default=10)
    batch: int = eqx.field(static=True, default=128)
    query: int = eqx.field(static=True, default=512)
    remat: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Refuse empty lifetimes."""
        for name in ("steps", "batch", "query"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")

    @abstractmethod
    def __call__(self, rule: AbstractRule, theta: PyTree, net: PyTree, episode: Any) -> Value:
        """Return the value to be minimised and a dictionary of metrics."""


class QueryCrossEntropy(AbstractObjective):
    """Cross-entropy on the query set after the last update (BLUR sec. 3.3)."""

    def __call__(self, rule: AbstractRule, theta: PyTree, net: PyTree, episode: Any) -> Value:
        """Unroll, then judge the query set."""
        net, _ = unroll(rule, theta, net, episode.x, episode.y, remat=self.remat)
        prediction = rule.predict(theta, net, episode.query_x)
        loss = cross_entropy(prediction, episode.query_y)
        return loss, {"accuracy": accuracy(prediction, episode.query_y)}


class QueryAccuracy(AbstractObjective):
    """One minus the accuracy on the query set after the last update.

    It has no useful gradient: for evolution strategies (BLUR sec. 4.4) and for evaluation.
    """

    def __call__(self, rule: AbstractRule, theta: PyTree, net: PyTree, episode: Any) -> Value:
        """Unroll, then judge the query set."""
        net, _ = unroll(rule, theta, net, episode.x, episode.y, remat=self.remat)
        right = accuracy(rule.predict(theta, net, episode.query_x), episode.query_y)
        return 1 - right, {"accuracy": right}


class OnlineCrossEntropy(AbstractObjective):
    """Mean over the lifetime of the cross-entropies of what was predicted before each update.

    Every batch of the lifetime is a query set for the updates before it, and the query set one
    for all of them, so each prefix of the lifetime counts alike. `skip` leaves out the first
    predictions.
    """

    skip: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        """Refuse to leave out fewer than no predictions."""
        if self.skip < 0:
            raise ValueError(f"skip must be at least 0; got {self.skip}.")

    def __call__(self, rule: AbstractRule, theta: PyTree, net: PyTree, episode: Any) -> Value:
        """Unroll, judging every prediction."""
        net, predictions = unroll(rule, theta, net, episode.x, episode.y, remat=self.remat)
        last = rule.predict(theta, net, episode.query_x)
        online = self.steps - self.skip
        loss = cross_entropy(last, episode.query_y)
        if online > 0:
            early = cross_entropy(predictions[self.skip :], episode.y[self.skip :])
            loss = (loss + online * early) / (online + 1)
        return jnp.asarray(loss), {"accuracy": accuracy(last, episode.query_y)}
