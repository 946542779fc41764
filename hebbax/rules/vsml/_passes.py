"""How a datum runs up through stacked layers, and its error down (VSML sec. 3.1 and eq. 14)."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.vsml import cells
from hebbax.rules.vsml._meta_parameters import SharedCell
from hebbax.rules.vsml._network import Feedback, Layer, Network, Up, bundled


class Wiring(NamedTuple):
    """The options of `Vsml` that the passes read; those of the same names mean the same."""

    cell: str
    ticks: int
    reduction: str
    clip: float | None
    error_as: str
    coordinates: tuple[str, ...]
    quiet_forward: bool
    gains: tuple[float, ...]
    bundles: tuple[int, int]


class Upward(NamedTuple):
    """What a forward pass leaves.

    **Fields:** `net`, with new states and messages; `received`, the forward message that each layer
    read, its first channels; `sent` `[m, copies, out]`, the forward message of the last layer.
    """

    net: Network
    received: tuple[Float[Array, "_ copies _"], ...]
    sent: Float[Array, "m copies out"]


def forward(
    wiring: Wiring,
    theta: SharedCell,
    net: Network,
    x: Float[Array, "copies in"],
    feedback: Feedback | None,
) -> Upward:
    """Run `x` through all layers from below.

    Each input is the first channel of what all sub-RNNs of its row receive from below, or one of
    the first channels where inputs are bundled. `feedback` is fed to the last layer; None for
    zeros. Backward messages are read as the last pass left them, or as zeros if the pass is to be
    quiet, and the new ones are stored.
    """
    message: Up = bundled(x, wiring.bundles[0])
    read = tuple(jnp.zeros_like(d) if wiring.quiet_forward else d for d in net.downward)
    layers, downward, received = [], [], []
    for index in range(len(net.layers)):
        received.append(message)
        changed = run_layer(wiring, theta, net, index, message, read, feedback)
        layers.append(changed)
        if index > 0:
            downward.append(_down(wiring, theta, changed))
        sent = cells.send_up(theta.forward_head, changed.h, wiring.reduction)
        message = _times(wiring.gains[0], sent)
    changed = dataclasses.replace(net, layers=tuple(layers), downward=tuple(downward))
    return Upward(changed, tuple(received), message)


def backward(wiring: Wiring, theta: SharedCell, upward: Upward, feedback: Feedback) -> Network:
    """Run the error of the same datum through all layers from above.

    Forward messages are those of the forward pass; backward messages are read in this same pass.
    """
    net = upward.net
    layers, downward = list(net.layers), list(net.downward)
    for index in reversed(range(len(layers))):
        layers[index] = run_layer(
            wiring, theta, net, index, upward.received[index], tuple(downward), feedback
        )
        if index > 0:
            downward[index - 1] = _down(wiring, theta, layers[index])
    return dataclasses.replace(net, layers=tuple(layers), downward=tuple(downward))


def _down(wiring: Wiring, theta: SharedCell, layer: Layer) -> Float[Array, "m copies in"]:
    sent = cells.send_down(theta.backward_head, layer.h, wiring.reduction)
    return _times(wiring.gains[1], sent)


def _times(gain: float, message: Float[Array, "m copies _"]) -> Float[Array, "m copies _"]:
    # Not computed where it changes nothing, so that the same bits come out as without gains.
    return message if gain == 1.0 else gain * message


def run_layer(
    wiring: Wiring,
    theta: SharedCell,
    net: Network,
    index: int,
    up: Up,
    downward: tuple[Float[Array, "_ _ _"], ...],
    feedback: Feedback | None,
) -> Layer:
    """Tick a layer as often as the wiring says, always on the same messages."""
    layer = net.layers[index]
    fed = None
    if index < len(net.layers) - 1:
        down = downward[index]
    elif feedback is None or wiring.error_as == "input":
        copies = 1 if feedback is None else feedback.shape[1]
        down, fed = jnp.zeros((0, copies, layer.h.shape[2]), up.dtype), feedback
    else:
        down = feedback
    inputs = cells.Inputs(up, down, fed, *_places(wiring, net, index, up.dtype))
    for _ in range(wiring.ticks):
        layer = cells.tick(wiring.cell, theta, layer, inputs)
        if wiring.clip is not None:
            limits = (-wiring.clip, wiring.clip)
            c = None if layer.c is None else jnp.clip(layer.c, *limits)
            layer = Layer(jnp.clip(layer.h, *limits), c)
    return layer


def _places(
    wiring: Wiring, net: Network, index: int, dtype: jnp.dtype
) -> tuple[Float[Array, "place in"] | None, Float[Array, "places out"] | None]:
    """Return the coordinates of the sub-RNNs of a layer (VSML app. D).

    Places run from −1 to 1 along their axis and are 0 where there is only one; time is
    log(1 + data seen).
    """

    def spread(count: int) -> Float[Array, " count"]:
        return (2 * jnp.arange(count, dtype=dtype) - (count - 1)) / max(count - 1, 1)

    outputs, inputs = net.layers[index].h.shape[2:]
    down = []
    if "output" in wiring.coordinates:
        down.append(spread(outputs))
    if "layer" in wiring.coordinates:
        down.append(jnp.broadcast_to(spread(len(net.layers))[index], outputs))
    if "time" in wiring.coordinates:
        assert net.time is not None
        down.append(jnp.broadcast_to(jnp.log1p(net.time), outputs))
    up = spread(inputs)[None] if "input" in wiring.coordinates else None
    return up, jnp.stack(down) if down else None
