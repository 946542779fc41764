"""What makes no sense to be judged: features as if they were logits, targets that are no labels."""

from typing import Any

import numpy as np

from hebbax.rules import AbstractRule


def check_judged(rule: AbstractRule, rows: int) -> None:
    """Refuse to take the accuracy of what has none.

    **Raises:** `ValueError` if the rule's networks do not learn what labels say, or an update would
    have fewer rows than the rule learns from.
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


def check_one_hot(name: str, targets: Any) -> None:
    """Refuse targets `[*lead, out]` that are no labels. **Raises:** `ValueError`."""
    y = np.asarray(targets)
    one = 1 if y.shape[-1] == 1 else np.sum(y, axis=-1)
    if not (np.all((y == 0) | (y == 1)) and np.all(one == 1)):
        raise ValueError(
            f"the targets of {name} must be one-hot, or one column in {{0, 1}}, for "
            f"cross-entropy and accuracy to have a meaning; those of its test set are not."
        )
