"""The two passes of BLUR over the layers of any network: forward, feedback, backward."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.losses import Targets
from hebbax.networks import Connection, Dense, Wiring, from_rows, gather, spread
from hebbax.rules import activations
from hebbax.rules.blur import _neurons as neurons
from hebbax.rules.blur._genome import Genome
from hebbax.rules.blur._memory import Memory, noise_key
from hebbax.rules.blur._noise import noisy
from hebbax.rules.blur._normalization import Statistics, column_norm, measure, normalize
from hebbax.rules.blur._options import Options
from hebbax.rules.blur._regulation import regulated
from hebbax.rules.blur._wired import Layer, Wired


def forward(
    options: Options,
    network: Sequence[Wired],
    x: Float[Array, "batch in"],
    statistics: Sequence[Statistics] | None,
    memory: Memory | None = None,
) -> tuple[list[Layer], tuple[Statistics, ...]]:
    """Return the states of all layers but the input (BLUR eq. 5).

    Activations are normalised, if at all, by `statistics`, one for each normalised layer, or by
    those of this batch. Returns the statistics that were used, too. Neurons begin in the states of
    `memory`, and there is noise if it has a key for it; without, they are at rest and there is
    none.
    """
    layers: list[Layer] = []
    used: list[Statistics] = []
    neurons_before = None if memory is None else memory.neurons
    key = noise_key(memory)
    for index, (genome, synapses, layer) in enumerate(network):
        # Gates scale the small matrices, not the large layers.
        nu = genome.eta * genome.nu
        u = _arriving(nu, x, layers, layer.parts(synapses.weight))
        if synapses.bias is not None:
            drive = jnp.sum(nu, axis=1)[:, None] * synapses.bias
            u = u + spread(drive, layer.shape.units)[:, :, None]
        u = _rescale(options, genome, u, synapses.weight, synapses.bias)
        for connection in layer.connections[len(layer.plastic) :]:
            u = u + connection.hear(_sent(nu, x, layers, connection))
        if neurons_before is not None:  # Else f · a is zero: the neurons were reset.
            old = neurons_before[index]
            u = genome.f * old + regulated(genome, old, u)
        last = index == len(network) - 1
        if normalizes(options, last):
            channels = gather(u, layer.shape.channels)
            used.append(measure(channels) if statistics is None else statistics[index])
            mean, deviation = genome.forward_mean, genome.forward_deviation
            assert mean is not None
            assert deviation is not None
            u = normalize(channels, used[-1], mean, deviation).reshape(u.shape)
        if not last:
            u = noisy(genome, key, index, u)
        name = options.last_activation if last else options.forward_activation
        layers.append(activations.apply(name, u))
    return layers, tuple(used)


def _arriving(
    nu: Float[Array, "k k"],
    x: Float[Array, "batch in"],
    layers: Sequence[Layer],
    parts: Sequence[tuple[Connection, Array]],
) -> Layer:
    """Return what arrives at a layer's units through synapses."""
    arriving = []
    for connection, weight in parts:
        if connection.source > 0:
            arriving.append(connection.send(_sent(nu, x, layers, connection), weight))
        elif reads_rows(connection):
            arriving.append(neurons.send_input(x, nu[:, 0], weight))
        else:
            # The input's other states are zero, so one signal serves all. Synapses are scaled, not
            # what arrives: the gradient of a small product that is followed by a sum over states
            # takes XLA ten times as long.
            gain = nu[:, 0][:, None, None]
            arriving.append(connection.send(from_rows(x, connection.lower), gain * weight))
    return functools.reduce(jnp.add, arriving)


def _sent(
    nu: Float[Array, "k k"],
    x: Float[Array, "batch in"],
    layers: Sequence[Layer],
    connection: Connection,
) -> Layer:
    """Return the mixed states of the layer that a connection hears."""
    if connection.source > 0:
        return neurons.mix(nu, layers[connection.source - 1])
    return nu[:, 0][:, None, None] * from_rows(x, connection.lower)


def reads_rows(connection: Connection) -> bool:
    """Return whether a connection from the input takes its rows as they are."""
    plain = isinstance(connection.block, Dense) and not connection.fixed
    return plain and connection.lower.places == 1


def normalizes(options: Options, last: bool) -> bool:
    """Return whether the forward pass normalises a layer, the last one or another."""
    normalization = options.normalization
    if normalization is None or not options.normalizes_forward:
        return False
    return normalization.last or not last


def with_feedback(options: Options, last: Layer, y: Float[Array, "batch out"] | Targets) -> Layer:
    """Put the feedback on the second state of the last layer, zeros on the further ones."""
    if isinstance(y, Targets):
        target = y.feedback(last[0].T).T
        return jnp.concatenate([jnp.stack([last[0], target]), jnp.zeros_like(last[2:])])
    target = (2 * y.T - 1).astype(last.dtype)
    if options.feedback == "residual":
        target = target - last[0]
    elif options.feedback == "error":
        one_output = y.shape[1] == 1
        probability = jax.nn.sigmoid(last[0]) if one_output else jax.nn.softmax(last[0], axis=0)
        target = y.T.astype(last.dtype) - probability
    return jnp.concatenate([jnp.stack([last[0], target]), jnp.zeros_like(last[2:])])


def backward(
    options: Options, network: Sequence[Wired], wiring: Wiring, layers: Sequence[Layer]
) -> list[Layer]:
    """Return the final states of all layers but the input (BLUR eq. 6).

    `layers` are those of the forward pass, with the feedback on the last, which stays as it is.
    A layer that several hear from takes its own gate, mean and deviation from the first of them.
    """
    final = list(layers)
    for index in range(len(network) - 1, 0, -1):
        above = wiring.above(index)
        arriving = [_returning(options, network[i], place, final[i]) for i, place in above]
        u = functools.reduce(jnp.add, arriving)
        genome = network[above[0][0]].genome
        u = regulated(genome, final[index - 1], u)
        u = neurons.backward_drive(options.backward_update, genome.f, final[index - 1], u)
        if options.normalizes_backward:
            mean, deviation = genome.backward_mean, genome.backward_deviation
            assert mean is not None
            assert deviation is not None
            channels = gather(u, wiring.shapes[index].channels)
            u = normalize(channels, measure(channels), mean, deviation).reshape(u.shape)
        final[index - 1] = activations.apply(options.backward_activation, u)
    return final


def _returning(options: Options, upper: Wired, place: int, states: Layer) -> Layer:
    """Return what a layer sends back through its connection with this number."""
    genome, synapses, layer = upper
    additive = options.backward_update == "additive"
    mu = genome.eta * genome.mu if additive else genome.mu
    signal, connection = neurons.mix(mu, states), layer.connections[place]
    if connection.block is None:
        return connection.unhear(signal)
    weight = synapses.backward_of(place)
    if weight is None:
        weight = connection.turned(layer.parts(synapses.weight)[place][1])
    u = connection.back_heard(signal, weight)
    return connection.unhear(_rescale(options, genome, u, weight, None))


def _rescale(
    options: Options,
    genome: Genome,
    u: Layer,
    weight: Float[Array, "s _ _"],
    bias: Float[Array, "s _"] | None,
) -> Layer:
    if options.synapse_normalization is None or options.normalizes_stored:
        return u
    u = u / spread(column_norm(weight, bias)[:, :, 0], u.shape[1])[:, :, None]
    return u if genome.rescale is None else genome.rescale * u
