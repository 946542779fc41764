"""What makes no sense to be judged: features as if they were logits, updates of too few rows."""

from hebbax.rules import AbstractRule


def check_judged(rule: AbstractRule, rows: int) -> None:
    """Refuse to judge what cannot be judged.

    **Raises:** `ValueError` if the rule's networks do not learn what targets say, or an update
    would have fewer rows than the rule learns from.
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
