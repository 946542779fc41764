"""Optax in programs that are strict about dtypes."""

from typing import Any

import jax
import optax


def updates(
    optimizer: optax.GradientTransformation, gradient: Any, state: Any, params: Any
) -> tuple[Any, Any]:
    """Return what `optimizer` would change of `params`, and its next state.

    Adam's and other moments are divided by 1 − decay**count, a float to an integer's power
    (`optax.tree.bias_correction`), which strict promotion refuses; schedules mix them likewise.
    """
    with jax.numpy_dtype_promotion("standard"):
        return optimizer.update(gradient, state, params)
