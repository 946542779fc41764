"""Optax in programs that are strict about dtypes."""

import re
from typing import Any

import jax
import jax.numpy as jnp
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


def check_needs(optimizer: optax.GradientTransformation) -> None:
    """Refuse an optimiser that wants more than gradients, such as the loss or a line search.

    **Raises:** `ValueError` that names what it wants.
    """
    try:
        jax.eval_shape(lambda x: updates(optimizer, x, optimizer.init(x), x), jnp.zeros(()))
    except TypeError as error:
        found = re.search(r"missing \d+ required .*argument[s]?: (.*)", str(error))
        if found:
            raise ValueError(
                f"optimizer must follow gradients alone; this one wants {found[1]} too, as "
                f"optax.lbfgs and optax.contrib.reduce_on_plateau do."
            ) from error
    except Exception:
        # Masks and labels may fit another tree than this; what is wrong with them is said there.
        return
