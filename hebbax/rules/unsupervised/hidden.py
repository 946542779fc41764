"""ComputeH: the small network that every unit runs on what it can see."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.unsupervised.convolutions import BATCH, UNITS, Signal, block, normalize
from hebbax.rules.unsupervised.network import Activity
from hebbax.rules.unsupervised.parameters import UnitNetwork

# Under the roots of a mean square and of a variance, as in the authors' program.
_SQUARE_EPSILON, _VARIANCE_EPSILON = 1e-6, 1e-8


def statistics(weight: Float[Array, "_ _"], axis: int) -> Float[Array, "units 4"]:
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
        found.append(statistics(below, 0))
    if above is not None:
        found.append(statistics(above, 1))
    return jnp.concatenate([found[0], found[-1]], axis=1)


def position(units: int, dtype: jnp.dtype) -> Float[Array, "units 2"]:
    """Return sine and cosine of two full turns over the units, both ends included."""
    angle = jnp.linspace(0, 4 * jnp.pi, units, dtype=dtype)
    return jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=1)


def unit_inputs(
    parameters: UnitNetwork,
    activity: Activity,
    d: Float[Array, "units batch signal"],
    stats: Float[Array, "units 8"],
    bias: Float[Array, " units"],
) -> Float[Array, "units batch inputs"]:
    """Return what ComputeH reads, 13 + signal channels.

    Weight statistics over their RMS (8), the bias, and, normalised, activation, pre-activation,
    position (2) and the error signal.
    """
    units, batch = activity.x.shape
    place = jnp.broadcast_to(position(units, d.dtype)[:, None], (units, batch, 2))
    moving = jnp.concatenate([activity.x[:, :, None], activity.z[:, :, None], place, d], axis=2)
    stats = stats / jnp.sqrt(jnp.mean(stats**2) + _SQUARE_EPSILON)
    fixed = jnp.concatenate([stats, bias[:, None]], axis=1)
    fixed = jnp.broadcast_to(fixed[:, None], (units, batch, 9))
    return jnp.concatenate([fixed, normalize(moving, parameters.input.offset)], axis=2)


def hidden_state(
    parameters: UnitNetwork, inputs: Float[Array, "units batch inputs"]
) -> Float[Array, "units batch hidden"]:
    """Return the hidden states h, none negative.

    As in the authors' program, two convolutions over the units follow each over the batch and
    are added to what it gave (the paper has one, and no sum).
    """
    m: Signal = block(inputs, parameters.batch_conv_1, BATCH)
    inner = block(m, parameters.unit_conv_1a, UNITS)
    m = m + block(inner, parameters.unit_conv_1b, UNITS)
    m = block(m, parameters.batch_conv_2, BATCH)
    inner = block(m, parameters.unit_conv_2a, UNITS)
    return m + block(inner, parameters.unit_conv_2b, UNITS)
