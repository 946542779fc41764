"""Meta-objectives: what a lifetime was worth.

An objective is called with a rule, its θ, a network and an episode and returns the number to be
minimised and metrics to be logged. Any callable with that signature and the attributes `steps`,
`batch` and `query`, which say how large an episode it needs, can stand in their place.
"""

from typing import Annotated, Any, Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree

from hebbax._options import AT_LEAST_1, check_options
from hebbax.inner import Remat, check_remat, unroll
from hebbax.rules import AbstractRule
from hebbax.tasks import Episode

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
    """What the objectives of this package share: unroll the episode, then judge.

    **Arguments:**

    - `steps`: updates in a lifetime.
    - `batch`: examples in each.
    - `query`: examples judged after the last update.
    - `remat`: what the meta-gradient's backward pass computes again, see `unroll`.

    A subclass defines `judge`. One that defines `__call__` instead works with every method, at
    the price of one more forward pass with those that cut lifetimes into truncations.
    """

    steps: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=10)
    batch: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=128)
    query: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=512)
    remat: Remat = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Refuse options out of range."""
        check_remat(self.remat)
        check_options(self)

    def __call__(self, rule: AbstractRule, theta: PyTree, net: PyTree, episode: Any) -> Value:
        """Unroll the episode and judge it; the value to be minimised, and metrics."""
        return self.unroll_and_judge(rule, theta, net, episode)[1]

    def unroll_and_judge(
        self,
        rule: AbstractRule,
        theta: PyTree,
        net: PyTree,
        episode: Any,
        first: Int[Array, ""] | int = 0,
        taken: Int[Array, ""] | None = None,
    ) -> tuple[PyTree, Value]:
        """Return the network after the episode, and what that was worth.

        **Arguments:**

        - `first`: updates that the network has had before, in earlier truncations.
        - `taken`: how many of the episode's updates are made, all by default.
        """
        ys = episode.y if self.supervised else None
        net, predictions = unroll(rule, theta, net, episode.x, ys, remat=self.remat, taken=taken)
        return net, self.judge(rule, theta, net, predictions, episode, first, taken)

    @property
    def supervised(self) -> bool:
        """Whether the rule is shown the labels."""
        return True

    @property
    def outputs(self) -> int | None:
        """Units of the networks' last layer; None for as many as the task has outputs."""
        return None

    def judge(
        self,
        rule: AbstractRule,
        theta: PyTree,
        net: PyTree,
        predictions: Float[Array, "steps batch out"],
        episode: Episode,
        first: Int[Array, ""] | int,
        taken: Int[Array, ""] | None,
    ) -> Value:
        """Return the value to be minimised and a dictionary of metrics.

        `net` is the network after the updates, `predictions` are those before each of them;
        `first` and `taken` as in `unroll_and_judge`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define judge or __call__.")
