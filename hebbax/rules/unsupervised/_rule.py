"""`UnsupervisedRule`: the learned unsupervised update (Metz et al., ICLR 2019)."""

import itertools
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._errors import check_choice
from hebbax._options import AT_LEAST_1, Range, as_tuple, check_options
from hebbax.rules import activations
from hebbax.rules._plasticity import Neurons, Plasticity, Synapses
from hebbax.rules._rule import AbstractRule, Sizes, Told, check_batch, check_sizes
from hebbax.rules.unsupervised import _hidden as hidden
from hebbax.rules.unsupervised import _planes as planes
from hebbax.rules.unsupervised import _readouts as readouts
from hebbax.rules.unsupervised import _signals as signals
from hebbax.rules.unsupervised._network import (
    Activity,
    Layer,
    LayerMoments,
    Network,
    draw_network,
    measure,
    run_forward,
)
from hebbax.rules.unsupervised._parameters import Parameters, draw_parameters


def step_function(x: Array) -> Array:
    """Return 1 where `x` is positive, else 0."""
    return (x > 0).astype(x.dtype)


ACTIVATIONS = (*(name for name in activations.NAMES if "_and_" not in name), "step")
"""Activations of the base model by name."""


class Signals(NamedTuple):
    """What the backward pass finds for a layer.

    **Fields:**

    - `d` `[batch, units, signal]`: the error signal from above.
    - `h` `[batch, units, hidden]`: the hidden states.
    - `delta` `[batch, units, signal]`: the error signal that is sent on; None for the input.
    """

    d: Float[Array, "batch units signal"]
    h: Float[Array, "batch units hidden"]
    delta: Float[Array, "batch units signal"] | None


class Change(NamedTuple):
    """What an update subtracts from a layer, before the step size."""

    weight: Float[Array, "lower upper"]
    bias: Float[Array, " upper"]


