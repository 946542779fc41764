"""Meta-objectives: what a lifetime was worth."""

from typing import Annotated, ClassVar

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree

from hebbax._options import AT_LEAST_1, check_options
from hebbax.inner import Remat, check_remat, unroll
from hebbax.losses import check_classes
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily, Episode

Value = tuple[Float[Array, ""], dict[str, Float[Array, ""]]]
"""The number to be minimised, and metrics to be logged."""


class AbstractObjective(eqx.Module):
    """What the objectives of this package share: unroll the episode, then judge.

    **Arguments:**

    - `steps`: updates in a lifetime.
    - `batch`: examples in each.
    - `query`: examples judged after the last update.
    - `remat`: what the meta-gradient's backward pass computes again, see `unroll`.

    A subclass defines `judge`.
    """

    skips: ClassVar[bool] = True
    """Whether it can do without the last updates of an episode, see `taken`."""

    classes_only: ClassVar[bool] = False
    """Whether it judges classes, and no family that asks for something else."""

    steps: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=10)
    batch: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=128)
    query: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=512)
    remat: Remat = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Refuse options out of range."""
        check_remat(self.remat)
        check_options(self)

    def check_family(self, family: AbstractFamily) -> None:
        """Refuse a family that it cannot judge. **Raises:** `ValueError`."""
        if self.classes_only:
            check_classes(type(self).__name__, family.goal, family.name)

    def unroll_and_judge(
        self,
        rule: AbstractRule,
        theta: PyTree,
        net: PyTree,
        episode: Episode,
        first: Int[Array, ""] | int = 0,
        taken: Int[Array, ""] | None = None,
    ) -> tuple[PyTree, Value]:
        """Return the network after the episode, and what that was worth.

        **Arguments:**

        - `first`: updates that the network has had before, in earlier truncations.
        - `taken`: how many of the episode's updates are made, all by default.
        """
        ys = episode.told if self.supervised else None
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
        raise NotImplementedError(f"{type(self).__name__} must define judge.")
