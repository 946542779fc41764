"""Objectives that judge the end of a lifetime."""

from typing import ClassVar

from jaxtyping import Array, Float, Int, PyTree

from hebbax.losses import AbstractGoal
from hebbax.outer.objectives._objective import AbstractObjective, Value
from hebbax.rules import AbstractRule
from hebbax.tasks import Episode


class QueryLoss(AbstractObjective):
    """The family's own loss on the query set after the last update (BLUR sec. 3.3).

    With a method that cuts lifetimes, after the last update of every truncation.
    """

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
        return self._value(episode.goal, prediction, episode.query_y)

    def _value(self, goal: AbstractGoal, prediction: Float[Array, "query out"], y: PyTree) -> Value:
        return goal.loss(prediction, y), {goal.metric: goal.score(prediction, y)}


class QueryCrossEntropy(QueryLoss):
    """`QueryLoss` of families of classes: the cross-entropy on the query set."""

    classes_only: ClassVar[bool] = True


class QueryAccuracy(QueryLoss):
    """One minus the accuracy on the query set after the last update.

    It has no useful gradient: for evolution strategies (BLUR sec. 4.4) and for evaluation.
    """

    classes_only: ClassVar[bool] = True

    def _value(self, goal: AbstractGoal, prediction: Float[Array, "query out"], y: PyTree) -> Value:
        share = goal.score(prediction, y)
        return 1 - share, {goal.metric: share}
