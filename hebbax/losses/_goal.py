"""What a family asks of networks: how answers are judged, and what is fed back to who gave them."""

import abc
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from hebbax._options import check_options
from hebbax.losses._classification import accuracy, cross_entropy

Predictions = Float[Array, "*batch out"]


class AbstractGoal(eqx.Module):
    """What a task family asks for: its loss, its metric and its feedback.

    A frozen module with hyper-parameters only, like a rule; a family has one as its `goal`. A goal
    of one's own defines `loss`. The two others have defaults: the loss as the metric, and its
    negative gradient as the feedback. Targets may be what the goal can read: an array, or any
    pytree of arrays whose leading axes count batches and rows.
    """

    metric: ClassVar[str] = "loss"
    """What `score` measures, in a word."""
    higher_is_better: ClassVar[bool] = False
    """Whether a larger score is a better one."""

    @abc.abstractmethod
    def loss(self, prediction: Predictions, y: Any) -> Float[Array, ""]:
        """Return the mean over the rows of what meta-training brings down."""

    def score(self, prediction: Predictions, y: Any) -> Float[Array, ""]:
        """Return the mean over the rows of what a reader wants to know."""
        return self.loss(prediction, y)

    def loss_of_steps(
        self, predictions: Float[Array, "steps batch out"], y: Any
    ) -> Float[Array, ""]:
        """Return the mean loss over the rows of all steps."""
        rows = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), (predictions, y))
        return self.loss(*rows)

    def feedback(self, prediction: Predictions, y: Any) -> Predictions:
        """Return what a network is told of each row, `[batch, out]`.

        `Blur` puts it on the last layer's second state; rules that feed errors back take its
        negative. By default the negative gradient of a row's loss.
        """
        return -len(prediction) * jax.grad(self.loss)(prediction, y)


class Classification(AbstractGoal):
    """One-hot labels, or one column in {0, 1}: cross-entropy and accuracy.

    Rules have their own ways to be told of labels, such as the option `feedback` of `Blur`; what
    is here is the negative gradient of the cross-entropy. A goal that is a subclass of this one is
    told its own.
    """

    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    def loss(self, prediction: Predictions, y: Any) -> Float[Array, ""]:
        """Return the mean cross-entropy in nats, see `hebbax.losses.cross_entropy`."""
        return cross_entropy(prediction, y)

    def loss_of_steps(
        self, predictions: Float[Array, "steps batch out"], y: Any
    ) -> Float[Array, ""]:
        """Return the mean cross-entropy over the rows of all steps."""
        # As it is, for the order of a sum decides its last bits.
        return self.loss(predictions, y)

    def score(self, prediction: Predictions, y: Any) -> Float[Array, ""]:
        """Return the share of correct answers in [0, 1]."""
        return accuracy(prediction, y)


class Regression(AbstractGoal):
    """Real numbers: the squared error, summed over the outputs.

    **Arguments:** `feedback`: what networks are told, the `residual`, target minus prediction, or
    the `target` itself.
    """

    metric: ClassVar[str] = "squared_error"

    told: Literal["residual", "target"] = eqx.field(static=True, default="residual")

    def __check_init__(self) -> None:
        """Refuse what is neither."""
        check_options(self)

    def loss(self, prediction: Predictions, y: Any) -> Float[Array, ""]:
        """Return the mean squared error."""
        return jnp.mean(jnp.sum((prediction - y) ** 2, axis=-1))

    def feedback(self, prediction: Predictions, y: Any) -> Predictions:
        """Return the residual, or the target."""
        return y - prediction if self.told == "residual" else y


class Targets(eqx.Module):
    """Targets together with what they ask for, as rules are given those that are no plain labels.

    **Fields:**

    - `values`: the targets of a batch, an array `[batch, out]` or a pytree of arrays.
    - `goal`: how predictions are judged by them.
    """

    values: PyTree
    goal: AbstractGoal = eqx.field(static=True)

    def loss(self, prediction: Predictions) -> Float[Array, ""]:
        """Return the loss of a batch."""
        return self.goal.loss(prediction, self.values)

    def feedback(self, prediction: Predictions) -> Predictions:
        """Return the feedback for each row. **Raises:** `ValueError` if it has another shape."""
        told = self.goal.feedback(prediction, self.values)
        if told.shape != prediction.shape:
            raise ValueError(
                f"the feedback of {type(self.goal).__name__} must have the shape of the "
                f"prediction, {list(prediction.shape)}; got {list(told.shape)}."
            )
        return told.astype(prediction.dtype)


CLASSES = Classification()


def targets(values: PyTree, goal: AbstractGoal) -> Any:
    """Return what a rule is given: labels as they are, others as `Targets`."""
    return values if goal == CLASSES else Targets(values, goal)


def check_classes(what: str, goal: AbstractGoal, family: str) -> None:
    """Refuse a family that asks for something else than classes. **Raises:** `ValueError`."""
    if not isinstance(goal, Classification):
        raise ValueError(
            f"{what} judges classes only; {family} asks for {type(goal).__name__}, "
            f"measured by its {goal.metric}."
        )
