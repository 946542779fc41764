"""Objectives that judge the end of a lifetime."""

from typing import ClassVar

from jaxtyping import Array, Float, Int, PyTree

from hebbax.losses import accuracy, cross_entropy
from hebbax.outer.objectives._objective import AbstractObjective, Value
from hebbax.rules import AbstractRule
from hebbax.tasks import Episode


class QueryCrossEntropy(AbstractObjective):
    """Cross-entropy on the query set after the last update (BLUR sec. 3.3).

    With a method that cuts lifetimes, after the last update of every truncation.
    """

    needs_labels: ClassVar[bool] = True

    def judge(
        self,
        rule: AbstractRule,
        theta: PyTree,
        net: PyTree,
        predictions: Float[Array, "steps batch out"],
        episode: Episode,
        first: Int[Array, ""] | int = 0,
        taken: Int[Array, ""] | None = None,
    ) -> Value:
        """Judge the query set."""
        prediction = rule.predict(theta, net, episode.query_x)
        loss = cross_entropy(prediction, episode.query_y)
        return loss, {"accuracy": accuracy(prediction, episode.query_y)}


class QueryAccuracy(AbstractObjective):
    """One minus the accuracy on the query set after the last update.

    It has no useful gradient: for evolution strategies (BLUR sec. 4.4) and for evaluation.
    """

    needs_labels: ClassVar[bool] = True

    def judge(
        self,
        rule: AbstractRule,
        theta: PyTree,
        net: PyTree,
        predictions: Float[Array, "steps batch out"],
        episode: Episode,
        first: Int[Array, ""] | int = 0,
        taken: Int[Array, ""] | None = None,
    ) -> Value:
        """Judge the query set."""
        share = accuracy(rule.predict(theta, net, episode.query_x), episode.query_y)
        return 1 - share, {"accuracy": share}
