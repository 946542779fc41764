"""What flows through a connection: linear in what is sent, and linear in its synapses.

Signals are `[k, units, batch]`, k states of all units, and synapses `[s, rows, senders]`: each row
holds the synapses into one receiver, or into all receivers that share them. `send` brings signals
up, `back` is its transpose in the signals, and `hebb` its transpose in the synapses, the sum of
products of what meets in each synapse. Either k or s may be 1 and then serves all states.

A convolution gathers windows into the columns of a matrix and is a product of matrices from there
on. XLA's own convolutions are up to ten times slower inside a loop, where a lifetime's updates
happen, or where each of many networks has synapses of its own.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.networks._blocks import Conv, Dense, Flatten, Pool, Shape, Size, pair

Signal = Float[Array, "k _ batch"]
Synapses = Float[Array, "s _ _"]
Fixed = Pool | Flatten


def window(size: int, kernel: int, stride: int, padding: int | str) -> tuple[int, int, int]:
    """Return zeros before and after a side of this size, and how many windows there are then."""
    if padding == "valid":
        before = after = 0
    elif padding == "same":
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
    else:
        assert isinstance(padding, int)
        before = after = padding
    return before, after, max((size + before + after - kernel) // stride + 1, 0)


@dataclasses.dataclass(frozen=True)
class Connection:
    """A way from one layer to a later one, with synapses or without.

    **Fields:**

    - `source`: the number of the layer that sends, 0 for the input; `lower`: its shape.
    - `fixed`: what lies on the way without synapses; `heard`: the shape after it.
    - `block`: with synapses; None where what is heard is added as it is.
    - `upper`: the shape of the layer that receives.
    """

    source: int
    lower: Shape
    fixed: tuple[Fixed, ...]
    heard: Shape
    block: Dense | Conv | None
    upper: Shape

    @property
    def groups(self) -> int:
        """Groups of channels that know nothing of each other."""
        if not isinstance(self.block, Conv):
            return 1
        return self.heard.channels if self.block.groups == "depthwise" else self.block.groups

    @property
    def rows(self) -> int:
        """Receivers with synapses of their own; counted like units."""
        if isinstance(self.block, Conv) and self.block.shared:
            return self.upper.channels
        return self.upper.units

    @property
    def senders(self) -> int:
        """Synapses in a row: by channel heard, then by place in the window."""
        if isinstance(self.block, Conv):
            high, wide = pair(self.block.kernel)
            return self.heard.channels // self.groups * high * wide
        return self.heard.units

    # Without synapses

    def hear(self, signal: Signal) -> Signal:
        """Return what is heard of a layer's signals: pooled and flattened."""
        shape = self.lower
        for block in self.fixed:
            if isinstance(block, Flatten):
                shape = Shape(1, 1, shape.units)
            else:
                signal, shape = _pooled(signal, shape, block)
        return signal

    def unhear(self, signal: Signal) -> Signal:
        """Return the transpose of `hear`."""
        if not any(isinstance(block, Pool) for block in self.fixed):
            return signal
        return _transposed(self.hear, (len(signal), self.lower.units, signal.shape[2]), signal)

    # With synapses

    def send(self, signal: Signal, synapses: Synapses) -> Float[Array, "_ upper batch"]:
        """Return what arrives at every receiver: the sum of signals times synapses."""
        signal = self.hear(signal)
        if not isinstance(self.block, Conv):
            if len(synapses) == 1:
                return jnp.einsum("ij,kjb->kib", synapses[0], signal)
            if len(signal) == 1:
                return jnp.einsum("kij,jb->kib", synapses, signal[0])
            return jnp.einsum("kij,kjb->kib", synapses, signal)
        columns = [self._windows(a) for a in signal]
        return self._each(self._product, columns, synapses)

    def back(self, signal: Float[Array, "k upper batch"], synapses: Synapses) -> Signal:
        """Return what arrives at every sender: the transpose of `send` in its signal."""
        return self.unhear(self.back_heard(signal, self.turned(synapses)))

    def back_heard(self, signal: Float[Array, "k upper batch"], turned: Synapses) -> Signal:
        """Return what arrives at what is heard, through backward synapses; see `turned`."""
        if not isinstance(self.block, Conv):
            if len(turned) == 1:
                return jnp.einsum("ij,kjb->kib", turned[0], signal)
            return jnp.einsum("kij,kjb->kib", turned, signal)
        shape = (self.heard.units, signal.shape[2])

        def one(u: Array, w: Array) -> Array:
            return _transposed(self._windows, shape, self._product_back(u, w))

        return self._each(one, signal, self.unturned(turned))

    def hebb(self, pre: Signal, post: Float[Array, "s upper batch"]) -> Synapses:
        """Return the sum, over examples and places, of what meets in every synapse.

        The transpose of `send` in the synapses.
        """
        pre = self.hear(pre)
        if not isinstance(self.block, Conv):
            if len(pre) == 1:
                return jnp.einsum("kib,jb->kij", post, pre[0])
            return jnp.einsum("kib,kjb->kij", post, pre)
        columns = [self._windows(a) for a in pre]
        return self._each(self._product_hebb, columns, post)

    def hebb_back(self, pre: Float[Array, "k upper batch"], post: Signal) -> Synapses:
        """Return what meets in every backward synapse, whose senders are the receivers above."""
        if not isinstance(self.block, Conv):
            return jnp.einsum("kib,kjb->kij", self.hear(post), pre)
        return self.turned(self.hebb(post, pre))

    # Backward synapses: each belongs to one that sends forward, and rows are who receives backward.

    @property
    def backward_rows(self) -> int:
        """Who has backward synapses of its own: channels heard, or units where none are shared."""
        shared = isinstance(self.block, Conv) and self.block.shared
        return self.heard.channels if shared else self.heard.units

    @property
    def backward_senders(self) -> int:
        """Backward synapses in a row: by channel, then by place in the window."""
        if isinstance(self.block, Conv):
            high, wide = pair(self.block.kernel)
            return self.upper.channels // self.groups * high * wide
        return self.upper.units

    def turned(self, synapses: Synapses) -> Float[Array, "s backward_rows backward_senders"]:
        """Return synapses in the order of backward ones.

        A unit that hears backward from fewer than others, at an image's border or between the
        windows of a stride, has zeros where synapses would be.
        """
        if not isinstance(self.block, Conv):
            return jnp.swapaxes(synapses, 1, 2)
        groups, size = self.groups, self._kernel_places
        if self.block.shared:
            split = synapses.reshape(len(synapses), groups, -1, self.senders // size, size)
            return jnp.swapaxes(split, 2, 3).reshape(
                len(synapses), self.backward_rows, self.backward_senders
            )
        split = self._split_local(synapses)

        def back(w: Float[Array, "upper size"]) -> Float[Array, "heard size"]:
            return self._places_back(w)

        turned = jax.vmap(jax.vmap(jax.vmap(jax.vmap(back))))(split)
        # [s, groups, out, in, place, size] to [s, groups, in, place, out, size]
        return jnp.transpose(turned, (0, 1, 3, 4, 2, 5)).reshape(
            len(synapses), self.backward_rows, self.backward_senders
        )

    @property
    def backward_fan_in(self) -> float:
        """Receivers above of a unit that is heard, in the mean."""
        return self.upper.units * self.senders / self.heard.units

    def unturned(self, turned: Float[Array, "s backward_rows backward_senders"]) -> Synapses:
        """Undo `turned`."""
        if not isinstance(self.block, Conv):
            return jnp.swapaxes(turned, 1, 2)
        groups, size, s = self.groups, self._kernel_places, len(turned)
        outs = self.upper.channels // groups
        if self.block.shared:
            split = turned.reshape(s, groups, -1, outs, size)
            return jnp.swapaxes(split, 2, 3).reshape(s, self.rows, self.senders)
        split = turned.reshape(s, groups, -1, self.heard.places, outs, size)
        split = jnp.transpose(split, (0, 1, 4, 2, 3, 5))
        there = jax.vmap(jax.vmap(jax.vmap(jax.vmap(self._places))))(split)
        # [s, groups, out, in, place, size] to [s, groups, out, place, in, size]
        return jnp.swapaxes(there, 3, 4).reshape(s, self.rows, self.senders)

    def _split_local(self, synapses: Synapses) -> Float[Array, "s groups out in place size"]:
        outs = self.upper.channels // self.groups
        shape = (len(synapses), self.groups, outs, self.upper.places, -1, self._kernel_places)
        return jnp.swapaxes(synapses.reshape(shape), 3, 4)

    def _places(self, w: Float[Array, "heard size"]) -> Float[Array, "upper size"]:
        """Bring what stands with each sender and offset to the window that it is in."""
        image = w.reshape(self.heard.height, self.heard.width, -1)
        parts = [
            part[:, :, offset].reshape(-1) for offset, part in enumerate(self._shifted(image, 0))
        ]
        return jnp.stack(parts, axis=1)

    def _places_back(self, w: Float[Array, "upper size"]) -> Float[Array, "heard size"]:
        return _transposed(self._places, (self.heard.places, self._kernel_places), w)

    # Convolutions

    @property
    def _kernel_places(self) -> int:
        assert isinstance(self.block, Conv)
        high, wide = pair(self.block.kernel)
        return high * wide

    def _shifted(self, image: Array, axis: int) -> list[Array]:
        assert isinstance(self.block, Conv)
        return _slices(image, axis, self.block.kernel, self.block.stride, self.block.padding)

    def _windows(
        self, a: Float[Array, "heard batch"]
    ) -> Float[Array, "groups senders places batch"]:
        """Gather what every window sees."""
        channels, batch = self.heard.channels, a.shape[1]
        image = a.reshape(channels, self.heard.height, self.heard.width, batch)
        stacked = jnp.stack(self._shifted(image, 1), axis=1)
        return stacked.reshape(self.groups, self.senders, self.upper.places, batch)

    def _product(
        self, columns: Float[Array, "groups senders places batch"], w: Float[Array, "rows senders"]
    ) -> Float[Array, "upper batch"]:
        groups, batch = self.groups, columns.shape[3]
        if not self._shares:
            w = w.reshape(groups, -1, self.upper.places, self.senders)
            product = jnp.einsum("gopf,gfpb->gopb", w, columns)
        elif groups == 1:
            product = w @ columns.reshape(self.senders, -1)
        else:
            w = w.reshape(groups, -1, self.senders)
            product = jnp.einsum("gof,gfn->gon", w, columns.reshape(groups, self.senders, -1))
        return product.reshape(self.upper.units, batch)

    def _product_back(
        self, u: Float[Array, "upper batch"], w: Float[Array, "rows senders"]
    ) -> Float[Array, "groups senders places batch"]:
        groups, places, batch = self.groups, self.upper.places, u.shape[1]
        if not self._shares:
            w = w.reshape(groups, -1, places, self.senders)
            return jnp.einsum("gopf,gopb->gfpb", w, u.reshape(groups, -1, places, batch))
        if groups == 1:
            product = w.T @ u.reshape(self.rows, -1)
        else:
            w = w.reshape(groups, -1, self.senders)
            split = u.reshape(groups, w.shape[1], -1)
            product = jnp.einsum("gof,gon->gfn", w, split)
        return product.reshape(groups, self.senders, places, batch)

    def _product_hebb(
        self, columns: Float[Array, "groups senders places batch"], u: Float[Array, "upper batch"]
    ) -> Float[Array, "rows senders"]:
        groups, places, batch = self.groups, self.upper.places, u.shape[1]
        if not self._shares:
            split = u.reshape(groups, -1, places, batch)
            product = jnp.einsum("gopb,gfpb->gopf", split, columns)
        elif groups == 1:
            product = u.reshape(self.rows, -1) @ columns.reshape(self.senders, -1).T
        else:
            split = u.reshape(groups, self.rows // groups, -1)
            product = jnp.einsum("gon,gfn->gof", split, columns.reshape(groups, self.senders, -1))
        return product.reshape(self.rows, self.senders)

    @property
    def _shares(self) -> bool:
        assert isinstance(self.block, Conv)
        return self.block.shared

    @staticmethod
    def _each(function: Callable, first: list[Array] | Array, second: Array) -> Array:
        """Apply a function to every state, one after another, of which either may have just one.

        Products of large matrices are faster so than side by side.
        """
        states = max(len(first), len(second))
        return jnp.stack(
            [function(first[i % len(first)], second[i % len(second)]) for i in range(states)]
        )


def from_rows(x: Float[Array, "batch in"], shape: Shape) -> Float[Array, "1 units batch"]:
    """Return rows of inputs as signals; the channels of an image's place stand side by side."""
    if shape.places > 1 and shape.channels > 1:
        x = jnp.swapaxes(x.reshape(-1, shape.places, shape.channels), 1, 2).reshape(len(x), -1)
    return x.T[None]


def _slices(image: Array, axis: int, kernel: Size, stride: Size, padding: int | str) -> list[Array]:
    """Return what each window sees at its first place, at its second, and so on.

    Height and width are `axis` and the one after it.
    """
    sides = [
        window(n, k, s, padding)
        for n, k, s in zip(image.shape[axis : axis + 2], pair(kernel), pair(stride), strict=True)
    ]
    edges = [(before, after) for before, after, _ in sides]
    if any(map(any, edges)):
        rest = [(0, 0)] * (image.ndim - 2 - axis)
        image = jnp.pad(image, [*[(0, 0)] * axis, *edges, *rest])
    (down, across), (_, _, high), (_, _, wide) = pair(stride), *sides
    whole = (slice(None),) * axis
    return [
        image[
            (
                *whole,
                slice(i, i + (high - 1) * down + 1, down),
                slice(j, j + (wide - 1) * across + 1, across),
            )
        ]
        for i in range(pair(kernel)[0])
        for j in range(pair(kernel)[1])
    ]


def _pooled(signal: Signal, shape: Shape, pool: Pool) -> tuple[Signal, Shape]:
    k, _, batch = signal.shape
    image = signal.reshape(k, shape.channels, shape.height, shape.width, batch)
    size = pair(shape[:2] if pool.size is None else pool.size)
    if pool.stride is None or pair(pool.stride) == size:
        high, wide = shape.height // size[0], shape.width // size[1]
        image = image[:, :, : high * size[0], : wide * size[1]]
        image = image.reshape(k, shape.channels, high, size[0], wide, size[1], batch)
        mean = jnp.mean(image, axis=(3, 5))
    else:
        parts = _slices(image, 2, size, pool.stride, "valid")
        mean = functools.reduce(jnp.add, parts) / len(parts)
        high, wide = mean.shape[2:4]
    after = Shape(high, wide, shape.channels)
    return mean.reshape(k, after.units, batch), after


def _transposed(function: Callable, shape: tuple[int, ...], of: Array) -> Array:
    """Apply the transpose of a linear function of arrays of this shape."""
    (result,) = jax.linear_transpose(function, jax.ShapeDtypeStruct(shape, of.dtype))(of)
    return result
