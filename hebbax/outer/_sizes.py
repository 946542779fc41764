"""Which layers the networks have that learn the tasks of a family."""

from collections.abc import Sequence
from typing import Any

from hebbax.networks import Hidden, Wiring, between
from hebbax.outer.objectives import AbstractObjective
from hebbax.tasks import AbstractFamily


def layer_sizes(
    families: Sequence[AbstractFamily], index: int, hidden: Hidden, objective: AbstractObjective
) -> tuple[int, ...] | Wiring:
    """Return the layer sizes, or the wiring, of networks that learn tasks of this family.

    `objective` may say how many `outputs` they have, whatever the task.
    """
    family = families[index]
    units: Any = hidden
    if isinstance(units, tuple) and units and not isinstance(units[0], int):
        units = units[index]
    outputs = objective.outputs or family.outputs
    return between(units, family.inputs, outputs, family.image)
