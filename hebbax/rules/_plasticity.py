"""What a rule says of one change of its synapses, so that the signals it reads can be traced."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

Neurons = tuple[Float[Array, "_ _"], ...]
Synapses = tuple[Float[Array, "_ _ _"], ...]


class Plasticity(NamedTuple):
    """One change of all synapses, with the signals that it may read as explicit arguments.

    **Fields:**

    - `neurons` `[units, signals]`: for each layer, the input first, what every unit carries then:
      its states for all examples of the batch, or the messages that meet in it.
    - `synapses` `[senders, receivers, states]`: for each pair of layers, all synapses' states.
    - `change`: takes both and returns the next `synapses`.
    """

    neurons: Neurons
    synapses: Synapses
    change: Callable[[Neurons, Synapses], Synapses]
