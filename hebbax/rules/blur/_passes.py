"""The two passes of BLUR over a list of connections: forward, feedback, backward."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules import activations
from hebbax.rules.blur import _neurons as neurons
from hebbax.rules.blur._connections import Connection, Layer
from hebbax.rules.blur._genome import Genome
from hebbax.rules.blur._normalization import Statistics, column_norm, measure, normalize
from hebbax.rules.blur._options import Options


def forward(
    options: Options,
    connections: Sequence[Connection],
    x: Float[Array, "batch in"],
    statistics: Sequence[Statistics] | None,
) -> tuple[list[Layer], tuple[Statistics, ...]]:
    """Return the states of all layers but the input (BLUR eq. 5).

    Activations are normalised, if at all, by `statistics`, one for each normalised layer, or by
    those of this batch. Returns the statistics that were used, too.
    """
    layers: list[Layer] = []
    used: list[Statistics] = []
    for index, (genome, synapses) in enumerate(connections):
        # Gates scale the small matrices, not the large layers. f · a is zero: the neurons
        # were reset.
        nu = genome.eta * genome.nu
        if index == 0:
            u = neurons.send_input(x, nu[:, 0], synapses.weight)
        else:
            u = neurons.send(neurons.mix(nu, layers[-1]), synapses.weight)
        if synapses.bias is not None:
            u = u + (jnp.sum(nu, axis=1)[:, None] * synapses.bias)[:, :, None]
        u = _rescale(options, genome, u, synapses.weight, synapses.bias)
        last = index == len(connections) - 1
        if normalizes(options, last):
            used.append(measure(u) if statistics is None else statistics[index])
            mean, deviation = genome.forward_mean, genome.forward_deviation
            assert mean is not None
            assert deviation is not None
            u = normalize(u, used[-1], mean, deviation)
        name = options.last_activation if last else options.forward_activation
        layers.append(activations.apply(name, u))
    return layers, tuple(used)


def normalizes(options: Options, last: bool) -> bool:
    """Return whether the forward pass normalises a layer, the last one or another."""
    normalization = options.normalization
    if normalization is None or not options.normalizes_forward:
        return False
    return normalization.last or not last


def with_feedback(options: Options, last: Layer, y: Float[Array, "batch out"]) -> Layer:
    """Put the feedback on the second state of the last layer, zeros on the further ones."""
    target = (2 * y.T - 1).astype(last.dtype)
    if options.feedback == "residual":
        target = target - last[0]
    elif options.feedback == "error":
        one_output = y.shape[1] == 1
        probability = jax.nn.sigmoid(last[0]) if one_output else jax.nn.softmax(last[0], axis=0)
        target = y.T.astype(last.dtype) - probability
    return jnp.concatenate([jnp.stack([last[0], target]), jnp.zeros_like(last[2:])])


def backward(
    options: Options, connections: Sequence[Connection], layers: Sequence[Layer]
) -> list[Layer]:
    """Return the final states of all layers but the input (BLUR eq. 6).

    `layers` are those of the forward pass, with the feedback on the last, which stays as it is.
    """
    final = list(layers)
    for index in range(len(connections) - 1, 0, -1):
        genome, synapses = connections[index]
        weight = synapses.backward
        if weight is None:
            weight = jnp.swapaxes(synapses.weight, 1, 2)
        additive = options.backward_update == "additive"
        mu = genome.eta * genome.mu if additive else genome.mu
        u = neurons.send(neurons.mix(mu, final[index]), weight)
        u = _rescale(options, genome, u, weight, None)
        u = neurons.backward_drive(options.backward_update, genome.f, final[index - 1], u)
        if options.normalizes_backward:
            mean, deviation = genome.backward_mean, genome.backward_deviation
            assert mean is not None
            assert deviation is not None
            u = normalize(u, measure(u), mean, deviation)
        final[index - 1] = activations.apply(options.backward_activation, u)
    return final


def _rescale(
    options: Options,
    genome: Genome,
    u: Layer,
    weight: Float[Array, "s _ _"],
    bias: Float[Array, "s _"] | None,
) -> Layer:
    if options.synapse_normalization is None or options.normalizes_stored:
        return u
    u = u / column_norm(weight, bias)
    return u if genome.rescale is None else genome.rescale * u
