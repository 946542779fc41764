"""`Wiring`: a network's layers and connections, all shapes known."""

import dataclasses
import itertools
from collections.abc import Iterable

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.networks._blocks import Block, Conv, Dense, Flatten, Pool, Residual, Shape, pair
from hebbax.networks._connection import Connection, Fixed, window


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of units and what it hears: the sum of its connections.

    **Fields:**

    - `name`: of the block that made it.
    - `shape`: of its units.
    - `connections`: those with synapses first. All of these have as many rows of synapses.
    """

    name: str
    shape: Shape
    connections: tuple[Connection, ...]

    @property
    def plastic(self) -> tuple[Connection, ...]:
        """The connections with synapses."""
        return tuple(c for c in self.connections if c.block is not None)

    @property
    def rows(self) -> int:
        """Receivers that have synapses of their own: units that share theirs count once."""
        return self.plastic[0].rows

    @property
    def senders(self) -> int:
        """Synapses into one receiver, from all connections together."""
        return sum(c.senders for c in self.plastic)

    @property
    def places(self) -> int:
        """Units that share the synapses of one row."""
        return self.shape.units // self.rows

    def parts(
        self, synapses: Float[Array, "s rows senders"]
    ) -> list[tuple[Connection, Float[Array, "s rows _"]]]:
        """Return each connection that has synapses with its own among those into the layer."""
        if len(self.plastic) == 1:
            return [(self.plastic[0], synapses)]
        ends = itertools.accumulate(c.senders for c in self.plastic)
        return [
            (c, synapses[:, :, end - c.senders : end])
            for c, end in zip(self.plastic, ends, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class Wiring:
    """An architecture between given inputs and outputs; printed, a table of its layers.

    **Fields:**

    - `input`: the shape of a row of inputs. Rows of images count channels fastest.
    - `layers`: in an order in which each hears from earlier ones only.
    """

    input: Shape
    layers: tuple[Layer, ...]

    @property
    def inputs(self) -> int:
        """Numbers in a row of inputs."""
        return self.input.units

    @property
    def outputs(self) -> int:
        """Units of the last layer."""
        return self.layers[-1].shape.units

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of all layers, the input first."""
        return (self.input, *(layer.shape for layer in self.layers))

    @property
    def synapses(self) -> int:
        """Synapses, without biases."""
        return sum(layer.rows * layer.senders for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of a forward pass of one row with one state a unit."""
        return sum(layer.shape.units * layer.senders for layer in self.layers)

    @property
    def chain(self) -> tuple[int, ...] | None:
        """The layer sizes, input first, where each layer is dense and hears the one below only."""
        for index, layer in enumerate(self.layers):
            (first, *more) = layer.connections
            if more or first.source != index or first.fixed or not isinstance(first.block, Dense):
                return None
        return tuple(shape.units for shape in self.shapes)

    def above(self, index: int) -> list[tuple[int, int]]:
        """Return which layers hear from the layer number `index` of `shapes`, by which connection.

        Both are counted in `layers` and in its `connections`.
        """
        return [
            (upper, place)
            for upper, layer in enumerate(self.layers)
            for place, connection in enumerate(layer.connections)
            if connection.source == index
        ]

    def __str__(self) -> str:
        head = ("", "layer", "hears from", "shape", "synapses", "multiply-adds")
        rows = [("0", "input", "", str(self.input), "", "")]
        for index, layer in enumerate(self.layers):
            heard = " + ".join(map(_heard, layer.connections))
            synapses, units = layer.rows * layer.senders, layer.shape.units
            numbers = (f"{synapses:,}", f"{units * layer.senders:,}")
            rows.append((str(index + 1), layer.name, heard, str(layer.shape), *numbers))
        rows.append(("", "total", "", "", f"{self.synapses:,}", f"{self.multiply_adds:,}"))
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        right = (0, 4, 5)
        return "\n".join(
            "  ".join(
                cell.rjust(w) if i in right else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (head, *rows)
        )


def _heard(connection: Connection) -> str:
    words = [str(connection.source), *map(str, connection.fixed)]
    return ", ".join(words)


@dataclasses.dataclass(frozen=True)
class _Tip:
    """What the next block hears: a layer and what lies between."""

    source: int
    lower: Shape
    fixed: tuple[Fixed, ...]
    shape: Shape


def spread(rows: Float[Array, "k rows"], units: int) -> Float[Array, "k units"]:
    """Give each unit what its row has, of units that share their synapses or are of a channel."""
    places = units // rows.shape[1]
    return rows if places == 1 else jnp.repeat(rows, places, axis=1)


def gather(units: Float[Array, "k units batch"], rows: int) -> Float[Array, "k rows _"]:
    """Put all that belongs to a row side by side: the units that share it, and the batch."""
    return units if units.shape[1] == rows else units.reshape(len(units), rows, -1)


def wire(blocks: Iterable[Block], input_shape: Shape) -> Wiring:
    """Return the wiring of blocks above an input.

    **Raises:** `ValueError` where a block does not fit what it hears.
    """
    layers: list[Layer] = []
    tip = _Tip(0, input_shape, (), input_shape)
    for block in blocks:
        tip = _add(layers, tip, block)
    return Wiring(input_shape, tuple(layers))


def _add(layers: list[Layer], tip: _Tip, block: Block) -> _Tip:
    if isinstance(block, Pool | Flatten):
        return _past(tip, block)
    if isinstance(block, Residual):
        start = tip
        for inner in block.blocks:
            tip = _add(layers, tip, inner)
        around = start
        for inner in block.shortcut:
            if isinstance(inner, Pool | Flatten):
                around = _past(around, inner)
        last = block.shortcut[-1] if block.shortcut else None
        plastic = last if isinstance(last, Dense | Conv) else None
        upper = around.shape if plastic is None else _shape(around.shape, plastic)
        main = layers[-1]
        if upper != main.shape:
            raise ValueError(
                f"a shortcut of shape {upper} cannot be added to {main.name} of shape "
                f"{main.shape}: give the Residual a shortcut such as Conv(channels, kernel=1, "
                f"stride=...) that brings one to the other."
            )
        added = Connection(around.source, around.lower, around.fixed, around.shape, plastic, upper)
        if plastic is not None and added.rows != main.rows:
            raise ValueError(
                f"{main.name} and a shortcut of {plastic} cannot be added, for in one of them "
                f"units of a channel share synapses and in the other not."
            )
        connections = sorted((*main.connections, added), key=lambda c: c.block is None)
        layers[-1] = dataclasses.replace(main, connections=tuple(connections))
        return tip
    shape = _shape(tip.shape, block)
    connection = Connection(tip.source, tip.lower, tip.fixed, tip.shape, block, shape)
    layers.append(Layer(str(block), shape, (connection,)))
    return _Tip(len(layers), shape, (), shape)


def _past(tip: _Tip, block: Fixed) -> _Tip:
    shape = tip.shape
    if isinstance(block, Flatten):
        after = Shape(1, 1, shape.units)
    else:
        size = pair(shape[:2] if block.size is None else block.size)
        stride = size if block.stride is None else pair(block.stride)
        places = tuple(
            (n - k) // s + 1 if n >= k else 0
            for n, k, s in zip(shape[:2], size, stride, strict=True)
        )
        after = Shape(places[0], places[1], shape.channels)
        if after.places < 1:
            raise ValueError(f"{block} does not fit into a layer of shape {shape}.")
    return dataclasses.replace(tip, fixed=(*tip.fixed, block), shape=after)


def _shape(below: Shape, block: Dense | Conv) -> Shape:
    if isinstance(block, Dense):
        return Shape(1, 1, block.units)
    sizes = [
        window(n, k, s, block.padding)[2]
        for n, k, s in zip(below[:2], pair(block.kernel), pair(block.stride), strict=True)
    ]
    if min(sizes) < 1:
        raise ValueError(f"{block} does not fit onto a layer of shape {below}.")
    groups = below.channels if block.groups == "depthwise" else block.groups
    if below.channels % groups or block.channels % groups:
        raise ValueError(
            f"the channels of {block} and the {below.channels} below must both be multiples of "
            f"the number of groups, {groups}."
        )
    return Shape(sizes[0], sizes[1], block.channels)
