"""`Architectures`: hidden layers that differ from lifetime to lifetime."""

import contextlib
import dataclasses
import math
import operator
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, cast

import jax
from jaxtyping import PRNGKeyArray

from hebbax._options import AT_LEAST_1, allows, check_option
from hebbax.networks._architecture import Architecture
from hebbax.networks._wiring import Wiring

Units: TypeAlias = tuple[int, ...] | Architecture
"""Units of the hidden layers of a network, or what it is built of."""
Hidden: TypeAlias = Units | tuple[Units, ...]
"""Those of all families' networks, or of each family's."""
Given: TypeAlias = Sequence[Annotated[int, AT_LEAST_1]] | Architecture
"""How `Units` may be given."""


def as_units(given: Given) -> Units:
    """Return units as a tuple; an architecture of dense layers is one too, for it is the same.

    **Raises:** `TypeError` if they are no numbers of units.
    """
    if isinstance(given, Architecture):
        return given if given.units is None else given.units
    return tuple(map(operator.index, given))


def as_hidden(hidden: Given | Sequence[Given], families: int) -> Hidden:
    """Return hidden layers in their short form: for all families, or for each its own.

    **Raises:** `ValueError` if there are not as many as `families`, or they are no numbers of
    units.
    """
    if isinstance(hidden, Architecture):
        return as_units(hidden)
    parts, nested = [], False
    with contextlib.suppress(TypeError):
        each = tuple(cast(Any, hidden))
        nested = any(isinstance(units, Sequence | Architecture) for units in each)
        parts = [as_units(units) for units in (each if nested else [each])]
    numbers = [units for units in parts if isinstance(units, tuple)]
    few = min((n for units in numbers for n in units), default=1) < 1
    if not parts or few or (nested and len(parts) != families):
        raise ValueError(
            f"hidden must hold the units of each hidden layer, at least 1, or be an Architecture, "
            f"such as networks.cnn(), or a sequence of them for each of the families, {families} "
            f"in number; got {hidden!r}."
        )
    return tuple(parts) if nested else parts[0]


def between(
    hidden: Given, inputs: int, outputs: int, image: tuple[int, int, int] | None = None
) -> tuple[int, ...] | Wiring:
    """Return what `AbstractRule.init_network` draws: layer sizes, or the wiring of an architecture.

    `image` is the shape that a row of inputs has, if it is known.

    **Raises:** `ValueError` where an architecture does not fit.
    """
    units = as_units(hidden)
    if isinstance(units, Architecture):
        return units.bind(inputs, outputs, image)
    return (inputs, *units, outputs)


def label(sizes: Sequence[int] | Wiring) -> str:
    """Return the shapes of all layers in one word, as in `784-64-10` or `28x28x1-14x14x16-10`."""
    return "-".join(map(str, sizes.shapes if isinstance(sizes, Wiring) else sizes))


def numbers(sizes: Sequence[int] | Wiring) -> int:
    """Return about how many numbers one row makes, apart from what large products sum up."""
    # Convolutions are sums over shifted images, one for each synapse of a unit.
    return sizes.multiply_adds if isinstance(sizes, Wiring) else sum(sizes[1:])


@dataclasses.dataclass(frozen=True)
class Architectures:
    """A distribution of architectures, for the place of one choice of them in `meta_train`.

    Every lifetime has networks of its own size: a number of hidden layers drawn uniformly, and
    for each of these layers a number of units drawn log-uniformly, as Metz et al. sample their
    base models. Workers draw them, each for itself; in one process all lifetimes share a program,
    and so a shape.

    Every new shape costs a worker a compilation, the same one again does not as long as it is
    among the last 32. `multiple` makes the same ones come again.

    **Arguments:**

    - `layers`: the fewest and the most hidden layers; the last layer, whose size is the task's
      or the objective's, is not one of them.
    - `units`: the fewest and the most units of each; multiples of `multiple`.
    - `multiple`: units are rounded to a multiple of this.
    - `among`: architectures, or units of hidden layers, of which one is drawn with equal chances;
      if there are any, the other settings do not count.

    **Raises:** `ValueError` for settings out of range.
    """

    layers: tuple[int, int] = (2, 5)
    units: tuple[int, int] = (64, 512)
    multiple: int = 1
    among: tuple[Given, ...] = ()

    def __post_init__(self) -> None:
        """Refuse empty ranges."""
        for name, least in (("layers", 0), ("units", 1)):
            value = tuple(getattr(self, name))
            if not allows(tuple[int, int], value) or not least <= value[0] <= value[1]:
                raise ValueError(
                    f"{name} must be a range (low, high) of whole numbers of at least {least}; "
                    f"got {getattr(self, name)}."
                )
            object.__setattr__(self, name, value)
        check_option("multiple", self.multiple, Annotated[int, AT_LEAST_1])
        if any(units % self.multiple for units in self.units):
            raise ValueError(
                f"units must be multiples of multiple, {self.multiple}; got {self.units}."
            )

    def draw(self, key: PRNGKeyArray) -> Units:
        """Return the hidden layers of one lifetime."""
        if self.among:
            return as_units(self.among[int(jax.random.randint(key, (), 0, len(self.among)))])
        k_layers, k_units = jax.random.split(key)
        low, high = self.layers
        layers = int(jax.random.randint(k_layers, (), low, high + 1))
        low, high = map(math.log, self.units)
        drawn = jax.random.uniform(k_units, (layers,), minval=low, maxval=high)
        return tuple(self._rounded(math.exp(value)) for value in drawn.tolist())

    @property
    def middle(self) -> Units:
        """The architecture that validation uses, so that its losses can be compared.

        The mean number of layers, rounded down, of as many units as the geometric mean of the
        bounds says; or the middle one of those given.
        """
        if self.among:
            return as_units(self.among[len(self.among) // 2])
        return (self._rounded(math.sqrt(math.prod(self.units))),) * (sum(self.layers) // 2)

    def settings(self) -> dict[str, Any]:
        """Return what decides results, as JSON has it."""
        if self.among:
            settings = (
                u.settings() if isinstance(u, Architecture) else list(u) for u in self.among
            )
            return {"among": list(settings)}
        return {
            "layers": list(self.layers),
            "units": list(self.units),
            "multiple": self.multiple,
        }

    def _rounded(self, units: float) -> int:
        low, high = self.units
        return min(max(round(units / self.multiple) * self.multiple, low), high)
