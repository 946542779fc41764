"""`Vsml`: variable shared meta-learning (Kirsch and Schmidhuber, 2020)."""

import dataclasses
import math
from typing import Annotated, Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._options import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    POSITIVE,
    Range,
    as_tuple,
    check_options,
)
from hebbax.losses import Targets
from hebbax.rules._plasticity import Plasticity
from hebbax.rules._rule import AbstractRule, Sizes, Told, check_batch, check_sizes
from hebbax.rules.vsml import _messages as messages
from hebbax.rules.vsml import _passes as passes
from hebbax.rules.vsml._meta_parameters import SharedCell, draw_cell, draw_head, halved
from hebbax.rules.vsml._network import (
    Feedback,
    Network,
    averaged,
    bundled,
    draw,
    one_copy,
    unbundled,
)
from hebbax.rules.vsml._options import check_together
from hebbax.rules.vsml._passes import Upward, Wiring

MOST_IN_BUNDLE = 1024
ROWS_AT_ONCE = 2**20
"""Pre-activations, about, that are computed at once where rows of a batch do not depend on each
other: few enough for a processor's cache."""


class Vsml(AbstractRule):
    """One small recurrent network in every synapse, with the same weights in all of them.

    A layer of A inputs and B outputs is a grid of A × B sub-RNNs. Their shared weights are the
    meta-parameters V_M, their states the learned variables V_L: what a conventional network keeps
    in its weights, and how it changes them, is up to the sub-RNNs. Each receives the mean message
    of the sub-RNNs that end at its input (eq. 3) and of those that begin at its output (eq. 14).
    Learning is running the network.

    Each datum takes a forward pass: every input is the first channel of what its row of sub-RNNs
    receives from below, for all outputs (sec. 3.1 with app. C), and the prediction is a channel of
    what the last layer sends up. Then the prediction error, softmax − one-hot (sigmoid − label if
    there is one output), is fed to the last layer. Layers have their own states and share their
    weights.

    The rows of a batch are data one after another, so that a batch of 128 is a lifetime of 128
    steps, and each row's prediction comes after the changes by the rows before it; see `batch`
    for other ways. Without labels nothing is changed.

    **Arguments:**

    - `state_size`: S ≥ 2, units of a sub-RNN; an LSTM has S hidden and S cell states.
    - `message_size`: M, channels of a message, for the LSTM; the other cells send their states.
    - `cell`: `lstm`, `vanilla` (eqs. 3 and 14), or `multiplicative` (eq. 5: in the first half of
      the units the own term times the forward interaction, in the others their sum).
    - `ticks`, 1 to 100: in each pass, on the same messages.
    - `feedback`: `same_datum` runs a second pass from above, with the error, on the datum that
      caused it; `next_datum` feeds the error to the forward pass of the datum after, and errors
      then take as many data as there are layers to come down. Meta-training leaves its plateau 4
      to 5 times sooner with the former (2 ticks a datum either way, with 1 and 2 `ticks`).
    - `error_as`: the error is an `input` of its own, or a `message`, the first channel of what the
      last layer receives from above.
    - `feed_label`: feed the one-hot label as well, as a further input or channel.
    - `reduction`: messages are the `mean` over sub-RNNs, which makes the meta-parameters fit
      networks of any size, or the `sum`, as in the paper; a head's bias is added once.
    - `output_channel`: of the last message that holds the prediction, from 0.
    - `bound`: predictions are bound · tanh(message / bound); None for the message itself.
    - `gate_offset`: added to the LSTM's forget gate and taken from its input gate, so that states
      change slowly at first.
    - `forget_offsets`: what the forget gates of the first and of the last unit have instead; those
      between lie evenly between them. A unit with offset r keeps σ(r) of its cell state at each
      tick, half of it for about ln 2 · exp(r) ticks: 100 with 5, 15,000 with 10. None for
      `gate_offset` in all units.
    - `layer_norm`: normalise each sub-RNN's messages over their channels (LSTM only).
    - `state_clip`: clip states to ± this after every tick; the paper does, at 4, in meta-testing
      (app. D). None for no limit.
    - `batch`: what to do with the rows of a batch: `in_order`; `averaged`, where all start from the
      same states, which are averaged afterwards, all units of them (sec. 3.2, app. D; needs
      `same_datum`); or `half_averaged`, where each row goes to a copy of the network of its own,
      the first half of the units is averaged over the copies before each datum, and errors are
      divided by their number, as in the authors' program.
    - `copies`: how many networks `half_averaged` runs side by side, its batch size. Their averages
      make predictions.
    - `coordinates`: of `input`, `output`, `layer` and `time`, which the sub-RNNs are fed (app. D).
    - `bundles`: how many inputs one sub-RNN of the first layer receives, and how many outputs one
      of the last sends and is told the errors of, each in a channel of its own (sec. 3.1); what is
      missing to the last bundle is zero. The grid has so many times fewer sub-RNNs.
    - `initial`: random initial states in the first `half` of the cell states (of the states of the
      other cells), or in `all` units of all states; or on a `line`, where each sub-RNN draws one
      normal number, cut off at two deviations, whatever its layer's size; the rest is zero.
    - `line`: what that number is multiplied with, for the first cell states; as many as it holds.
    - `gains`: messages up and messages down are multiplied with these. States lie within ±1, and
      what is to be larger, such as a weight, is stored as a part of the gain (app. C).
    - `quiet_forward`: forward passes read zeros in place of the backward messages that the last
      datum left, so that predictions do not depend on it; needs `same_datum`.

    **Raises:** `ValueError` for a value that is not listed above, or if a message is too small for
    what it must carry.
    """

    state_size: Annotated[int, Range(2)] = eqx.field(static=True, default=16)
    message_size: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=10)
    cell: Literal["lstm", "vanilla", "multiplicative"] = eqx.field(static=True, default="lstm")
    ticks: Annotated[int, Range(1, 100)] = eqx.field(static=True, default=1)
    feedback: Literal["same_datum", "next_datum"] = eqx.field(static=True, default="same_datum")
    error_as: Literal["input", "message"] = eqx.field(static=True, default="input")
    feed_label: bool = eqx.field(static=True, default=False)
    reduction: Literal["mean", "sum"] = eqx.field(static=True, default="mean")
    output_channel: Annotated[int, NOT_NEGATIVE] = eqx.field(static=True, default=0)
    bound: Annotated[float, POSITIVE] | None = eqx.field(static=True, default=100.0)
    gate_offset: float = eqx.field(static=True, default=5.0)
    forget_offsets: tuple[float, float] | None = eqx.field(
        static=True, default=None, converter=as_tuple
    )
    layer_norm: bool = eqx.field(static=True, default=False)
    state_clip: Annotated[float, POSITIVE] | None = eqx.field(static=True, default=None)
    batch: Literal["in_order", "averaged", "half_averaged"] = eqx.field(
        static=True, default="in_order"
    )
    copies: Annotated[int, Range(1, 2**16)] = eqx.field(static=True, default=1)
    # A rule file holds a list.
    coordinates: tuple[Literal["input", "output", "layer", "time"], ...] = eqx.field(
        static=True, default=(), converter=as_tuple
    )
    bundles: Annotated[tuple[int, int], Range(1, MOST_IN_BUNDLE)] = eqx.field(
        static=True, default=(1, 1), converter=as_tuple
    )
    initial: Literal["half", "all", "line"] = eqx.field(static=True, default="half")
    line: tuple[float, ...] = eqx.field(static=True, default=(), converter=as_tuple)
    quiet_forward: bool = eqx.field(static=True, default=False)
    gains: Annotated[tuple[float, float], POSITIVE] = eqx.field(
        static=True, default=(1.0, 1.0), converter=as_tuple
    )

    def __check_init__(self) -> None:
        """Refuse options out of range, and cells too small for their roles."""
        check_options(self)
        check_together(self)

    @property
    def least_batch(self) -> int:
        """A row for each copy of the network where rows go to copies."""
        return self.copies if self.batch == "half_averaged" else 1

    @property
    def most_batch(self) -> int | None:
        """One, where rows are data one after another."""
        return 1 if self.batch == "in_order" else None

    @property
    def channels(self) -> int:
        """Channels of a message."""
        return self.message_size if self.cell == "lstm" else self.state_size

    @property
    def fed(self) -> int:
        """Rows of feedback: the errors of a bundle, and the labels if those are fed too."""
        return (2 if self.feed_label else 1) * self.bundles[1]

    # θ

    def init(self, key: PRNGKeyArray) -> SharedCell:
        """Draw the shared sub-RNN; see `SharedCell` for its fields."""
        k_cell, k_up, k_down = jax.random.split(key, 3)
        gated = self.cell == "lstm"
        cell = draw_cell(
            k_cell,
            states=self.state_size,
            messages=self.channels,
            fed=self.fed if self.error_as == "input" else 0,
            coordinates=len(self.coordinates),
            blocks=4 if gated else 1,
        )
        if not gated:
            return cell
        up, down = (
            draw_head(k, self.state_size, self.message_size, self.layer_norm)
            for k in (k_up, k_down)
        )
        return dataclasses.replace(cell, forward_head=up, backward_head=down)

    # φ

    def init_network(self, theta: SharedCell, key: PRNGKeyArray, sizes: Sizes) -> Network:
        """Draw the states of stacked layers with `sizes` units, input first.

        **Raises:** `ValueError` if `sizes` are not at least two positive numbers.
        """
        return draw(
            key,
            check_sizes(sizes),
            states=self.state_size,
            messages=self.channels,
            copies=self.copies,
            fed=self.fed if self.feedback == "next_datum" else 0,
            gated=self.cell == "lstm",
            everything=self.initial == "all",
            line=self.line if self.initial == "line" else None,
            timed="time" in self.coordinates,
            bundles=self.bundles,
        )

    # The inner loop

    def update(
        self,
        theta: SharedCell,
        net: Network,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[Network, Float[Array, "batch out"]]:
        """Run the rows of `x` through the network and feed their errors back.

        Returns the network and each row's prediction before its own label was seen. Without labels
        nothing is changed.

        **Raises:** `ValueError` if the shapes do not fit the network, there is no row, or the rows
        are not as many as `copies` where each has a copy.
        """
        self._check(net, x, y)
        if y is None:
            return net, self.predict(theta, net, x)
        told = _as(x.dtype, y)
        if self.batch == "averaged":
            return self._all_from_one(theta, net, x, told)
        if self.batch == "half_averaged":
            return self._datum(theta, averaged(net, self.state_size // 2), x, told)
        if len(x) == 1:
            return self._datum(theta, net, x, told)

        def row(net: Network, datum: tuple[Array, Any]) -> tuple[Network, Array]:
            net, prediction = self._datum(theta, net, *jax.tree.map(lambda a: a[None], datum))
            return net, prediction[0]

        return jax.lax.scan(row, net, (x, told))

    def plasticity(
        self,
        theta: SharedCell,
        net: Network,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> Plasticity:
        """Return the change of all sub-RNNs' states in the last pass over the first datum.

        What a neuron carries are the messages that meet in it: from below, and from above. A
        synapse's states are those of its sub-RNN.

        **Raises:** `ValueError` without labels, for then nothing changes.
        """
        if y is None:
            raise ValueError("VSML's synapses change with labels only; got y=None.")
        rows = slice(self.copies if self.batch == "half_averaged" else 1)
        x, told = jax.tree.map(lambda a: a[rows], (x, _as(x.dtype, y)))
        self._check(net, x, told)
        ready = self._ready(theta)
        upward = passes.forward(self._wiring, ready, net, x, net.feedback)
        feedback = self.errors(self.read(upward), told)
        if self.feedback == "same_datum":
            downward = passes.backward(self._wiring, ready, upward, feedback).downward
        else:
            assert net.feedback is not None
            downward, feedback = net.downward, net.feedback
        return messages.plasticity(self._wiring, ready, upward, downward, feedback)

    def predict(
        self, theta: SharedCell, net: Network, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the logits of a forward pass from the present states, which do not change."""
        self._check(net, x, None)
        net = one_copy(net)

        def piece(x: Float[Array, "rows in"]) -> Float[Array, "rows out"]:
            return self.read(self.forward(theta, net, x))

        return jax.lax.map(piece, self._pieces(net, x)).reshape(len(x), -1)

    def forward(self, theta: SharedCell, net: Network, x: Float[Array, "copies in"]) -> Upward:
        """Run one forward pass: a row of `x` for each copy, or all of them from the only one."""
        return passes.forward(self._wiring, self._ready(theta), net, x, net.feedback)

    def backward(self, theta: SharedCell, upward: Upward, feedback: Feedback) -> Network:
        """Run the second pass on the data of a forward pass; see `errors` for `feedback`."""
        return passes.backward(self._wiring, self._ready(theta), upward, feedback)

    def read(self, upward: Upward) -> Float[Array, "copies out"]:
        """Return the prediction in what the last layer sends."""
        first, count = self.output_channel, self.bundles[1]
        logits = unbundled(upward.sent[first : first + count], upward.net.sizes[-1])
        return logits if self.bound is None else self.bound * jnp.tanh(logits / self.bound)

    def errors(
        self, prediction: Float[Array, "copies out"], y: Float[Array, "copies out"] | Targets
    ) -> Feedback:
        """Return what is fed back: the gradient of the cross-entropy, and the label if asked for.

        Of bundled outputs, the errors of a bundle come first and then its labels.
        With `half_averaged` copies it is the gradient of the mean over them. Of other targets it is
        the negative of their feedback, and the prediction that the feedback asks for.
        """
        if isinstance(y, Targets):
            feedback = y.feedback(prediction)
            error = -feedback / self.copies
            return self._feedback(error, prediction + feedback)
        one_output = y.shape[1] == 1
        error = (jax.nn.sigmoid if one_output else jax.nn.softmax)(prediction) - y
        error = error / self.copies
        return self._feedback(error, y)

    # Parts

    def _feedback(
        self, error: Float[Array, "copies out"], y: Float[Array, "copies out"]
    ) -> Feedback:
        told = [error, y] if self.feed_label else [error]
        return jnp.concatenate([bundled(part, self.bundles[1]) for part in told])

    @property
    def _wiring(self) -> Wiring:
        return Wiring(
            self.cell,
            self.ticks,
            self.reduction,
            self.state_clip,
            self.error_as,
            self.coordinates,
            self.quiet_forward,
            self.gains,
            self.bundles,
        )

    def _ready(self, theta: SharedCell) -> SharedCell:
        if self.cell != "lstm":
            return theta
        return halved(theta, self.gate_offset, self.forget_offsets)

    def _datum(
        self,
        theta: SharedCell,
        net: Network,
        x: Float[Array, "copies in"],
        y: Float[Array, "copies out"] | Targets,
    ) -> tuple[Network, Float[Array, "copies out"]]:
        """Run one datum in each copy."""
        ready = self._ready(theta)
        upward = passes.forward(self._wiring, ready, net, x, net.feedback)
        prediction = self.read(upward)
        feedback = self.errors(prediction, y)
        if self.feedback == "same_datum":
            net = passes.backward(self._wiring, ready, upward, feedback)
        else:
            net = eqx.tree_at(lambda n: n.feedback, upward.net, feedback)
        if net.time is not None:
            net = eqx.tree_at(lambda n: n.time, net, net.time + 1)
        return net, prediction

    def _all_from_one(
        self,
        theta: SharedCell,
        net: Network,
        x: Float[Array, "batch in"],
        y: Float[Array, "batch out"] | Targets,
    ) -> tuple[Network, Float[Array, "batch out"]]:
        """Run all rows from the same states and average what they leave."""

        def piece(total: Network, data: tuple[Array, Any]) -> tuple[Network, Array]:
            changed, prediction = self._datum(theta, net, *data)
            share = data[0].shape[0] / len(x)
            mean = one_copy(changed)
            return jax.tree.map(lambda t, m: t + share * m, total, mean), prediction

        nothing = jax.tree.map(jnp.zeros_like, net)
        data = jax.tree.map(lambda rows: self._pieces(net, rows), (x, y))
        net, predictions = jax.lax.scan(piece, nothing, data)
        return net, predictions.reshape(len(x), -1)

    def _pieces(self, net: Network, rows: Array) -> Array:
        """Cut rows that do not depend on each other into pieces that a cache can hold."""
        sub_rnns = max(math.prod(layer.h.shape[2:]) for layer in net.layers)
        most = max(1, ROWS_AT_ONCE // (4 * self.state_size * sub_rnns))
        at_once = max(n for n in range(1, most + 1) if len(rows) % n == 0)
        return rows.reshape(-1, at_once, *rows.shape[1:])

    def _check(
        self,
        net: Network,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> None:
        check_batch(x, y, (net.sizes[0], net.sizes[-1]))
        if len(x) == 0:
            raise ValueError("x must hold at least one row; got none.")
        if net.copies != self.copies:
            raise ValueError(
                f"the network must run in copies={self.copies} copies as the rule says; "
                f"got one of {net.copies}."
            )
        if y is not None and self.batch == "half_averaged" and len(x) != self.copies:
            raise ValueError(
                f"x must have one row for each of the {self.copies} copies of the network; "
                f"got {len(x)}."
            )


def _as(dtype: Any, y: Any) -> Any:
    return y if isinstance(y, Targets) else y.astype(dtype)
