"""Equations 7 and 8 of BLUR: how synapses change, and what keeps them bounded."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.networks import Connection, from_rows, gather
from hebbax.rules.blur import _neurons as neurons
from hebbax.rules.blur._genome import Genome
from hebbax.rules.blur._network import Block, Synapses, together
from hebbax.rules.blur._normalization import NORM_EPSILON
from hebbax.rules.blur._options import Oja, Options, Saturation
from hebbax.rules.blur._passes import reads_rows
from hebbax.rules.blur._wired import Layer, Wired

LARGE, SMALLER = 2.0**100, 2.0**-40
"""Above which synapses are made smaller, and by how much. Both are powers of two, which round
nothing, and what is left is still so large that no change of usual size is seen beside it."""


def hebb_input(
    x: Float[Array, "batch in"],
    gain: Float[Array, " s"],
    post: Float[Array, "s receivers batch"],
) -> Block:
    """Sum over the batch of presynaptic times postsynaptic activity (BLUR eq. 7).

    For the input layer, whose states are `[x, 0, …]`: one product serves all states.
    """
    return jnp.einsum("kib,bj->kij", gain[:, None, None] * post, x)


def change(
    options: Options,
    network: Sequence[Wired],
    x: Float[Array, "batch in"],
    forward: Sequence[Layer],
    final: Sequence[Layer],
) -> tuple[Synapses, ...]:
    """Return all synapses after a change (BLUR eqs. 7 and 8).

    `forward` and `final` are the states of all layers but the input, as the forward and as the
    backward pass left them.
    """
    below = forward if options.forward_presynaptic else final
    return tuple(
        _change_one(options, wired, x, below, post)
        for wired, post in zip(network, final, strict=True)
    )


def _change_one(
    options: Options,
    wired: Wired,
    x: Float[Array, "batch in"],
    below: Sequence[Layer],
    upper: Layer,
) -> Synapses:
    """Change the synapses into a layer, whose states are `upper`."""
    genome, synapses, layer = wired
    scale = 1.0 if options.reduction == "sum" else 1.0 / x.shape[0]
    if options.places == "root" and layer.places > 1:
        scale /= math.sqrt(layer.places)
    # A synapse with one state is changed by the rule's first.
    s = 1 if options.single_state else options.states
    nu_tilde = genome.nu_tilde[:, :s].T
    mu_tilde = genome.eta_tilde * scale * genome.mu_tilde[:s]
    post = neurons.mix(mu_tilde, upper)

    def hebb(connection: Connection) -> Block:
        if connection.source > 0:
            pre = neurons.mix(nu_tilde, below[connection.source - 1])
            return connection.hebb(pre, post)
        if reads_rows(connection):
            return hebb_input(x, nu_tilde[:, 0], post)
        gain = nu_tilde[:, 0][:, None, None]
        return gain * connection.hebb(from_rows(x, connection.lower), post)

    def activity(states: Layer, rows: int) -> Float[Array, "k _"] | None:
        if options.oja is None or options.oja.form != "activations":
            return None
        return scale * jnp.sum(gather(neurons.mix(genome.mu_tilde, states), rows) ** 2, axis=2)

    every = [hebb(connection) for connection in layer.plastic]
    bias_change = None
    if synapses.bias is not None:
        bias_change = jnp.sum(nu_tilde, axis=1)[:, None] * jnp.sum(gather(post, layer.rows), axis=2)
    weight, bias = change_block(
        options,
        genome,
        synapses.weight,
        synapses.bias,
        every[0] if len(every) == 1 else jnp.concatenate(every, axis=2),
        bias_change,
        activity(upper, layer.rows),
    )
    backward = []
    for place, (connection, change) in enumerate(zip(layer.plastic, every, strict=True)):
        block = synapses.backward_of(place)
        if block is not None:
            lower = below[connection.source - 1]
            if options.symmetric:
                change = connection.turned(change)
            else:
                pre = neurons.mix(nu_tilde, upper)
                change = connection.hebb_back(pre, neurons.mix(mu_tilde, lower))
            active = activity(connection.hear(lower), connection.backward_rows)
            block, _ = change_block(options, genome, block, None, change, None, active)
        backward.append(block)
    if options.bounded:
        weight, bias = in_range(weight, bias)
        backward = [None if block is None else in_range(block, None)[0] for block in backward]
    return Synapses(weight, bias, together(layer, backward))


def in_range(
    weight: Block, bias: Float[Array, "s receivers"] | None
) -> tuple[Block, Float[Array, "s receivers"] | None]:
    """Divide the synapses into a unit by a power of two before they overflow.

    Where they are used, they are divided by their norm, so that nothing changes: those that a keep
    gate above 1 has made so large are beyond what a change could add to them.
    """
    largest = jnp.max(jnp.abs(weight), axis=2)
    if bias is not None:
        largest = jnp.maximum(largest, jnp.abs(bias))
    scale = jax.lax.stop_gradient(jnp.where(largest > LARGE, SMALLER, 1.0))
    return weight * scale[:, :, None], None if bias is None else bias * scale


def change_block(
    options: Options,
    genome: Genome,
    weight: Block,
    bias: Float[Array, "s receivers"] | None,
    change: Float[Array, "_ receivers senders"],
    bias_change: Float[Array, "_ receivers"] | None,
    activity: Float[Array, "s receivers"] | None,
) -> tuple[Block, Float[Array, "s receivers"] | None]:
    """Bring a block of synapses, and its biases, to their next values (BLUR eqs. 7 and 8).

    `change` and `bias_change` are the Hebbian sums times η̃, of one synapse state or all;
    `activity` is Σ_b (Σ_d μ̃ a_j)² of the receivers, for the Oja term that needs it.
    """
    form, saturation = options.oja, options.saturation
    if form is None or bias is None or bias_change is None:
        new_bias = None
        if bias is not None and bias_change is not None:
            new_bias = _next(saturation, genome, bias, bias_change)
        term = None if form is None else oja(form, genome, weight, change, activity)
        return _next(saturation, genome, weight, change, term), new_bias
    # Oja's sums run over all senders of a unit, the bias among them.
    weight = jnp.concatenate([weight, bias[:, :, None]], axis=2)
    change = jnp.concatenate([change, bias_change[:, :, None]], axis=2)
    term = oja(form, genome, weight, change, activity)
    new = _next(saturation, genome, weight, change, term)
    return new[:, :, :-1], new[:, :, -1]


def _next(
    saturation: Saturation | None,
    genome: Genome,
    weight: Array,
    change: Array,
    term: Array | None = None,
) -> Array:
    if genome.f_tilde is not None:
        change = (genome.f_tilde - 1) * weight + change
    return saturate(saturation, genome, weight, change if term is None else change + term)


def oja(
    options: Oja,
    genome: Genome,
    weight: Block,
    change: Float[Array, "_ receivers senders"],
    activity: Float[Array, "s receivers"] | None,
) -> Block:
    """Return Oja's term for a block of synapses; it is added to the synapses as it is.

    - `full`: BLUR eq. 8, −(f̃−1) w Σ_r w² − w Σ_r w φ, with φ the Hebbian `change` times η̃.
    - `relative`: −w Σ_r w φ / Σ_r w², the second part for synapses that normalisation brings to
      norm 1 when they are used. It takes from the change what would only make them longer, so
      their norm grows with the square root of the number of changes and no faster, and the
      relative size of a change falls with it.
    - `first`: its first part times the learnt multiplier.
    - `weights`: the same as the authors' program has it, −|η̃| |multiplier| w Σ_r w², which
      shrinks synapses whatever the signs.
    - `activations`: their classical form, −|η̃| |multiplier| w Σ_b (Σ_d μ̃ a_j)².

    `weight` holds every synapse into its receivers, the bias as its last column. Each is multiplied
    by `extra`.
    """
    if options.form == "relative":
        along = jnp.sum(weight * change, axis=2, keepdims=True)
        square = jnp.sum(weight**2, axis=2, keepdims=True)
        return -options.extra * weight * along / (square + NORM_EPSILON)
    if activity is not None:
        inhibition = activity[:, :, None]
    else:
        inhibition = jnp.sum(weight**2, axis=2, keepdims=True)
    multiplier = 1.0 if genome.oja_multiplier is None else genome.oja_multiplier
    if options.form in ("weights", "activations"):
        rate = jnp.abs(genome.eta_tilde) * jnp.abs(multiplier)
    else:
        keep = 1.0 if genome.f_tilde is None else genome.f_tilde
        rate = (keep - 1) * multiplier
    term = rate * inhibition
    if options.form == "full":
        term = term + jnp.sum(weight * change, axis=2, keepdims=True)
    return -options.extra * weight * term


def saturate(
    options: Saturation | None,
    genome: Genome,
    weight: Float[Array, "*synapses"],
    step: Float[Array, "*synapses"],
) -> Float[Array, "*synapses"]:
    """Add `step` to synapses, saturating them if asked to (BLUR sec. 3.4).

    `tanh`: α·tanh(w/α) with a learnt α. `exponential`, of the authors' program: the step is
    damped by exp(−|w| (ε + |rate|)).
    """
    if options is None:
        return weight + step
    assert genome.saturation is not None
    rate = options.epsilon + jnp.abs(genome.saturation)
    if options.form == "exponential":
        return weight + step * jnp.exp(-jnp.abs(weight) * rate)
    return rate * jnp.tanh((weight + step) / rate)
