"""The network state φ of BLUR: synapses, and what options keep beside them."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._draws import draws, numbered
from hebbax.networks import Layer, Wiring, mlp
from hebbax.rules.blur._memory import Memory
from hebbax.rules.blur._normalization import Statistics, column_norm

Block = Float[Array, "s _ _"]


class Synapses(eqx.Module):
    """The synapses into a layer.

    The leading axis counts synapse states: `k`, or 1 where one state serves all. Receivers are the
    layer's units, or its channels where the units of a channel share their synapses; senders are
    all that one receiver hears, of one connection after the other.

    **Fields:**

    - `weight` `[s, receivers, senders]`: read by the forward pass.
    - `bias` `[s, receivers]`: from a unit whose states are all 1; None without biases.
    - `backward` `[s, lower, upper]`: read by the backward pass; rows are who receives then, in the
      order of `networks.Connection.turned`. None where the backward pass reads the turned `weight`,
      and above the input, where nothing reads it. Of several connections, a tuple of them.
    """

    weight: Float[Array, "s receivers senders"]
    bias: Float[Array, "s receivers"] | None
    backward: Float[Array, "s _ _"] | tuple[Float[Array, "s _ _"] | None, ...] | None

    def backward_of(self, place: int) -> Float[Array, "s _ _"] | None:
        """Return the backward synapses of the connection with this number."""
        if isinstance(self.backward, tuple):
            return self.backward[place]
        return self.backward


class Network(eqx.Module):
    """A network of any architecture, input side first.

    **Fields:**

    - `layers`: the synapses into each layer.
    - `statistics`: what activation normalisation uses in predictions, one for each
      normalised layer; None without it.
    - `updates`: how many updates these statistics have seen; None without them.
    - `wiring`: of which layers and connections the network is; None where it is fully connected.
    - `memory`: what else persists from update to update; None unless options ask for something.
    """

    layers: tuple[Synapses, ...]
    statistics: tuple[Statistics, ...] | None = None
    updates: Float[Array, ""] | None = None
    wiring: Wiring | None = eqx.field(static=True, default=None)
    memory: Memory | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, input first."""
        if self.wiring is not None:
            return tuple(shape.units for shape in self.wiring.shapes)
        first, *rest = (layer.weight.shape[-2:] for layer in self.layers)
        return (first[1], first[0], *(shape[0] for shape in rest))

    @property
    def wired(self) -> Wiring:
        """The wiring, also of a fully connected network."""
        if self.wiring is not None:
            return self.wiring
        inputs, *hidden, outputs = self.sizes
        return mlp(*hidden).bind(inputs, outputs)


def draw(
    key: PRNGKeyArray,
    wiring: Wiring,
    states: int,
    *,
    bias: bool,
    tied: bool,
    copied: bool,
    fan_in: bool,
) -> Network:
    """Draw synapses, standard normal.

    `tied`: no backward synapses of their own. `copied`: backward synapses that start as the
    forward ones. `fan_in`: divided by the square root of the number of senders.
    """
    asked: list[tuple[PRNGKeyArray, tuple[int, ...], float]] = []
    places: list[tuple[int, int | None, dict[int, int]]] = []
    keys = numbered(key, len(wiring.layers), lambda k: jax.random.split(k, 3))
    for layer, (k_weight, k_bias, k_backward) in zip(wiring.layers, keys, strict=True):

        def ask(k: PRNGKeyArray, shape: tuple[int, ...], senders: float) -> int:
            asked.append((k, shape, senders))
            return len(asked) - 1

        weight = ask(k_weight, (states, layer.rows, layer.senders), float(layer.senders))
        own = {
            place: ask(
                jax.random.fold_in(k_backward, place) if place else k_backward,
                (states, c.backward_rows, c.backward_senders),
                c.backward_fan_in,
            )
            for place, c in enumerate(layer.plastic)
            if not (c.source == 0 or tied or copied)
        }
        offset = ask(k_bias, (states, layer.rows), float(layer.senders)) if bias else None
        places.append((weight, offset, own))

    drawn = draws(jax.random.normal, [k for k, _, _ in asked], [shape for _, shape, _ in asked])
    if fan_in:
        drawn = [1 / math.sqrt(n) * a for a, (_, _, n) in zip(drawn, asked, strict=True)]
    layers = []
    for layer, (weight, offset, own) in zip(wiring.layers, places, strict=True):
        backward: list[Block | None] = []
        for place, (c, part) in enumerate(layer.parts(drawn[weight])):
            if c.source == 0 or tied:
                backward.append(None)
            elif copied:
                backward.append(c.turned(part))
            else:
                # Where there is no synapse, the zeros that `turned` has.
                backward.append(c.turned(c.unturned(drawn[own[place]])))
        layers.append(
            Synapses(
                drawn[weight],
                None if offset is None else drawn[offset],
                together(layer, backward),
            )
        )
    return Network(tuple(layers), wiring=None if wiring.chain else wiring)


def together(layer: Layer, backward: list[Block | None]) -> Block | tuple[Block | None, ...] | None:
    """Return the backward synapses of all connections as `Synapses` holds them."""
    if len(layer.plastic) == 1:
        return backward[0]
    return None if all(block is None for block in backward) else tuple(backward)


def normalized(synapses: Synapses, size: Float[Array, ""] | None) -> Synapses:
    """Give the synapses of every receiver, its bias among them, the norm `size`, or 1."""
    size = jnp.ones(()) if size is None else size
    scale = size / column_norm(synapses.weight, synapses.bias)
    bias = synapses.bias
    return Synapses(
        scale * synapses.weight,
        None if bias is None else scale[:, :, 0] * bias,
        jax.tree.map(lambda block: size / column_norm(block, None) * block, synapses.backward),
    )
