"""What a network keeps from update to update beside its synapses, where options ask for it."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from hebbax.networks import Wiring
from hebbax.rules.blur._options import Options

Layer = Float[Array, "k _ batch"]
_APART = 0x6D656D
"""Sets the noise's key apart from those of the synapses."""


class Memory(eqx.Module):
    """What persists; None for what the options do not use.

    **Fields:**

    - `steps`: how many updates there were, for `supervised_every`.
    - `neurons`: states `[k, units, batch]` that the last update left in all layers but the input,
      for `persistent`.
    - `noise`: two words that the key of the next update's noise is made of.
    """

    steps: Float[Array, ""] | None = None
    neurons: tuple[Layer, ...] | None = None
    noise: UInt32[Array, "2"] | None = None


def begun(options: Options, key: PRNGKeyArray, wiring: Wiring) -> Memory | None:
    """Return what a fresh network keeps: neurons at rest; None if no option asks for anything."""
    rows, every = options.persistent, options.supervised_every
    if rows is None and every == 1 and options.noise is None:
        return None
    neurons = bits = None
    if rows is not None:
        shapes = [(options.states, layer.shape.units, rows) for layer in wiring.layers]
        neurons = tuple(map(jnp.zeros, shapes))
    if options.noise is not None:
        bits = jax.random.bits(jax.random.fold_in(key, _APART), (2,), jnp.uint32)
    return Memory(None if every == 1 else jnp.zeros(()), neurons, bits)


def check_rows(options: Options, memory: Memory | None, x: Float[Array, "batch in"]) -> None:
    """Raise `ValueError` unless a batch has as many rows as neurons have states."""
    kept = memory is not None and memory.neurons is not None
    if kept and len(x) != options.persistent:
        raise ValueError(
            f"x must have the {options.persistent} rows for which this network keeps the states of "
            f"its neurons (persistent={options.persistent}); got {len(x)}."
        )


def noise_key(memory: Memory | None) -> PRNGKeyArray | None:
    """Return the key of this update's noise, whatever generator JAX has for others."""
    if memory is None or memory.noise is None:
        return None
    return jax.random.wrap_key_data(memory.noise, impl="threefry2x32")


def after(memory: Memory, final: Sequence[Layer]) -> Memory:
    """Return what there is after one more update, which left neurons in states `final`."""
    key, bits = noise_key(memory), None
    if key is not None:
        bits = jax.random.key_data(jax.random.fold_in(key, 0))
    return Memory(
        None if memory.steps is None else memory.steps + 1,
        None if memory.neurons is None else tuple(final),
        bits,
    )


def remembering(net: Any, final: Sequence[Layer]) -> Any:
    """Return the network after an update that left neurons in states `final`."""
    if net.memory is None:
        return net
    return eqx.tree_at(lambda n: n.memory, net, after(net.memory, final))
