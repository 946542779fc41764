"""What makes no sense to be judged: features as if they were logits, updates of too few rows."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from hebbax._errors import shown
from hebbax.inner._finite import check_theta
from hebbax.rules import AbstractRule


def check_judged(rule: AbstractRule, theta: PyTree, rows: int, what: str = "batch") -> None:
    """Refuse to judge what cannot be judged.

    `what`: what the number of `rows` in an update is called.

    **Raises:** `ValueError` if θ is not one of this rule, or not finite; the rule's networks do not
    learn what targets say; or an update would have fewer rows than the rule learns from.
    """
    check_theta_of(rule, theta)
    name = type(rule).__name__
    if not rule.learns_from_labels:
        raise ValueError(
            f"rule must learn from labels for its accuracy to be taken; {name} makes features, "
            f"which PlasticFeatures and objectives.FewShotRidge judge."
        )
    if rows < rule.least_batch:
        raise ValueError(
            f"{what} must be at least {rule.least_batch} for this {name}, which learns nothing "
            f"from fewer examples at once; got {rows}."
        )


def check_theta_of(rule: AbstractRule, theta: PyTree) -> None:
    """Refuse a θ that is not finite or, of rules of hebbax, not one of this rule.

    **Raises:** `ValueError` naming the array, if it is one.
    """
    check_theta(theta)
    # Rules of others may be happy with any.
    if not type(rule).__module__.startswith("hebbax."):
        return
    wanted = jax.eval_shape(rule.init, jax.random.key(0))
    if jax.tree.structure(wanted) != jax.tree.structure(theta):
        raise ValueError(f"theta must be one of this {type(rule).__name__}; got {shown(theta)}.")
    for (path, leaf), given in zip(
        jax.tree_util.tree_leaves_with_path(wanted), jax.tree.leaves(theta), strict=True
    ):
        found: Any = jnp.shape(given)
        if found != leaf.shape:
            raise ValueError(
                f"theta{jax.tree_util.keystr(path)} must have the shape {list(leaf.shape)} for "
                f"this {type(rule).__name__}; got {list(found)}."
            )
