"""What options add to a plain rule: paired differences over meta-seeds, and how they are drawn."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from hebbax.papers._statistics import mean_and_error
from hebbax.plots import GRID, INK

ERRORS = 3.0
"""Standard errors of a mean difference that tell it from none: with four runs, about 5 %."""
COLOURS = {"helps": "#0072B2", "harms": "#D55E00", "neither": "#888888"}
"""Of the verdicts."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """What an option adds to accuracy on one set of images, for each run."""

    runs: np.ndarray

    @property
    def mean(self) -> float:
        """Over runs."""
        return mean_and_error(self.runs)[0]

    @property
    def error(self) -> float:
        """Its standard error."""
        return mean_and_error(self.runs)[1]

    @property
    def sign(self) -> int:
        """1 if the mean is surely above zero, -1 if below, else 0."""
        return int(np.sign(self.mean)) if abs(self.mean) > ERRORS * self.error else 0

    @property
    def numbers(self) -> dict[str, float]:
        """Mean and standard error, for a result."""
        return {"mean": self.mean, "standard_error": self.error}

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.error:.3f}"


def verdict(each: Iterable[Difference]) -> str:
    """Return whether an option helps, or harms, on every set of images, or neither."""
    signs = {difference.sign for difference in each}
    return "helps" if signs == {1} else "harms" if signs == {-1} else "neither"


def told(added: Mapping[str, Mapping[str, Difference]], verdicts: Mapping[str, str]) -> str:
    """Return what each option adds on each set of images, and its verdict, in words."""
    return "; ".join(
        f"{name} {' and '.join(map(str, each.values()))} ({verdicts[name]})"
        for name, each in added.items()
    )


def numbers(added: Mapping[str, Mapping[str, Difference]]) -> dict[str, Any]:
    """Return the same for a result."""
    return {
        name: {data: difference.numbers for data, difference in each.items()}
        for name, each in added.items()
    }


def draw_differences(
    axes: Axes, added: Mapping[str, Difference], verdicts: Mapping[str, str]
) -> None:
    """Draw a line for each option: the mean, `ERRORS` standard errors, and a dot for each run."""
    axes.axvline(0, color=GRID, linewidth=1.2, zorder=0)
    for place, (name, difference) in enumerate(added.items()):
        colour = COLOURS[verdicts[name]]
        axes.errorbar(
            difference.mean, place, xerr=ERRORS * difference.error, fmt="s", markersize=6,
            color=colour, capsize=3, linewidth=1.6,
        )  # fmt: skip
        axes.plot(
            difference.runs, np.full(len(difference.runs), place + 0.25), "o", markersize=3.5,
            color=colour, markeredgecolor=INK, markeredgewidth=0.3,
        )  # fmt: skip
