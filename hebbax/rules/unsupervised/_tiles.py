"""The gradient of a block (convolve, normalise, rectify), in tiles that stay in the cache.

A block of the unit networks reads and writes arrays of tens of megabytes, and its gradient has a
dozen steps. Each tile, some examples with all their units or some units with all examples, goes
through all of them before the next: then only what the next block needs goes through memory.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.unsupervised._convolutions import (
    Inputs,
    Kernel,
    Normalized,
    Outputs,
    PerChannel,
    Signal,
    input_gradient,
    kernel_gradient,
)

_ROWS = 1024


class Sums(NamedTuple):
    """Sums over examples and units of a gradient, where the rectifier lets it pass.

    `plain`: of the gradient, which is the offset's; `along`: of its product with the
    normalised array.
    """

    plain: PerChannel
    along: PerChannel


class BlockGradient(NamedTuple):
    """Gradients of a block's input and kernel, and the sums for the block before it."""

    inputs: Inputs
    w: Kernel
    sums: Sums


def sums(of: Normalized, u: Signal, gradient: Signal) -> Sums:
    """Return the sums for a part `u` of a normalised array and the gradient of its output."""
    normal = of.map(u)
    passed = jnp.where(normal + of.offset[None, None] > 0, gradient, 0)
    return Sums(jnp.sum(passed, axis=(0, 1)), jnp.sum(passed * normal, axis=(0, 1)))


def block_gradient(
    of: Normalized,
    gradient: Outputs,
    of_sums: Sums,
    sources: tuple[Normalized | Inputs, ...],
    w: Kernel,
    over: int,
    also: Inputs | None = None,
) -> BlockGradient:
    """Go back through one block.

    **Arguments:**

    - `of`: what its convolution gave; `gradient`: of the block's output; `of_sums`: their sums.
    - `sources`: what the convolution read was the sum of these, rectified. The sums are for the
      last of them; an array, as it stands, has none.
    - `w`, `over`: of the convolution.
    - `also`: what else flows into the gradient of the input.
    """
    batch, units, _ = gradient.shape
    taps, inputs, _ = w.shape
    plain, along = (total[None, None] / (batch * units) for total in of_sums)
    last = sources[-1]

    def go_back(cut: Callable[[Array], Array], new: Array | bool) -> BlockGradient:
        """Go back through one tile, which `cut` cuts out; only what is `new` in it is summed."""
        normal = of.map(cut(of.u))
        passed = jnp.where(normal + of.offset[None, None] > 0, cut(gradient), 0)
        du = of.scale[None, None] * (passed - plain - normal * along)
        below = input_gradient(du, w, over)
        if also is not None:
            below = below + cut(also)
        m = jnp.where(new, sum(_read(source, cut) for source in sources), 0)
        dw = kernel_gradient(m, du, taps, over)
        found = Sums(jnp.zeros(inputs, w.dtype), jnp.zeros(inputs, w.dtype))
        if isinstance(last, Normalized):
            found = sums(last, cut(last.u), jnp.where(new, below, 0))
        return BlockGradient(below, dw, found)

    # A tile is cut along the axis that the convolution does not run along.
    axis = 1 - over
    length = gradient.shape[axis]
    size = _tile_size(length, gradient.shape[over])
    if size == length:
        return go_back(lambda a: a, True)
    return _over_tiles(go_back, (batch, units, inputs), w.shape, axis, size, w.dtype)


def _read(
    source: Normalized | Inputs, cut: Callable[[Array], Array]
) -> Float[Array, "_batch _units in"]:
    if isinstance(source, Normalized):
        return source._replace(u=cut(source.u)).rectified()
    return cut(source)


def _tile_size(length: int, other: int) -> int:
    """Return how many of `length` rows of `other` make a tile; an accelerator takes them all."""
    if jax.default_backend() != "cpu":
        return length
    return min(length, max(1, _ROWS // other))


def _over_tiles(
    go_back: Callable[[Callable[[Array], Array], Array | bool], BlockGradient],
    shape: tuple[int, int, int],
    kernel: tuple[int, ...],
    axis: int,
    size: int,
    dtype: jnp.dtype,
) -> BlockGradient:
    """Go back through one tile after another."""
    length, inputs = shape[axis], shape[2]

    def step(index: Array, total: BlockGradient) -> BlockGradient:
        first = index * size
        # The last tile ends where the array does; what it shares with the one before is not new.
        start = jnp.minimum(first, length - size)
        new: Array | bool = True
        if length % size:
            new = jnp.expand_dims(start + jnp.arange(size) >= first, (1 - axis, 2))
        found = go_back(lambda a: jax.lax.dynamic_slice_in_dim(a, start, size, axis), new)
        whole = jax.lax.dynamic_update_slice_in_dim(total.inputs, found.inputs, start, axis)
        added = jax.tree.map(jnp.add, (total.w, total.sums), (found.w, found.sums))
        return BlockGradient(whole, *added)

    none = jnp.zeros(inputs, dtype)
    total = BlockGradient(jnp.zeros(shape, dtype), jnp.zeros(kernel, dtype), Sums(none, none))
    return jax.lax.fori_loop(0, -(-length // size), step, total)
