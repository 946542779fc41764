"""ComputeH: the small network that every unit runs on what it can see."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.unsupervised._convolutions import (
    BATCH,
    UNITS,
    Inputs,
    Normalized,
    convolve,
    normalized,
)
from hebbax.rules.unsupervised._network import Activity
from hebbax.rules.unsupervised._parameters import UnitNetwork
from hebbax.rules.unsupervised._tiles import block_gradient, sums

# Under the roots of a mean square and of a variance, as in the authors' program.
_SQUARE_EPSILON, _VARIANCE_EPSILON = 1e-6, 1e-8
# Rows of so many channels more are read at full speed.
_ALIGNED = 16


def _spread(weight: Float[Array, "_ _"], axis: int) -> Float[Array, "units 4"]:
    """Return mean size, RMS, mean and deviation of the weights along `axis` (Stats)."""
    mean = jnp.mean(weight, axis=axis)
    spread = jnp.mean((weight - jnp.expand_dims(mean, axis)) ** 2, axis=axis)
    return jnp.stack(
        [
            jnp.mean(jnp.abs(weight), axis=axis),
            jnp.sqrt(jnp.mean(weight**2, axis=axis) + _SQUARE_EPSILON),
            mean,
            jnp.sqrt(spread + _VARIANCE_EPSILON),
        ],
        axis=1,
    )


def weight_statistics(
    below: Float[Array, "lower units"] | None, above: Float[Array, "units upper"] | None
) -> Float[Array, "units 8"]:
    """Return the statistics of each unit's incoming and outgoing weights.

    At either end of the network, where one of them is None, the others stand twice.
    """
    found = []
    if below is not None:
        found.append(_spread(below, 0))
    if above is not None:
        found.append(_spread(above, 1))
    return jnp.concatenate([found[0], found[-1]], axis=1)


def position(units: int, dtype: jnp.dtype) -> Float[Array, "units 2"]:
    """Return sine and cosine of two full turns over the units, both ends included."""
    angle = jnp.linspace(0, 4 * jnp.pi, units, dtype=dtype)
    return jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=1)


def unit_inputs(
    parameters: UnitNetwork,
    activity: Activity,
    d: Float[Array, "batch units signal"],
    stats: Float[Array, "units 8"],
    bias: Float[Array, " units"],
) -> Float[Array, "batch units inputs"]:
    """Return what ComputeH reads, 13 + signal channels.

    Weight statistics over their RMS (8), the bias, and, normalised, activation, pre-activation,
    position (2) and the error signal.
    """
    batch, units = activity.x.shape
    place = jnp.broadcast_to(position(units, d.dtype)[None], (batch, units, 2))
    moving = jnp.concatenate([activity.x[:, :, None], activity.z[:, :, None], place, d], axis=2)
    moving = normalized(moving, parameters.input.offset).value()
    stats = stats / jnp.sqrt(jnp.mean(stats**2) + _SQUARE_EPSILON)
    fixed = jnp.concatenate([stats, bias[:, None]], axis=1)
    fixed = jnp.broadcast_to(fixed[None], (batch, units, 9))
    return jnp.concatenate([fixed, moving], axis=2)


def hidden_state(
    parameters: UnitNetwork, inputs: Float[Array, "batch units inputs"]
) -> Float[Array, "batch units hidden"]:
    """Return the hidden states h, none negative.

    As in the authors' program, two convolutions over the units follow each over the batch and
    are added to what it gave (the paper has one, and no sum).
    """
    # Channels of zeros, with weights of zero, cost nothing and keep rows aligned.
    missing = -inputs.shape[2] % _ALIGNED
    p = parameters
    first = jnp.pad(p.batch_conv_1.w, ((0, 0), (0, missing), (0, 0)))
    later = (p.unit_conv_1a, p.unit_conv_1b, p.batch_conv_2, p.unit_conv_2a, p.unit_conv_2b)
    offsets = tuple(c.offset for c in (p.batch_conv_1, *later) if c.offset is not None)
    inputs = jnp.pad(inputs, ((0, 0), (0, 0), (0, missing)))
    return _blocks((first, *(c.w for c in later)), offsets, inputs)


_Kernels = tuple[Float[Array, "taps _ hidden"], ...]
_Offsets = tuple[Float[Array, " hidden"], ...]
_Hidden = Float[Array, "batch units hidden"]
_Kept = tuple[_Kernels, tuple[Normalized, ...], Inputs]


@jax.custom_vjp
def _blocks(w: _Kernels, offsets: _Offsets, inputs: Inputs) -> _Hidden:
    return _blocks_forward(w, offsets, inputs)[0]


def _blocks_forward(w: _Kernels, offsets: _Offsets, inputs: Inputs) -> tuple[_Hidden, _Kept]:
    def convolved(m: Inputs, index: int, over: int) -> Normalized:
        return normalized(convolve(m, w[index], over), offsets[index])

    first = convolved(inputs, 0, BATCH)
    second = convolved(first.rectified(), 1, UNITS)
    third = convolved(second.rectified(), 2, UNITS)
    fourth = convolved(first.rectified() + third.rectified(), 3, BATCH)
    fifth = convolved(fourth.rectified(), 4, UNITS)
    sixth = convolved(fifth.rectified(), 5, UNITS)
    kept = w, (first, second, third, fourth, fifth, sixth), inputs
    return fourth.rectified() + sixth.rectified(), kept


def _blocks_backward(kept: _Kept, g: _Hidden) -> tuple[_Kernels, _Offsets, Inputs]:
    w, (first, second, third, fourth, fifth, sixth), inputs = kept
    s6 = sums(sixth, sixth.u, g)
    g5, w6, s5 = block_gradient(sixth, g, s6, (fifth,), w[5], UNITS)
    g4, w5, s4 = block_gradient(fifth, g5, s5, (fourth,), w[4], UNITS, also=g)
    g3, w4, s3 = block_gradient(fourth, g4, s4, (first, third), w[3], BATCH)
    g2, w3, s2 = block_gradient(third, g3, s3, (second,), w[2], UNITS)
    g1, w2, s1 = block_gradient(second, g2, s2, (first,), w[1], UNITS, also=g3)
    g0, w1, _ = block_gradient(first, g1, s1, (inputs,), w[0], BATCH)
    offsets = tuple(s.plain for s in (s1, s2, s3, s4, s5, s6))
    return (w1, w2, w3, w4, w5, w6), offsets, g0


_blocks.defvjp(_blocks_forward, _blocks_backward)
