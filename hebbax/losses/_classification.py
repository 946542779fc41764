"""How predictions are judged against one-hot labels."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from hebbax.losses._labels import check_labels

Predictions = Float[Array, "*batch out"]


def cross_entropy(prediction: Predictions, y: Predictions) -> Float[Array, ""]:
    """Return the mean cross-entropy in nats: softmax, or sigmoid where there is one output.

    **Raises:** `ValueError` for targets that are no labels, see `check_labels`.
    """
    check_labels("y", y)
    if y.shape[-1] == 1:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(prediction, y))
    return jnp.mean(-jnp.sum(y * jax.nn.log_softmax(prediction), axis=-1))


def correct(prediction: Predictions, y: Predictions) -> Bool[Array, "*batch"]:
    """Return which answers are correct: the largest output, or the sign of one.

    None whose outputs are not all finite, which have no largest.

    **Raises:** `ValueError` for targets that are no labels, see `check_labels`.
    """
    check_labels("y", y)
    answered = jnp.isfinite(prediction).all(axis=-1)
    if y.shape[-1] == 1:
        return answered & ((prediction[..., 0] > 0) == (y[..., 0] > 0.5))
    return answered & (jnp.argmax(prediction, axis=-1) == jnp.argmax(y, axis=-1))


def accuracy(prediction: Predictions, y: Predictions) -> Float[Array, ""]:
    """Return the share of correct answers in [0, 1], see `correct`."""
    return jnp.mean(correct(prediction, y).astype(prediction.dtype))
