"""What makes no sense to be judged: features as if they were logits, labels that are none."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray

from hebbax.losses import Classification
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily


def check_judged(rule: AbstractRule, family: AbstractFamily, rows: int, key: PRNGKeyArray) -> None:
    """Refuse to judge what cannot be judged.

    **Raises:** `ValueError` if the rule's networks do not learn what targets say, an update would
    have fewer rows than the rule learns from, or the targets of a family of classes are not
    one-hot.
    """
    name = type(rule).__name__
    if not rule.learns_from_labels:
        raise ValueError(
            f"rule must learn from labels for its accuracy to be taken; {name} makes features, "
            f"which PlasticFeatures and objectives.FewShotRidge judge."
        )
    if rows < rule.least_batch:
        raise ValueError(
            f"batch must be at least {rule.least_batch} for this {name}, which learns nothing "
            f"from fewer examples at once; got {rows}."
        )
    if isinstance(family.goal, Classification) and not _one_hot(family, key):
        raise ValueError(
            f"the targets of {family.name} must be one-hot, or one column in {{0, 1}}, for "
            f"cross-entropy and accuracy to have a meaning; those of its test set are not."
        )


@eqx.filter_jit
def _one_hot(family: AbstractFamily, key: PRNGKeyArray) -> Bool[Array, ""]:
    y = family.draw(key).test_set()[1]
    one = jnp.ones(()) if y.shape[1] == 1 else jnp.sum(y, axis=1)
    return jnp.all((y == 0) | (y == 1)) & jnp.all(one == 1)
