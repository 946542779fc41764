"""`OnlineLoss`: the whole course of a lifetime."""

from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from hebbax._options import NOT_NEGATIVE, POSITIVE
from hebbax.outer.objectives._objective import AbstractObjective, Value
from hebbax.rules import AbstractRule
from hebbax.tasks import Episode


class OnlineLoss(AbstractObjective):
    """Mean or sum over the lifetime of the family's loss of what was predicted before updates.

    Every batch of the lifetime is a query set for the updates before it, and the query set one
    for all of them, so each prefix of the lifetime counts alike. `skip` leaves out the first
    predictions of a lifetime. `reduction` is `"mean"` or, as in VSML sec. 3.3, `"sum"`. With
    `early`, what is predicted after n updates weighs 1 / (n + early), so that from there on each
    doubling of the updates counts alike: learning fast and learning for long.
    """

    skip: Annotated[int, NOT_NEGATIVE] = eqx.field(static=True, default=1)
    reduction: Literal["mean", "sum"] = eqx.field(static=True, default="mean")
    early: Annotated[float, POSITIVE] | None = eqx.field(static=True, default=None)

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
        """Judge every prediction."""
        last = rule.predict(theta, net, episode.query_x)
        goal = episode.goal
        loss = goal.loss(last, episode.query_y)
        metrics = {goal.metric: goal.score(last, episode.query_y)}
        steps = len(predictions)
        if self.early is None and taken is None and isinstance(first, int):
            counted = max(steps - max(self.skip - first, 0), 0)
            if counted:
                early = goal.loss_of_steps(
                    *jax.tree.map(lambda a: a[-counted:], (predictions, episode.y))
                )
                loss = loss + counted * early
            total = counted + 1
        else:
            index = jnp.arange(steps)
            counts = index + first >= self.skip
            counts = counts if taken is None else counts & (index < taken)
            each = jax.vmap(goal.loss)(predictions, episode.y)
            weights, at_last = jnp.ones(steps, loss.dtype), jnp.ones((), loss.dtype)
            if self.early is not None:
                ages = jnp.append(index, steps if taken is None else taken) + first
                each_and_last = 1 / (ages.astype(loss.dtype) + self.early)
                weights, at_last = each_and_last[:-1], each_and_last[-1]
            # Not a product alone, for 0 times what is not a number is not 0.
            loss = loss * at_last + jnp.sum(jnp.where(counts, weights * each, 0.0))
            total = jnp.sum(jnp.where(counts, weights, 0.0)) + at_last
        return jnp.asarray(loss if self.reduction == "sum" else loss / total), metrics


class OnlineCrossEntropy(OnlineLoss):
    """`OnlineLoss` of families of classes: cross-entropies."""

    classes_only: ClassVar[bool] = True
