"""The blocks that networks are built of: layers, what lies between them, and ways around them."""

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

Size = int | tuple[int, int]


class Shape(NamedTuple):
    """Units of a layer: `channels` at each of `height` × `width` places. A flat layer is 1 × 1.

    Units are counted channel by channel: all places of the first, then all of the next.
    """

    height: int
    width: int
    channels: int

    @property
    def places(self) -> int:
        """Places of a channel."""
        return self.height * self.width

    @property
    def units(self) -> int:
        """Units in all."""
        return self.places * self.channels

    def __str__(self) -> str:
        if self.places == 1:
            return str(self.channels)
        return f"{self.height}x{self.width}x{self.channels}"


@dataclasses.dataclass(frozen=True)
class Dense:
    """A layer in which every unit hears from every unit below.

    **Raises:** `ValueError` if `units` is below 1.
    """

    units: int

    def __post_init__(self) -> None:
        """Refuse a layer without units."""
        _whole(self, "units", 1)

    def __str__(self) -> str:
        return f"dense {self.units}"


@dataclasses.dataclass(frozen=True)
class Conv:
    """A layer of `channels` whose units hear from a window below; those of a channel hear alike.

    **Arguments:**

    - `channels`: at each place.
    - `kernel`: height and width of the window, or one number for both.
    - `stride`: from window to window, likewise.
    - `padding`: `same` pads with zeros to ⌈size / stride⌉ places, `valid` not at all; or a number
      of zeros on every side.
    - `groups`: the channels fall into so many groups, and each hears from one of as many groups of
      channels below; `depthwise`: as many as there are channels below.

    **Raises:** `ValueError` for settings out of range.
    """

    channels: int
    kernel: Size = 3
    stride: Size = 1
    padding: int | Literal["same", "valid"] = "same"
    groups: int | Literal["depthwise"] = 1

    def __post_init__(self) -> None:
        """Refuse settings out of range by name."""
        _whole(self, "channels", 1)
        for name in ("kernel", "stride"):
            _pair(self, name)
        if self.padding not in ("same", "valid"):
            _whole(self, "padding", 0)
        if self.groups != "depthwise":
            _whole(self, "groups", 1)

    @property
    def shared(self) -> bool:
        """Whether units of a channel share their synapses."""
        return True

    def __str__(self) -> str:
        return f"{self._kind} {self.channels}, {self._words}"

    @property
    def _kind(self) -> str:
        return "convolution"

    @property
    def _words(self) -> str:
        words = f"{_times(self.kernel)}, {self.padding}"
        if pair(self.stride) != (1, 1):
            words += f", stride {_short(self.stride)}"
        if self.groups == "depthwise":
            words += ", depth-wise"
        elif self.groups != 1:
            words += f", {self.groups} groups"
        return words


@dataclasses.dataclass(frozen=True)
class Local(Conv):
    """A `Conv` that shares nothing: every unit has synapses of its own from its window."""

    @property
    def shared(self) -> bool:
        """Whether units of a channel share their synapses: no."""
        return False

    @property
    def _kind(self) -> str:
        return "local"


@dataclasses.dataclass(frozen=True)
class Pool:
    """Means over windows of each channel, without synapses: no layer, but what the next one hears.

    **Arguments:**

    - `size`: height and width of the windows, or one number for both; None for all places. Windows
      lie inside the image; what is left over at its end is dropped.
    - `stride`: from window to window; None for `size`.

    **Raises:** `ValueError` for settings out of range.
    """

    size: Size | None = None
    stride: Size | None = None

    def __post_init__(self) -> None:
        """Refuse settings out of range by name."""
        for name in ("size", "stride"):
            if getattr(self, name) is not None:
                _pair(self, name)
        if self.size is None and self.stride is not None:
            raise ValueError(
                f"stride must be None where size is, for all places; got {self.stride}."
            )

    def __str__(self) -> str:
        if self.size is None:
            return "mean of all places"
        stride = "" if self.stride is None else f", stride {_short(self.stride)}"
        return f"mean {_times(self.size)}{stride}"


@dataclasses.dataclass(frozen=True)
class Flatten:
    """Makes each unit a channel of the only place; dense layers need none."""

    def __str__(self) -> str:
        return "flatten"


@dataclasses.dataclass(frozen=True)
class Residual:
    """Blocks whose last layer also hears, added, what the first one heard (He et al., CVPR 2016).

    **Arguments:**

    - `blocks`: the last one is a layer.
    - `shortcut`: what lies on the way around: nothing, or pools, or, where shapes differ, a last
      block with synapses, such as `Conv(32, kernel=1, stride=2)`.

    **Raises:** `ValueError` if the last block is no layer.
    """

    blocks: "tuple[Block, ...]"
    shortcut: "tuple[Block, ...]" = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be added."""
        object.__setattr__(self, "blocks", as_blocks(self.blocks))
        object.__setattr__(self, "shortcut", as_blocks(self.shortcut))
        if not self.blocks or not isinstance(self.blocks[-1], Dense | Conv):
            raise ValueError(
                f"a Residual's last block must be a layer, such as Conv, for the shortcut to be "
                f"added to; got {list(map(str, self.blocks))}."
            )
        layers = [index for index, b in enumerate(self.shortcut) if isinstance(b, Dense | Conv)]
        residual = any(isinstance(b, Residual) for b in self.shortcut)
        if residual or layers not in ([], [len(self.shortcut) - 1]):
            raise ValueError(
                f"a shortcut must hold Pool and Flatten, and one layer at most, at its end; "
                f"got {list(map(str, self.shortcut))}."
            )

    def __str__(self) -> str:
        around = ", ".join(map(str, self.shortcut)) or "itself"
        return f"({'; '.join(map(str, self.blocks))}) + {around}"


Layer = Dense | Conv
Block = Layer | Pool | Flatten | Residual


def as_blocks(given: Iterable[Any]) -> tuple[Block, ...]:
    """Return blocks as a tuple; numbers are units of dense layers.

    **Raises:** `ValueError` for what is no block.
    """
    blocks = tuple(Dense(b) if isinstance(b, int) else b for b in given)
    for block in blocks:
        if not isinstance(block, Block):
            raise ValueError(
                f"a network is built of Dense, Conv, Local, Pool, Flatten and Residual, or numbers "
                f"of dense units; got {block!r}."
            )
    return blocks


def pair(size: Size) -> tuple[int, int]:
    """Return height and width."""
    return (size, size) if isinstance(size, int) else size


def _times(size: Size) -> str:
    return "x".join(map(str, pair(size)))


def _short(size: Size) -> str:
    high, wide = pair(size)
    return str(high) if high == wide else _times(size)


def _whole(block: Any, name: str, least: int) -> None:
    value = getattr(block, name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{name} of a {type(block).__name__} must be a whole number of at least {least}; "
            f"got {value!r}."
        )


def _pair(block: Any, name: str) -> None:
    value = getattr(block, name)
    both = (value, value) if isinstance(value, int) else tuple(value)
    if len(both) != 2 or not all(isinstance(n, int) and n >= 1 for n in both):
        raise ValueError(
            f"{name} of a {type(block).__name__} must be a whole number of at least 1, or two of "
            f"them; got {value!r}."
        )
    if not isinstance(value, int):
        object.__setattr__(block, name, both)
