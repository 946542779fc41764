"""The meta-parameters θ of the unsupervised rule: a few small networks shared by all layers."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

CROSS_READOUTS = ("lowrr_zero", "lowrr_first", "lowrr_rbf")
"""Low-rank readouts between a layer and the one below it."""

LOWER_READOUTS = ("lin_lower_symm", "sqr_lower_symm")
"""Symmetric ones within the lower layer."""

UPPER_READOUTS = ("lin_upper_symm", "sqr_upper_symm")
"""Symmetric ones within the upper layer."""

PSD_READOUT = "lin_upper_psd"
"""The one that is positive semi-definite, of the form with twelve planes."""

PLANES = {
    10: (
        "lowrr_zero",
        "lowrr_first",
        "hebb",
        "w_hat_sq",
        "lin_lower_symm",
        "lin_upper_symm",
        "lowrr_rbf",
        "sqr_lower_symm",
        "sqr_upper_symm",
        "w_hat",
    ),
    12: (
        "lowrr_zero",
        "lowrr_first",
        "decorr_x",
        "hebb",
        "w_hat_sq",
        "lin_lower_symm",
        PSD_READOUT,
        "lin_upper_symm",
        "lowrr_rbf",
        "sqr_lower_symm",
        "sqr_upper_symm",
        "w_hat",
    ),
}
"""Names of the weight-update planes in the order of their merge weights, by their number."""


class Linear(eqx.Module):
    """A linear map: `w` `[in, out]`, or `[in]` to a scalar; `b` `[out]` or a scalar."""

    w: Float[Array, "in *out"]
    b: Float[Array, "*out"]


class Convolution(eqx.Module):
    """A one-dimensional convolution, and the offset of the normalisation behind it.

    **Fields:**

    - `w` `[taps, in, out]`: cross-correlated, with zeros beyond both ends.
    - `b` `[out]`: a bias. Where a normalisation follows, it is removed again and so has no
      effect and no gradient; it is kept because the authors' parameters hold it.
    - `offset` `[out]`: added by the normalisation; None where none follows.
    """

    w: Float[Array, "taps in out"]
    b: Float[Array, " out"]
    offset: Float[Array, " out"] | None


class Offset(eqx.Module):
    """The `offset` `[channels]` of a normalisation with no convolution before it."""

    offset: Float[Array, " channels"]


class TopNetwork(eqx.Module):
    """Parameters of TopD, which makes the error signal of the top layer from its activity."""

    batch_conv_in: Convolution
    unit_mix_1: Convolution
    unit_mix_2: Convolution
    batch_conv_1: Convolution
    batch_conv_2: Convolution
    batch_conv_out: Convolution

    @property
    def top_units(self) -> int | None:
        """The number of top units that θ is made for; None for any number."""
        inputs, outputs = self.unit_mix_1.w.shape[-2:]
        return inputs if inputs == outputs else None


class UnitNetwork(eqx.Module):
    """Parameters of ComputeH, the small network that every unit of every layer has."""

    input: Offset
    batch_conv_1: Convolution
    unit_conv_1a: Convolution
    unit_conv_1b: Convolution
    batch_conv_2: Convolution
    unit_conv_2a: Convolution
    unit_conv_2b: Convolution


class Readout(eqx.Module):
    """Two projections of hidden states to `rank` numbers; `lower` is None where both are one."""

    upper: Linear
    lower: Linear | None


class Parameters(eqx.Module):
    """Meta-parameters θ of the unsupervised rule: 114,670 numbers with the paper's sizes.

    **Fields:**

    - `topd`: makes the signal at the top.
    - `h`: makes the hidden states of the units.
    - `delta`: `[hidden, signal]`, from hidden states to the error signal.
    - `readout`: the low-rank readouts by the name of the plane that uses them.
    - `merge`: `w` `[planes]` in the order of `PLANES`, `b` a scalar.
    - `bias`: `[hidden]`, from hidden states to the changes of biases.
    """

    topd: TopNetwork
    h: UnitNetwork
    delta: Linear
    readout: dict[str, Readout]
    merge: Linear
    bias: Linear


class _Draw:
    """Draws arrays one after another, each from a key of its own."""

    def __init__(self, key: PRNGKeyArray):
        self.key, self.count = key, 0

    def weights(self, *shape: int, fan_in: int) -> Float[Array, "..."]:
        self.count += 1
        key = jax.random.fold_in(self.key, self.count)
        return jax.random.truncated_normal(key, -2.0, 2.0, shape) / math.sqrt(fan_in)

    def convolution(self, taps: int, inputs: int, outputs: int, norm: bool = True) -> Convolution:
        w = self.weights(taps, inputs, outputs, fan_in=taps * inputs)
        return Convolution(w, jnp.zeros(outputs), jnp.zeros(outputs) if norm else None)

    def linear(self, inputs: int, *outputs: int) -> Linear:
        return Linear(self.weights(inputs, *outputs, fan_in=inputs), jnp.zeros(outputs))


def draw_parameters(
    key: PRNGKeyArray,
    *,
    hidden: int,
    top: int,
    signal: int,
    rank: int,
    planes: int,
    top_units: int | None,
    merge: float | tuple[float, ...],
) -> Parameters:
    """Draw θ: weights normal with variance one over the fan-in, cut off at two deviations.

    Biases and offsets are zero, merge weights are `merge`. The other arguments are the options of
    `UnsupervisedRule` of the same names.
    """
    draw = _Draw(key)
    # Units as channels, or own and pooled channels of each unit.
    mixed = (2 * top, top) if top_units is None else (top_units, top_units)
    names = (*CROSS_READOUTS, *LOWER_READOUTS, *UPPER_READOUTS)
    readout = {n: Readout(draw.linear(hidden, rank), draw.linear(hidden, rank)) for n in names}
    if PSD_READOUT in PLANES[planes]:
        readout[PSD_READOUT] = Readout(draw.linear(hidden, rank), None)
    return Parameters(
        topd=TopNetwork(
            batch_conv_in=draw.convolution(5, 1, top),
            unit_mix_1=draw.convolution(3, *mixed),
            unit_mix_2=draw.convolution(3, *mixed),
            batch_conv_1=draw.convolution(3, top, top),
            batch_conv_2=draw.convolution(3, top, top),
            batch_conv_out=draw.convolution(3, top, signal, norm=False),
        ),
        h=UnitNetwork(
            input=Offset(jnp.zeros(4 + signal)),
            batch_conv_1=draw.convolution(3, 13 + signal, hidden),
            unit_conv_1a=draw.convolution(3, hidden, hidden),
            unit_conv_1b=draw.convolution(3, hidden, hidden),
            batch_conv_2=draw.convolution(3, hidden, hidden),
            unit_conv_2a=draw.convolution(3, hidden, hidden),
            unit_conv_2b=draw.convolution(3, hidden, hidden),
        ),
        delta=draw.linear(hidden, signal),
        readout=readout,
        merge=Linear(jnp.broadcast_to(jnp.asarray(merge, float), (planes,)), jnp.zeros(())),
        bias=draw.linear(hidden),
    )
