"""The change of all sub-RNNs as a function of the messages that meet in the neurons."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules._plasticity import Neurons, Plasticity, Synapses
from hebbax.rules.vsml._meta_parameters import SharedCell
from hebbax.rules.vsml._network import Feedback, Layer, Network
from hebbax.rules.vsml._passes import Upward, Wiring, run_layer

Messages = Float[Array, "_ _ _"]


def plasticity(
    wiring: Wiring,
    theta: SharedCell,
    upward: Upward,
    downward: tuple[Messages, ...],
    feedback: Feedback,
) -> Plasticity:
    """Take a pass through all layers at once: every sub-RNN ticks on given messages."""
    net = upward.net
    ups: tuple[Messages | None, ...] = (*upward.received, None)
    downs: tuple[Messages | None, ...] = (None, *downward, feedback)
    neurons = tuple(_units(u, d) for u, d in zip(ups, downs, strict=True))

    def change(neurons: Neurons, synapses: Synapses) -> Synapses:
        split = [_messages(n, u, d) for n, u, d in zip(neurons, ups, downs, strict=True)]
        layers = [_layer(s, like) for s, like in zip(synapses, net.layers, strict=True)]
        below = [up for up, _ in split[:-1]]
        above = [down for _, down in split[1:]]
        changing = Network(tuple(layers), tuple(above[:-1]), None, net.time, net.ends)
        changed = [
            run_layer(wiring, theta, changing, index, up, tuple(above[:-1]), above[-1])
            for index, up in enumerate(below)
        ]
        return tuple(_states(layer) for layer in changed)

    return Plasticity(neurons, tuple(_states(layer) for layer in net.layers), change)


def _units(*messages: Messages | None) -> Float[Array, "_ _"]:
    return jnp.concatenate([m.reshape(-1, m.shape[2]) for m in messages if m is not None]).T


def _messages(units: Float[Array, "_ _"], *like: Messages | None) -> list[Messages]:
    """Undo `_units`; where there was no message there is an empty one."""
    found, start = [], 0
    for message in like:
        count = 0 if message is None else message.shape[0] * message.shape[1]
        shape = (0, 1, len(units)) if message is None else message.shape
        found.append(units.T[start : start + count].reshape(shape))
        start += count
    return found


def _states(layer: Layer) -> Float[Array, "_ _ _"]:
    states = layer.h if layer.c is None else jnp.concatenate([layer.h, layer.c])
    return jnp.transpose(states, (3, 2, 0, 1)).reshape(*states.shape[:1:-1], -1)


def _layer(states: Float[Array, "_ _ _"], like: Layer) -> Layer:
    s, copies = like.h.shape[:2]
    shape = (*states.shape[:2], -1, copies)
    grids = jnp.transpose(states.reshape(shape), (2, 3, 1, 0))
    return Layer(grids[:s], None if like.c is None else grids[s:])
