"""The network state φ of BLUR: synapses, nothing else."""

import itertools
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax.rules.blur._normalization import Statistics, column_norm


class Synapses(eqx.Module):
    """The synapses between two neighbouring layers.

    The leading axis counts synapse states: `k`, or 1 where one state serves all.

    **Fields:**

    - `weight` `[s, upper, lower]`: read by the forward pass; rows are receivers.
    - `bias` `[s, upper]`: from a unit whose states are all 1; None without biases.
    - `backward` `[s, lower, upper]`: read by the backward pass. None where the backward pass
      reads the transposed `weight`, and below the first hidden layer, where nothing reads it.
    """

    weight: Float[Array, "s upper lower"]
    bias: Float[Array, "s upper"] | None
    backward: Float[Array, "s lower upper"] | None


class Network(eqx.Module):
    """A fully connected network, input side first.

    **Fields:**

    - `layers`: the synapses between each layer and the next.
    - `statistics`: what activation normalisation uses in predictions, one for each
      normalised layer; None without it.
    - `updates`: how many updates these statistics have seen; None without them.
    """

    layers: tuple[Synapses, ...]
    statistics: tuple[Statistics, ...] | None = None
    updates: Float[Array, ""] | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, input first."""
        first, *rest = (layer.weight.shape[-2:] for layer in self.layers)
        return (first[1], first[0], *(shape[0] for shape in rest))


def draw(
    key: PRNGKeyArray,
    sizes: Sequence[int],
    states: int,
    *,
    bias: bool,
    tied: bool,
    copied: bool,
    fan_in: bool,
) -> Network:
    """Draw synapses, standard normal.

    `tied`: no backward synapses of their own. `copied`: backward synapses that start as the
    transposed forward ones. `fan_in`: divided by the square root of the number of senders.
    """
    layers = []
    for index, (lower, upper) in enumerate(itertools.pairwise(sizes)):
        k_weight, k_bias, k_backward = jax.random.split(jax.random.fold_in(key, index), 3)

        def sample(k: PRNGKeyArray, shape: tuple[int, ...], senders: int) -> Float[Array, "..."]:
            scale = 1 / math.sqrt(senders) if fan_in else 1.0
            return scale * jax.random.normal(k, shape)

        weight = sample(k_weight, (states, upper, lower), lower)
        if index == 0 or tied:
            backward = None
        elif copied:
            backward = jnp.swapaxes(weight, 1, 2)
        else:
            backward = sample(k_backward, (states, lower, upper), upper)
        layers.append(
            Synapses(
                weight,
                sample(k_bias, (states, upper), lower) if bias else None,
                backward,
            )
        )
    return Network(tuple(layers))


def normalized(synapses: Synapses, size: Float[Array, ""] | None) -> Synapses:
    """Give the synapses of every receiver, its bias among them, the norm `size`, or 1."""
    size = jnp.ones(()) if size is None else size
    scale = size / column_norm(synapses.weight, synapses.bias)
    bias, backward = synapses.bias, synapses.backward
    return Synapses(
        scale * synapses.weight,
        None if bias is None else scale[:, :, 0] * bias,
        None if backward is None else size / column_norm(backward, None) * backward,
    )
