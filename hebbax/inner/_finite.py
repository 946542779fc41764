"""Where numbers end: what is not finite is refused in θ, and said of networks."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, PyTree

from hebbax.devices import check_not_forked


class NotFiniteWarning(RuntimeWarning):
    """Networks whose numbers overflowed; the message says how many, and from which update on."""


def check_theta(theta: PyTree) -> None:
    """Refuse a θ that holds NaN or infinity.

    **Raises:** `ValueError` naming the array; `RuntimeError` in a process that was forked from one
    that had used JAX, which would wait for ever for θ.
    """
    check_not_forked()
    for path, leaf in jax.tree_util.tree_leaves_with_path(theta):
        if not _is_finite(leaf):
            raise ValueError(
                f"theta must be finite; theta{jax.tree_util.keystr(path)} holds NaN or infinity."
            )


def _is_finite(leaf: object) -> bool:
    # What is being traced is nobody's number yet.
    if isinstance(leaf, Tracer) or not isinstance(leaf, (jax.Array, np.ndarray, float)):
        return True
    if not jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.inexact):
        return True
    return bool(jnp.isfinite(leaf).all())


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Return whether all numbers of a tree, of a network, are finite."""
    leaves = [a for a in jax.tree.leaves(tree) if jnp.issubdtype(a.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.isfinite(a).all() for a in leaves] or [jnp.ones((), bool)]))


def warn_of_ends(finite: Bool[np.ndarray, "seeds updates"], what: str = "holds") -> None:
    """Warn if the numbers of any network end.

    `finite`: whether they were finite after update 1, 2, … each row a network; `what` they do from
    then on with NaN or infinity.
    """
    ended = ~finite.all(axis=1)
    if ended.any():
        first = int(np.argmax(~finite[ended], axis=1).min()) + 1
        warnings.warn(
            f"the numbers of {int(ended.sum())} of {len(finite)} networks end: from update "
            f"{first} on the first of them {what} NaN or infinity, and their answers count as "
            f"wrong.",
            NotFiniteWarning,
            stacklevel=3,
        )
