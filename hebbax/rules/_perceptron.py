"""`Perceptron`: the network of rules whose units have one state, of any architecture."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._draws import draws, numbered
from hebbax.networks import Layer, Wiring, from_rows, gather, mlp, spread
from hebbax.rules._rule import Sizes, as_wiring

Signal = Float[Array, "1 _ batch"]


class Perceptron(eqx.Module):
    """A network, input side first.

    Receivers are a layer's units, or its channels where the units of a channel share their
    synapses; senders are all that one receiver hears, of one connection after the other.

    **Fields:**

    - `weights` `[senders, receivers]`, `biases` `[receivers]`: of each layer.
    - `wiring`: which layers and connections there are; None where all is fully connected.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]
    wiring: Wiring | None = eqx.field(static=True, default=None)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, input first."""
        if self.wiring is not None:
            return tuple(shape.units for shape in self.wiring.shapes)
        return (self.weights[0].shape[0], *(w.shape[1] for w in self.weights))

    @property
    def wired(self) -> Wiring:
        """The wiring, also of a fully connected network."""
        if self.wiring is not None:
            return self.wiring
        inputs, *hidden, outputs = self.sizes
        return mlp(*hidden).bind(inputs, outputs)

    def __call__(
        self, x: Float[Array, "batch in"], activation: Callable[[Array], Array]
    ) -> list[Float[Array, "batch _"]]:
        """Return the activity of every layer but the input; the last one is linear."""
        if self.wiring is not None:
            signals, _ = self.signals(x, activation)
            return [signal[0].T for signal in signals[1:]]
        layers = []
        for index, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ w + b[None]
            if index < len(self.weights) - 1:
                x = activation(x)
            layers.append(x)
        return layers

    def signals(
        self,
        x: Float[Array, "batch in"],
        activation: Callable[[Array], Array],
        between: Callable[[int, Signal], Signal] = lambda _, drive: drive,
    ) -> tuple[list[Signal], list[Signal]]:
        """Return the activity of every layer, the input first, and what drives all but that.

        `between` gets the layer's number, the first above the input being 0, and what arrives, and
        returns what drives it.
        """
        wiring = self.wired
        signals, drives = [from_rows(x, wiring.input)], []
        for layer, w, b in zip(wiring.layers, self.weights, self.biases, strict=True):
            drive = spread(b[None], layer.shape.units)[:, :, None]
            for connection, part in layer.parts(w.T[None]):
                drive = drive + connection.send(signals[connection.source], part)
            for connection in layer.connections[len(layer.plastic) :]:
                drive = drive + connection.hear(signals[connection.source])
            drives.append(between(len(drives), drive))
            last = len(drives) == len(wiring.layers)
            signals.append(drives[-1] if last else activation(drives[-1]))
        return signals, drives


def draw_perceptron(key: PRNGKeyArray, sizes: Sizes) -> Perceptron:
    """Draw weights of variance one over the number of senders; biases are zero."""
    wiring = as_wiring(sizes)
    shapes = [(layer.senders, layer.rows) for layer in wiring.layers]
    drawn = draws(jax.random.normal, [*numbered(key, len(shapes), lambda k: k)], shapes)
    weights = tuple(w / jnp.sqrt(w.shape[0]) for w in drawn)
    biases = tuple(jnp.zeros(rows) for _, rows in shapes)
    return Perceptron(weights, biases, None if wiring.chain else wiring)


def meeting(
    layer: Layer, signals: Sequence[Signal], post: Signal
) -> tuple[Float[Array, "senders receivers"], Float[Array, " receivers"]]:
    """Return the sum over examples and places of what meets in each synapse, and each bias."""
    parts = [c.hebb(signals[c.source], post)[0].T for c in layer.plastic]
    return jnp.concatenate(parts), jnp.sum(gather(post, layer.rows)[0], axis=1)
