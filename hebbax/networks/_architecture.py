"""`Architecture`: which units there are, and from which earlier ones each layer hears."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from hebbax._errors import check_choice
from hebbax.networks._blocks import (
    Block,
    Conv,
    Dense,
    Pool,
    Residual,
    Shape,
    Size,
    as_blocks,
)
from hebbax.networks._wiring import Wiring, wire


@dataclasses.dataclass(frozen=True, init=False)
class Architecture:
    """Layers between input and output, built of blocks; a dense layer of outputs ends them.

    It stands wherever the units of hidden layers do: `(64, 64)` is short for `mlp(64, 64)`.

        Architecture(Conv(16), Pool(2), Residual((Conv(16), Conv(16))), 64)

    Printed, it lists its blocks; once bound to inputs and outputs, it is a table of layers, shapes,
    synapses and multiply-adds: `print(architecture.bind(784, 10, (28, 28, 1)))`.

    **Arguments:**

    - `blocks`: `Dense`, or its number of units, `Conv`, `Local`, `Pool`, `Flatten`, `Residual`;
      input side first.
    - `image`: height, width and channels of the image that a row of inputs is. Families of images
      say that themselves.

    **Raises:** `ValueError` for what is no block, or an image without pixels.
    """

    blocks: tuple[Block, ...]
    image: tuple[int, int, int] | None

    def __init__(self, *blocks: Block | int, image: Sequence[int] | None = None):
        object.__setattr__(self, "blocks", as_blocks(blocks))
        object.__setattr__(self, "image", None if image is None else _image(image))

    @property
    def units(self) -> tuple[int, ...] | None:
        """Units of the hidden layers where all blocks are dense; None of other architectures."""
        sizes = tuple(block.units for block in self.blocks if isinstance(block, Dense))
        return sizes if len(sizes) == len(self.blocks) else None

    def bind(self, inputs: int, outputs: int, image: tuple[int, int, int] | None = None) -> Wiring:
        """Return the wiring between so many inputs and outputs.

        `image` is the shape that the inputs are known to have; the architecture's own goes first.

        **Raises:** `ValueError` where a block does not fit what it hears, or images are needed and
        their shape is not known.
        """
        image = self.image or image
        if self.units is not None or image is None:
            shape = Shape(1, 1, inputs)
        else:
            shape = Shape(*image)
        if shape.units != inputs:
            raise ValueError(
                f"an image of shape {image} has {shape.units} numbers, but a row of inputs "
                f"has {inputs}."
            )
        if image is None and _looks(self.blocks):
            raise ValueError(
                f"{self} needs to know which image the {inputs} numbers of a row are: give "
                f"image=(height, width, channels), as in networks.cnn(image=(28, 28, 1)), or a "
                f"family of images."
            )
        return wire((*self.blocks, Dense(outputs)), shape)

    def __str__(self) -> str:
        return "; ".join(map(str, self.blocks)) or "no hidden layers"

    def settings(self) -> Any:
        """Return what decides results, as JSON has it: the units of dense layers, or words."""
        units = self.units
        if units is not None:
            return list(units)
        return [str(self), *([] if self.image is None else [list(self.image)])]


def _looks(blocks: Iterable[Block]) -> bool:
    """Return whether the first block that is no residual one sees an image."""
    for block in blocks:
        if isinstance(block, Residual):
            return _looks(block.blocks) or _looks(block.shortcut)
        return isinstance(block, Conv | Pool)
    return False


def _image(image: Sequence[int]) -> tuple[int, int, int]:
    shape = tuple(image)
    if len(shape) != 3 or not all(isinstance(n, int) and n >= 1 for n in shape):
        raise ValueError(
            f"image must be a height, a width and a number of channels, such as (28, 28, 1); "
            f"got {image}."
        )
    return shape[0], shape[1], shape[2]


NAMES = ("mlp", "cnn", "resnet")
"""What `named` knows."""


def named(name: str, sizes: Sequence[int]) -> Architecture:
    """Return `mlp`, `cnn` or `resnet` of these sizes: units of the first, channels of the others.

    **Raises:** `ValueError` for another name.
    """
    check_choice("network", name, NAMES)
    return {"mlp": mlp, "cnn": cnn, "resnet": resnet}[name](*sizes)


def mlp(*units: int) -> Architecture:
    """Return dense layers of so many units."""
    return Architecture(*units)


def cnn(
    *channels: int,
    kernel: Size = 3,
    stride: Size = 2,
    dense: Sequence[int] = (),
    image: Sequence[int] | None = None,
) -> Architecture:
    """Return convolutions of so many channels, by default 16 and 32, and dense layers above them.

    Each halves the image by its stride. With 28 × 28 pixels and ten outputs, the default has about
    20,000 synapses.

    **Raises:** `ValueError` for settings out of range.
    """
    layers = [Conv(n, kernel, stride) for n in channels or (16, 32)]
    return Architecture(*layers, *dense, image=image)


def resnet(
    *channels: int, blocks: int = 1, kernel: Size = 3, image: Sequence[int] | None = None
) -> Architecture:
    """Return a residual network (He et al., CVPR 2016), by default of 16 and 32 channels.

    A first convolution; for each number of channels, `blocks` residual blocks of two convolutions,
    the first of which halves the image, but for the first channels; then the mean of all places.

    **Raises:** `ValueError` for settings out of range.
    """
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1; got {blocks}.")
    channels = channels or (16, 32)
    built: list[Block] = [Conv(channels[0], kernel)]
    for stage, n in enumerate(channels):
        for block in range(blocks):
            if stage > 0 and block == 0:
                around = (Conv(n, kernel=1, stride=2),)
                built.append(Residual((Conv(n, kernel, stride=2), Conv(n, kernel)), around))
            else:
                built.append(Residual((Conv(n, kernel), Conv(n, kernel))))
    return Architecture(*built, Pool(), image=image)
