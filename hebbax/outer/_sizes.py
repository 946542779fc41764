"""Which layer sizes the networks have that learn the tasks of a family."""

from collections.abc import Sequence
from typing import cast

from hebbax.networks import Hidden, Units
from hebbax.outer.objectives import AbstractObjective
from hebbax.tasks import AbstractFamily


def layer_sizes(
    families: Sequence[AbstractFamily], index: int, hidden: Hidden, objective: AbstractObjective
) -> tuple[int, ...]:
    """Return the layer sizes of networks that learn tasks of the family with this index.

    `objective` may say how many `outputs` they have, whatever the task.
    """
    if hidden and isinstance(hidden[0], tuple):
        hidden = cast(tuple[Units, ...], hidden)[index]
    outputs = objective.outputs or families[index].outputs
    return (families[index].inputs, *cast(Units, hidden), outputs)
