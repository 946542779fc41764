"""`FewShotRidge`: what features learnt without labels are worth."""

from typing import Annotated, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from hebbax._options import AT_LEAST_1, NOT_NEGATIVE, POSITIVE, Range, check_options
from hebbax.inner import unroll
from hebbax.losses import few_shot_ridge
from hebbax.outer.objectives._objective import AbstractObjective, Value
from hebbax.rules import AbstractRule
from hebbax.tasks import Episode


class FewShotRidge(AbstractObjective):
    """How well features learnt without labels serve a ridge regression on few labels.

    The meta-objective of the unsupervised update rule (Metz et al., sec. 3.3 and appendix): on
    `evaluations` pairs of labelled batches, the regression is fitted on one and judged on the
    other. The rule is shown no labels, and the networks' last layer has `units` units, whatever
    the task. The query set is split into the pairs: it holds `query` examples in all.

    With a method that cuts lifetimes, features are judged after the last update of every
    truncation; with `every_update` after each update, as Metz et al. do, and the mean is what
    counts. The same labelled batches serve all updates of a truncation then.

    **Arguments** besides those of all objectives:

    - `units`: features, that is units of the networks' last layer.
    - `evaluations`: pairs of labelled batches, whose losses are averaged.
    - `penalty`: of the regression; `weight_penalty`: factor on its squared weights in the loss,
      0 in the paper. See `hebbax.losses.few_shot_ridge`.
    - `classes`: columns of the targets, the first ones, that are labels; None for all. Others,
      such as rotations, count in the loss but not in the accuracy.
    - `every_update`: judge after each update.
    """

    classes_only: ClassVar[bool] = True

    # The paper has 10 labelled examples a class in each batch; this is that for ten classes.
    query: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=1000)
    units: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=32)
    evaluations: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=5)
    penalty: Annotated[float, POSITIVE] = eqx.field(static=True, default=0.1)
    weight_penalty: Annotated[float, NOT_NEGATIVE] = eqx.field(static=True, default=0.1)
    classes: Annotated[int, Range(2)] | None = eqx.field(static=True, default=None)
    every_update: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        """Refuse too few query examples."""
        check_options(self)
        if self.query < 4 * self.evaluations or self.query % (2 * self.evaluations):
            raise ValueError(
                f"query must be a multiple of {2 * self.evaluations}, two batches for each of "
                f"{self.evaluations} evaluations, with at least two examples in each; "
                f"got {self.query}."
            )

    @property
    def supervised(self) -> bool:
        """Whether the rule is shown the labels: it is not."""
        return False

    def unroll_and_judge(
        self,
        rule: AbstractRule,
        theta: PyTree,
        net: PyTree,
        episode: Episode,
        first: Int[Array, ""] | int = 0,
        taken: Int[Array, ""] | None = None,
    ) -> tuple[PyTree, Value]:
        """Return the network after the episode, and what that or its whole course was worth."""
        if not self.every_update:
            return super().unroll_and_judge(rule, theta, net, episode, first, taken)
        at_each = eqx.Partial(_worth, self, rule, theta, episode)
        net, values = unroll(
            rule, theta, net, episode.x, None, remat=self.remat, taken=taken, look=at_each
        )
        # What was not taken is zero, so that it does not count in the sum.
        number = len(episode.x) if taken is None else taken.astype(float)
        return net, jax.tree.map(lambda each: jnp.sum(each) / number, values)

    @property
    def outputs(self) -> int:
        """Units of the networks' last layer."""
        return self.units

    def judge(
        self,
        rule: AbstractRule,
        theta: PyTree,
        net: PyTree,
        predictions: Float[Array, "*steps batch out"] | None,
        episode: Episode,
        first: Int[Array, ""] | int = 0,
        taken: Int[Array, ""] | None = None,
    ) -> Value:
        """Fit and judge the ridge regressions."""
        half = self.query // (2 * self.evaluations)

        def evaluation(x: Float[Array, "both in"], y: Float[Array, "both out"]) -> Value:
            # One pass over both, for batch normalisation makes features depend on their batch.
            features = rule.predict(theta, net, x)
            return few_shot_ridge(
                features[:half],
                y[:half],
                features[half:],
                y[half:],
                classes=self.classes,
                penalty=self.penalty,
                weight_penalty=self.weight_penalty,
            )

        x, y = (
            a.reshape(self.evaluations, 2 * half, a.shape[-1])
            for a in (episode.query_x, episode.query_y)
        )
        losses, metrics = jax.vmap(evaluation)(x, y)
        return jnp.mean(losses), jax.tree.map(jnp.mean, metrics)


def _worth(
    objective: FewShotRidge,
    rule: AbstractRule,
    theta: PyTree,
    episode: Episode,
    net: PyTree,
    prediction: Float[Array, "batch out"],
) -> Value:
    return objective.judge(rule, theta, net, prediction, episode)
