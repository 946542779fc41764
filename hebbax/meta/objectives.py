"""Meta-objectives: what a lifetime was worth.

An objective is called with a rule, its θ, a network and an episode and returns the number to be
minimised and metrics to be logged. Any callable with that signature and the attributes `steps`,
`batch` and `query`, which say how large an episode it needs, can stand in their place.
"""

from typing import Any, Literal, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from hebbax._errors import check_choice
from hebbax.losses import accuracy, cross_entropy
from hebbax.meta.unrolling import Remat, check_remat, unroll
from hebbax.ridge import few_shot_ridge
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

    steps: int = eqx.field(static=True, default=10)
    batch: int = eqx.field(static=True, default=128)
    query: int = eqx.field(static=True, default=512)
    remat: Remat = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Refuse empty lifetimes."""
        for name in ("steps", "batch", "query"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")
        check_remat(self.remat)

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


class QueryCrossEntropy(AbstractObjective):
    """Cross-entropy on the query set after the last update (BLUR sec. 3.3).

    With a method that cuts lifetimes, after the last update of every truncation.
    """

    def judge(self, rule, theta, net, predictions, episode, first=0, taken=None) -> Value:
        """Judge the query set."""
        prediction = rule.predict(theta, net, episode.query_x)
        loss = cross_entropy(prediction, episode.query_y)
        return loss, {"accuracy": accuracy(prediction, episode.query_y)}


class QueryAccuracy(AbstractObjective):
    """One minus the accuracy on the query set after the last update.

    It has no useful gradient: for evolution strategies (BLUR sec. 4.4) and for evaluation.
    """

    def judge(self, rule, theta, net, predictions, episode, first=0, taken=None) -> Value:
        """Judge the query set."""
        right = accuracy(rule.predict(theta, net, episode.query_x), episode.query_y)
        return 1 - right, {"accuracy": right}


class OnlineCrossEntropy(AbstractObjective):
    """Mean or sum over the lifetime of the cross-entropies of what was predicted before updates.

    Every batch of the lifetime is a query set for the updates before it, and the query set one
    for all of them, so each prefix of the lifetime counts alike. `skip` leaves out the first
    predictions of a lifetime. `reduction` is `"mean"` or, as in VSML sec. 3.3, `"sum"`.
    """

    skip: int = eqx.field(static=True, default=1)
    reduction: Literal["mean", "sum"] = eqx.field(static=True, default="mean")

    def __check_init__(self) -> None:
        """Refuse to leave out fewer than no predictions."""
        if self.skip < 0:
            raise ValueError(f"skip must be at least 0; got {self.skip}.")
        check_choice("reduction", self.reduction, ("mean", "sum"))

    def judge(self, rule, theta, net, predictions, episode, first=0, taken=None) -> Value:
        """Judge every prediction."""
        last = rule.predict(theta, net, episode.query_x)
        loss = cross_entropy(last, episode.query_y)
        metrics = {"accuracy": accuracy(last, episode.query_y)}
        steps = len(predictions)
        if taken is None and isinstance(first, int):
            counted = max(steps - max(self.skip - first, 0), 0)
            if counted:
                early = cross_entropy(predictions[-counted:], episode.y[-counted:])
                loss = loss + counted * early
            total = counted + 1
        else:
            index = jnp.arange(steps)
            counts = index + first >= self.skip
            counts = counts if taken is None else counts & (index < taken)
            each = jax.vmap(cross_entropy)(predictions, episode.y)
            # Not a product, for 0 times what is not a number is not 0.
            loss = loss + jnp.sum(jnp.where(counts, each, 0.0))
            total = jnp.sum(counts) + 1
        return jnp.asarray(loss if self.reduction == "sum" else loss / total), metrics


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
      0 in the paper. See `hebbax.ridge.few_shot_ridge`.
    - `classes`: columns of the targets, the first ones, that are labels; None for all. Others,
      such as rotations, count in the loss but not in the accuracy.
    - `every_update`: judge after each update.
    """

    # The paper has 10 labelled examples a class in each batch; this is that for ten classes.
    query: int = eqx.field(static=True, default=1000)
    units: int = eqx.field(static=True, default=32)
    evaluations: int = eqx.field(static=True, default=5)
    penalty: float = eqx.field(static=True, default=0.1)
    weight_penalty: float = eqx.field(static=True, default=0.1)
    classes: int | None = eqx.field(static=True, default=None)
    every_update: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        """Refuse too few query examples."""
        for name in ("units", "evaluations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if self.query < 4 * self.evaluations or self.query % (2 * self.evaluations):
            raise ValueError(
                f"query must be a multiple of {2 * self.evaluations}, two batches for each of "
                f"{self.evaluations} evaluations, with at least two examples in each; "
                f"got {self.query}."
            )
        if not self.penalty > 0:
            raise ValueError(f"penalty must be positive; got {self.penalty}.")
        if not self.weight_penalty >= 0:
            raise ValueError(f"weight_penalty must be at least 0; got {self.weight_penalty}.")

    @property
    def supervised(self) -> bool:
        """Whether the rule is shown the labels: it is not."""
        return False

    def unroll_and_judge(self, rule, theta, net, episode, first=0, taken=None):
        """Return the network after the episode, and what that or its whole course was worth."""
        if not self.every_update:
            return super().unroll_and_judge(rule, theta, net, episode, first, taken)
        judged = _Judged(rule, self, episode)
        net, values = unroll(judged, theta, net, episode.x, None, remat=self.remat, taken=taken)
        # What was not taken is zero, so that it does not count in the sum.
        loss, *rest = jnp.sum(values[:, 0], axis=0) / (len(values) if taken is None else taken)
        shapes = jax.eval_shape(lambda: self.judge(rule, theta, net, values, episode))[1]
        return net, (loss, dict(zip(sorted(shapes), rest, strict=True)))

    @property
    def outputs(self) -> int:
        """Units of the networks' last layer."""
        return self.units

    def judge(self, rule, theta, net, predictions, episode, first=0, taken=None) -> Value:
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


class _Judged(AbstractRule):
    """A rule that returns, for a prediction, what its network is worth after the update."""

    rule: AbstractRule
    objective: FewShotRidge
    episode: Episode

    def init(self, key):
        return self.rule.init(key)

    def init_network(self, theta, key, sizes):
        return self.rule.init_network(theta, key, sizes)

    def update(self, theta, net, x, y):
        net, prediction = self.rule.update(theta, net, x, y)
        loss, metrics = self.objective.judge(self.rule, theta, net, prediction, self.episode)
        values = jnp.stack([loss, *(metrics[name] for name in sorted(metrics))])
        # A row for each example, as predictions have.
        return net, jnp.broadcast_to(values, (len(x), len(values)))

    def predict(self, theta, net, x):
        return self.rule.predict(theta, net, x)