class UnsupervisedRule(AbstractRule):
    """A learned rule that makes features from unlabelled batches.

    The network is a perceptron with batch normalisation, in its top layer too. An update runs it
    forward, makes an error signal of several channels at the top (`TopD`), carries it down
    through backward weights, and in every unit of every layer runs the same small network
    (`ComputeH`) on what the unit can see: activity, error signal, statistics of its weights.
    Weights change by a mixture of planes read out of the hidden states below and above and of
    Hebbian and decorrelation terms; both W and V step by the same change:
    `W ← (1 − λ) W − λ ΔW`.

    The numbers are those of the authors' program, which differs from the paper's formulas in
    signs, normalisations and the number of planes; the comments in the code say where. The small
    networks look along the batch and along the units, so an update depends on the order of the
    examples and of the units.

    **Arguments:**

    - `step_size`: λ, in (0, 1]. 3e-4 in the paper, 1e-4 in the authors' program; larger ones
      make more of fewer updates.
    - `activation`: of the base model, one of `ACTIVATIONS` or a function of an array.
    - `top_units`: units of the top layer, that is features. θ is made for this number: TopD mixes
      the top units by dense matrices. None, which the paper does not have, for a TopD that mixes
      each unit with the mean of all, so that one θ makes any number of features.
    - `hidden_channels`, `top_channels`, `signal_channels`: channels of ComputeH, of TopD, and of
      the error signal.
    - `rank`: of a low-rank readout, for each example.
    - `planes`: 12, as in the authors' program, or the paper's 10, without `lin_upper_psd` and
      `decorr_x`.
    - `merge_init`: the planes' weights in a fresh θ: one number for all, or one for each in the
      order of `hebbax.rules.unsupervised.PLANES`.

    **Raises:** `ValueError` for a value out of range.
    """

    step_size: Annotated[float, Range(0, 1, open_low=True)] = eqx.field(static=True, default=3e-4)
    activation: str | Callable[[Array], Array] = eqx.field(static=True, default="relu")
    top_units: Annotated[int, AT_LEAST_1] | None = eqx.field(static=True, default=32)
    hidden_channels: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=64)
    top_channels: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=64)
    signal_channels: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=32)
    rank: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=4)
    planes: Literal[10, 12] = eqx.field(static=True, default=12)
    merge_init: float | tuple[float, ...] = eqx.field(
        # A rule file holds lists.
        static=True,
        default=0.1,
        converter=as_tuple,
    )

    def __check_init__(self) -> None:
        """Refuse options that are unknown or out of range."""
        check_options(self)
        if isinstance(self.activation, str):
            check_choice("activation", self.activation, ACTIVATIONS)
        if isinstance(self.merge_init, tuple) and len(self.merge_init) != self.planes:
            raise ValueError(
                f"merge_init must be one number or one for each of {self.planes} planes; "
                f"got {len(self.merge_init)}."
            )

    # What the rule says of itself

    @property
    def learns_from_labels(self) -> bool:
        """False: outputs are features."""
        return False

    @property
    def learns_without_labels(self) -> bool:
        """True."""
        return True

    @property
    def least_batch(self) -> int:
        """Two, since every unit is normalised over the batch."""
        return 2

    @property
    def predicts_alone(self) -> bool:
        """False: the batch's statistics normalise features."""
        return False

    def outputs_for(self, wanted: int) -> int:
        """Return `top_units`, or `wanted` where θ makes any number of features."""
        return wanted if self.top_units is None else self.top_units

    def synapse_matrices(self, net: Network) -> list[Float[Array, "receivers senders"]]:
        """Return the forward weights of each layer."""
        return [layer.weight.T for layer in net.layers]

    # θ and φ

    def init(self, key: PRNGKeyArray) -> Parameters:
        """Draw θ; see `Parameters` for its fields."""
        return draw_parameters(
            key,
            hidden=self.hidden_channels,
            top=self.top_channels,
            signal=self.signal_channels,
            rank=self.rank,
            planes=self.planes,
            top_units=self.top_units,
            merge=self.merge_init,
        )

    def init_network(self, theta: Parameters, key: PRNGKeyArray, sizes: Sizes) -> Network:
        """Draw a network with `sizes` units, input first, features last.

        **Raises:** `ValueError` if `sizes` are not at least two positive numbers, or if θ was
        made for another number of top units.
        """
        sizes = check_sizes(sizes)
        self._check_top(theta, sizes)
        return draw_network(key, sizes)

    # The inner loop

    def update(
        self,
        theta: Parameters,
        net: Network,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[Network, Float[Array, "batch features"]]:
        """Apply the rule to one batch of at least two examples, in the order they are in.

        The rule is unsupervised: labels may be given, so that it can stand where a supervised rule
        does, but are not read. Returns the changed network and the features of `x` before the
        change.
        """
        self._check_top(theta, net.sizes)
        self._check_batch(net, x)
        # Of what lies between, a gradient keeps nothing: writing it to memory and reading it again
        # takes as long as computing it anew.
        return jax.checkpoint(self._update, prevent_cse=False)(theta, net, x)

    def _update(
        self, theta: Parameters, net: Network, x: Float[Array, "batch in"]
    ) -> tuple[Network, Float[Array, "batch features"]]:
        activity = self.forward(net, x)
        found = self.backward(theta, net, activity)
        return self._changed(theta, net, activity, found), activity[-1].x

    def _changed(
        self, theta: Parameters, net: Network, activity: list[Activity], found: list[Signals]
    ) -> Network:
        changes = self.changes(theta, net, activity, found)
        keep, step = 1 - self.step_size, self.step_size
        layers = tuple(
            Layer(
                weight=keep * layer.weight - step * change.weight,
                bias=keep * layer.bias - step * change.bias,
                backward=keep * layer.backward - step * change.weight,
            )
            for layer, change in zip(net.layers, changes, strict=True)
        )
        return eqx.tree_at(lambda n: n.layers, net, layers)

    def plasticity(
        self,
        theta: Parameters,
        net: Network,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> Plasticity:
        """Return the change of W and V, given activities and hidden states of all units.

        A synapse's states are its two weights, forward and backward. Labels are not read.
        """
        self._check_batch(net, x)
        activity = self.forward(net, x)
        found = self.backward(theta, net, activity)

        def change(neurons: Neurons, synapses: Synapses) -> Synapses:
            units = [n.reshape(len(n), len(x), -1).swapaxes(0, 1) for n in neurons]
            layers = tuple(
                Layer(states[:, :, 0], layer.bias, states[:, :, 1])
                for states, layer in zip(synapses, net.layers, strict=True)
            )
            changed = self._changed(
                theta,
                eqx.tree_at(lambda n: n.layers, net, layers),
                [a._replace(x=u[:, :, 0]) for a, u in zip(activity, units, strict=True)],
                [s._replace(h=u[:, :, 1:]) for s, u in zip(found, units, strict=True)],
            )
            return tuple(jnp.stack([n.weight, n.backward], axis=2) for n in changed.layers)

        seen = [
            jnp.concatenate([a.x[:, :, None], s.h], axis=2)
            for a, s in zip(activity, found, strict=True)
        ]
        return Plasticity(
            tuple(s.swapaxes(0, 1).reshape(s.shape[1], -1) for s in seen),
            tuple(jnp.stack([n.weight, n.backward], axis=2) for n in net.layers),
            change,
        )

    def predict(
        self, theta: Parameters, net: Network, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch features"]:
        """Return the activity of the top layer: the features of at least two examples.

        They depend on the batch, whose statistics normalise them.
        """
        self._check_batch(net, x)
        return self.forward(net, x)[-1].x

    def measure(
        self, theta: Parameters, net: Network, x: Float[Array, "batch in"]
    ) -> tuple[LayerMoments, ...]:
        """Return the moments of every layer but the input over a batch, for `predict_alone`."""
        self._check_batch(net, x)
        return measure(net, x, self.activation_function)

    def predict_alone(
        self,
        theta: Parameters,
        net: Network,
        x: Float[Array, "batch in"],
        measured: tuple[LayerMoments, ...],
    ) -> Float[Array, "batch features"]:
        """Return features normalised by moments of another batch: each row stands alone."""
        check_batch(x, None, (net.sizes[0], net.sizes[-1]))
        return run_forward(net, x, self.activation_function, measured)[-1].x

    def forward(self, net: Network, x: Float[Array, "batch in"]) -> list[Activity]:
        """Return the activity of every layer, `[batch, units]`, the input first."""
        return run_forward(net, x, self.activation_function)

    @property
    def activation_function(self) -> Callable[[Array], Array]:
        """The function that `activation` names."""
        if callable(self.activation):
            return self.activation
        return step_function if self.activation == "step" else activations.plain(self.activation)

    def backward(self, theta: Parameters, net: Network, activity: list[Activity]) -> list[Signals]:
        """Return the error signals and hidden states of every layer, the input first."""
        found: list[Signals] = []
        d = signals.top_signal(theta.topd, activity[-1].x)
        for index in range(len(net.layers), -1, -1):
            below = net.layers[index - 1] if index > 0 else None
            above = net.layers[index] if index < len(net.layers) else None
            inputs = self.unit_inputs(theta, activity[index], d, below, above)
            h = hidden.hidden_state(theta.h, inputs)
            if below is None:
                found.append(Signals(d, h, None))
            else:
                delta = signals.error(theta.delta, d, activity[index].z, h)
                found.append(Signals(d, h, delta))
                d = signals.propagate(delta, below.backward)
        return found[::-1]

    def unit_inputs(
        self,
        theta: Parameters,
        activity: Activity,
        d: Float[Array, "batch units signal"],
        below: Layer | None,
        above: Layer | None,
    ) -> Float[Array, "batch units inputs"]:
        """Return what the small networks of a layer read; the input layer has no bias."""
        stats = hidden.weight_statistics(
            None if below is None else below.weight, None if above is None else above.weight
        )
        bias = jnp.zeros_like(d[0, :, 0]) if below is None else below.bias
        return hidden.unit_inputs(theta.h, activity, d, stats, bias)

    def changes(
        self,
        theta: Parameters,
        net: Network,
        activity: list[Activity],
        found: list[Signals],
    ) -> list[Change]:
        """Return what is to be subtracted from every layer."""
        changes = []
        all_planes = self.weight_planes(net, activity, self.projections(theta, found))
        for layer, signal, of_layer in zip(net.layers, found[1:], all_planes, strict=True):
            weight = planes.change_weights(
                planes.merge(theta.merge, of_layer), planes.columns(layer.weight), self.planes
            )
            changes.append(Change(weight, planes.change_biases(theta.bias, signal.h)))
        return changes

    def projections(
        self, theta: Parameters, found: list[Signals]
    ) -> list[tuple[readouts.LowerProjections, readouts.UpperProjections]]:
        """Return the projections of the hidden states below and above every layer's weights."""
        top = len(found) - 1
        of_layers = [
            readouts.project(theta.readout, s.h, is_upper=index > 0, is_lower=index < top)
            for index, s in enumerate(found)
        ]
        pairs = []
        for (_, lower), (upper, _) in itertools.pairwise(of_layers):
            assert lower is not None
            assert upper is not None
            pairs.append((lower, upper))
        return pairs

    def weight_planes(
        self,
        net: Network,
        activity: list[Activity],
        projections: list[tuple[readouts.LowerProjections, readouts.UpperProjections]],
    ) -> list[dict[str, Float[Array, "lower upper"]]]:
        """Return the weight-update planes of every layer by name."""
        centred = [planes.standardized(a.x) for a in activity]
        return [
            planes.weight_planes(
                planes.columns(layer.weight),
                *projections[index],
                centred[index],
                centred[index + 1],
                self.planes,
            )
            for index, layer in enumerate(net.layers)
        ]

    def _check_top(self, theta: Parameters, sizes: tuple[int, ...]) -> None:
        allowed = theta.topd.top_units
        if allowed is not None and sizes[-1] != allowed:
            raise ValueError(
                f"theta was made for networks with {allowed} top units (the rule's option "
                f"top_units; None allows any number); sizes {sizes} end with {sizes[-1]}."
            )

    def _check_batch(self, net: Network, x: Array) -> None:
        check_batch(x, None, (net.sizes[0], net.sizes[-1]))
        for name, array in (("x", x), ("net", net.layers[0].weight)):
            # Small networks normalise what they read again and again: half the digits are too few.
            if array.dtype.itemsize < 4:
                raise ValueError(f"{name} must be float32 or float64; got {array.dtype}.")
        if x.shape[0] < 2:
            raise ValueError(
                f"x must hold at least two examples, since every unit is normalised over the "
                f"batch; got {x.shape[0]}."
            )
