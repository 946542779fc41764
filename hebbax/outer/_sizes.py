"""Which layers the networks have that learn the tasks of a family."""

from collections.abc import Sequence
from typing import cast

from hebbax.networks import Hidden, Units, Wiring, between
from hebbax.outer.objectives import AbstractObjective
from hebbax.tasks import AbstractFamily


def layer_sizes(
    families: Sequence[AbstractFamily], index: int, hidden: Hidden, objective: AbstractObjective
) -> tuple[int, ...] | Wiring:
    """Return the layer sizes, or the wiring, of networks that learn tasks of this family.

    `objective` may say how many `outputs` they have, whatever the task.
    """
    family = families[index]
    units = hidden
    if isinstance(hidden, tuple) and hidden and not isinstance(hidden[0], int):
        units = hidden[index]
    outputs = objective.outputs or family.outputs
    return between(cast(Units, units), family.inputs, outputs, family.image)
