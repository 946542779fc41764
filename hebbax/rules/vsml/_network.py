"""The network state φ of VSML: what its sub-RNNs remember, and messages on their way.

Arrays are `[unit, copy, output, input]`: the paper's s_abj is `[j, :, b, a]`. All gates of all
sub-RNNs then come from one matrix product with a short left factor, and everything else runs along
the inputs, which are many and contiguous.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Grid = Float[Array, "s copies out in"]
Up = Float[Array, "up copies in"]
# Of these, one copy may serve all.
Down = Float[Array, "down _ out"]
Feedback = Float[Array, "fed _ _"]


class Layer(eqx.Module):
    """The states of a layer's sub-RNNs: one for each pair of input and output.

    **Fields:** `h`, and for the LSTM `c`, `[s, copies, out, in]`.
    """

    h: Grid
    c: Grid | None


class Network(eqx.Module):
    """Stacked layers, input side first.

    **Fields:**

    - `layers`: their states, the learned variables V_L.
    - `downward`: for each layer but the last, the backward message `[m, copies, out]` that it will
      read in the next forward pass, sent by the layer above it.
    - `feedback`: the error, and the label if that is fed too, `[1 or 2, copies, out]`, or so many
      for each output of a bundle, of the last datum, read with the next; None where they are read
      with their own datum.
    - `time`: data seen; None where no sub-RNN is told.
    - `ends`: inputs and outputs, where they are bundled; None where each has a sub-RNN's end.
    """

    layers: tuple[Layer, ...]
    downward: tuple[Float[Array, "m copies _"], ...] = ()
    feedback: Feedback | None = None
    time: Float[Array, ""] | None = None
    ends: tuple[int, int] | None = eqx.field(static=True, default=None)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, input first."""
        hidden = tuple(layer.h.shape[2] for layer in self.layers[:-1])
        if self.ends is not None:
            return (self.ends[0], *hidden, self.ends[1])
        return (self.layers[0].h.shape[3], *hidden, self.layers[-1].h.shape[2])

    @property
    def copies(self) -> int:
        """How many networks run side by side."""
        return self.layers[0].h.shape[1]


def draw(
    key: PRNGKeyArray,
    sizes: Sequence[int],
    *,
    states: int,
    messages: int,
    copies: int,
    fed: int,
    gated: bool,
    everything: bool,
    line: Sequence[float] | None,
    timed: bool,
    bundles: tuple[int, int] = (1, 1),
) -> Network:
    """Draw states of deviation 1/√inputs, the same in every copy.

    Random are the first half of the units of `c` (of `h` if not `gated`), or with `everything` all
    units of both; the rest is zero, as are the messages. With a `line` each sub-RNN draws one
    number instead, a normal cut off at 2, and its first states of `c` (of `h`) are that number
    times the line. `fed` is how many rows of feedback wait for the next datum, 0 for none.
    `bundles` says how many inputs and outputs share a sub-RNN's end.
    """
    ends = None if bundles == (1, 1) else (sizes[0], sizes[-1])
    sizes = (-(-sizes[0] // bundles[0]), *sizes[1:-1], -(-sizes[-1] // bundles[1]))
    layers = []
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        k_h, k_c = jax.random.split(jax.random.fold_in(key, index))

        def sample(k: PRNGKeyArray, units: int, a: int = inputs, b: int = outputs) -> Grid:
            if line is not None and units:
                number = jax.random.truncated_normal(k, -2.0, 2.0, (1, 1, b, a))
                drawn = jnp.asarray(line)[:, None, None, None] * number
            else:
                drawn = jax.random.truncated_normal(k, -2.0, 2.0, (units, 1, b, a)) / math.sqrt(a)
            drawn = jnp.pad(drawn, [(0, states - len(drawn)), (0, 0), (0, 0), (0, 0)])
            return jnp.repeat(drawn, copies, axis=1)

        units = states if everything else states // 2
        if gated:
            layers.append(Layer(sample(k_h, states if everything else 0), sample(k_c, units)))
        else:
            layers.append(Layer(sample(k_h, units), None))
    return Network(
        tuple(layers),
        tuple(jnp.zeros((messages, copies, size)) for size in sizes[1:-1]),
        jnp.zeros((fed, copies, sizes[-1])) if fed else None,
        jnp.zeros(()) if timed else None,
        ends,
    )


def bundled(values: Float[Array, "*rows n"], bundle: int) -> Float[Array, "channels *rows grid"]:
    """Give each bundle of values a place, and each value of it a channel; zeros fill the last."""
    missing = -values.shape[-1] % bundle
    values = jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
    return jnp.moveaxis(values.reshape(*values.shape[:-1], -1, bundle), -1, 0)


def unbundled(message: Float[Array, "channels *rows grid"], count: int) -> Float[Array, "*rows n"]:
    """Undo `bundled`, for so many values."""
    values = jnp.moveaxis(message, 0, -1)
    return values.reshape(*values.shape[:-2], -1)[..., :count]


def averaged(net: Network, units: int) -> Network:
    """Replace the first `units` of every state by their mean over the copies."""

    def mean(state: Grid) -> Grid:
        part = state[:units]
        part = jnp.broadcast_to(jnp.mean(part, axis=1, keepdims=True), part.shape)
        return jnp.concatenate([part, state[units:]])

    return eqx.tree_at(lambda n: n.layers, net, jax.tree.map(mean, net.layers))


def one_copy(net: Network) -> Network:
    """Return the mean of all copies, states and messages, as a network of one copy."""
    layers, downward, feedback = jax.tree.map(
        lambda a: jnp.mean(a, axis=1, keepdims=True), (net.layers, net.downward, net.feedback)
    )
    return dataclasses.replace(net, layers=layers, downward=downward, feedback=feedback)
