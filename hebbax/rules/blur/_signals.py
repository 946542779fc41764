"""The change of all synapses as a function of the states that neurons and synapses have."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules._plasticity import Neurons, Plasticity
from hebbax.rules._plasticity import Synapses as Joined
from hebbax.rules.blur._network import Network, Synapses

Layers = list[Float[Array, "k _ batch"]]


def plasticity(
    net: Network,
    x: Float[Array, "batch in"],
    forward: Layers,
    final: Layers,
    change: Callable[[Network, Array, Layers, Layers], Network],
) -> Plasticity:
    """Let `change`, of a network, its input and its neurons' states, read them from signals.

    `forward` and `final` are the states after the forward and after the backward pass.
    """
    seen = [jnp.concatenate(pair) for pair in zip(final, forward, strict=True)]
    k, batch = len(final[0]), len(x)

    def changed(neurons: Neurons, synapses: Joined) -> Joined:
        layers = [n.reshape(len(n), -1, batch).swapaxes(0, 1) for n in neurons[1:]]
        before = [layer[k:] for layer in layers]
        after = [layer[:k] for layer in layers]
        return _joined(change(_split(synapses, net), neurons[0].T, before, after))

    units = (s.swapaxes(0, 1).reshape(s.shape[1], -1) for s in seen)
    return Plasticity((x.T, *units), _joined(net), changed)


def _joined(net: Network) -> Joined:
    """Return every synapse's states in one array for each layer, those of both directions."""
    layers = []
    for synapses in net.layers:
        forward = jnp.transpose(synapses.weight, (2, 1, 0))
        own = synapses.backward_of(0)
        if own is None:
            layers.append(forward)
        else:
            backward = jnp.transpose(own, (1, 2, 0))
            layers.append(jnp.concatenate([forward, backward], axis=2))
    return tuple(layers)


def _split(layers: Joined, like: Network) -> Network:
    """Undo `_joined`; biases and all else are those of `like`."""
    split = []
    for states, old in zip(layers, like.layers, strict=True):
        s = len(old.weight)
        weight = jnp.transpose(states[:, :, :s], (2, 1, 0))
        backward = old.backward_of(0)
        if backward is not None:
            backward = jnp.transpose(states[:, :, s:], (2, 0, 1))
        split.append(Synapses(weight, old.bias, backward))
    return eqx.tree_at(lambda n: n.layers, like, tuple(split))
