"""Figure 7: networks far wider and deeper than those of meta-training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import band, headline, label, sheet
from hebbax.papers._statistics import mean_and_error, rounded, rows
from hebbax.papers.unsupervised._curves import (
    ERRORS,
    PAPER,
    SMOKE,
    Accuracies,
    accuracies,
    dress,
    gain,
    improved,
    shipped,
)
from hebbax.papers.unsupervised._few_shot import few_shot


class WidthAndDepth(Experiment):
    """The shipped rule on networks of many widths, and of up to eleven layers."""

    name: ClassVar = "unsupervised/architectures"
    source: ClassVar = "Metz et al. fig. 7, sec. 5.4"
    claim: ClassVar = (
        "The rule improves networks far wider and deeper than those of meta-training, to 11 layers "
        "and 10,000 units, and makes use of more units."
    )
    criterion: ClassVar = (
        f"for every architecture the mean over runs of the gain in few-shot test accuracy over the "
        f"fresh network exceeds {ERRORS} of its standard errors, and after the last update the "
        f"widest network is ahead of the narrowest by more than {ERRORS} standard errors of the "
        f"difference (runs paired by their data)"
    )
    smoke: ClassVar = {
        **SMOKE, "widths": (4, 16), "depths": (3,), "units": 8, "deep_points": (0, 2),
    }  # fmt: skip
    paper: ClassVar = {
        **{name: value for name, value in PAPER.items() if name != "hidden"},
        "widths": (10, 32, 100, 320, 1000, 3200, 10_000), "width_layers": 5,
        "depths": (2, 3, 5, 8, 11), "units": 128, "points": (0, 10, 100, 1000, 3000),
        "deep_points": (0, 10, 100, 1000, 3000),
    }  # fmt: skip

    rule: str = "unsupervised/small"
    data: str = "mnist"
    size: int = 14
    widths: tuple[int, ...] = (8, 32, 128, 512, 2048, 10_000)
    width_layers: int = 2
    """Layers of weights, the features' included, of networks that differ in width."""
    depths: tuple[int, ...] = (1, 2, 3, 5, 8, 11)
    """Layers of weights, the features' included."""
    units: int = 64
    """Width of the hidden layers of networks that differ in depth."""
    points: tuple[int, ...] = (0, 3, 10, 30, 100)
    """Numbers of updates at which networks that differ in width are judged."""
    deep_points: tuple[int, ...] = (0, 3, 10, 30, 100, 300, 1000)
    """The same for those that differ in depth: a layer waits for what lies below it."""
    batch: int = 32
    runs: int = 4
    tested: int = 2000

    def run(self, work: Path, seed: int) -> Finding:
        """Train networks of every size."""
        hidden = self.width_layers - 1
        wide = {w: self._train((w,) * hidden, self.points, seed) for w in self.widths}
        deep = {
            d: self._train((self.units,) * (d - 1), self.deep_points, seed) for d in self.depths
        }
        gains = {"width": _gains(wide), "depth": _gains(deep)}
        lead, error = mean_and_error(wide[self.widths[-1]][:, -1] - wide[self.widths[0]][:, -1])
        every = [g for part in gains.values() for g in part.values()]
        gained = [improved(g) for g in every]
        numbers = {"gains": gains, "lead_of_the_widest": {"mean": lead, "standard_error": error}}
        last = gains["depth"][str(self.depths[-1])]
        shows = (
            f"{sum(gained)} of {len(gained)} architectures gain; after "
            f"{self.points[-1]:,} updates {_listed(self.widths)} units a hidden layer reach "
            + ", ".join(f"{g['after']:.1%}" for g in gains["width"].values())
            + f"; after {self.deep_points[-1]:,} updates {self.depths[-1]} layers have gone from "
            f"{last['before']:.1%} to {last['after']:.1%}."
        )
        table = [
            line
            for part, found, points in (
                ("width", wide, self.points),
                ("depth", deep, self.deep_points),
            )
            for value, curves in found.items()
            for line in rows(curves, points, each="run", form=rounded, varied=part, value=value)
        ]
        holds = all(gained) and lead > ERRORS * error
        return Finding(table, numbers, holds, shows, self._draw(wide, deep))

    def _train(self, hidden: tuple[int, ...], points: Sequence[int], seed: int) -> Accuracies:
        rule, theta = shipped(self.rule)
        return accuracies(
            rule,
            theta,
            lambda own: few_shot(self.data, self.size, own, tested=self.tested),
            hidden,
            points,
            batch=self.batch,
            runs=self.runs,
            seed=seed,
        )

    def _draw(self, wide: Mapping[int, Accuracies], deep: Mapping[int, Accuracies]) -> Figure:
        figure, grid = sheet(11, 8, 2, 2, sharey=True)
        trained, size = self.width_layers, self.size**2
        width = f"Width: {trained} layers of weights"
        depth = f"Depth: {self.units} units a hidden layer"
        for (left, right), found, points, what, title in (
            (grid[0], wide, self.points, "units in a hidden layer", width),
            (grid[1], deep, self.deep_points, "layers of weights", depth),
        ):
            self._curves(left, found, points)
            label(left, title=title)
            left.legend(frameon=False, fontsize=8, ncols=2, title=what, title_fontsize=8)
            self._ends(right, found, points, what)
        grid[1, 1].set_xticks(list(deep), [str(depth) for depth in deep])
        grid[0, 1].set_xscale("log")
        grid[0, 1].set_xticks(list(wide), [f"{width:,}" for width in wide])
        for axes in grid[:, 1]:
            axes.minorticks_off()
        return headline(
            figure,
            f"The rule on networks of other sizes; {self.data}, {size} inputs, 32 features\n"
            f"mean and standard error of {self.runs} networks, ten labelled examples a class",
        )

    def _curves(self, axes: Axes, found: Mapping[int, Accuracies], points: Sequence[int]) -> None:
        colours = colormaps["viridis"]([0.9 * i / len(found) for i in range(len(found))])
        for colour, (value, curves) in zip(colours, found.items(), strict=True):
            band(axes, points, curves, f"{value:,}", colour, errors=True)
        dress(axes, points, self.batch)

    def _ends(
        self, axes: Axes, found: Mapping[int, Accuracies], points: Sequence[int], what: str
    ) -> None:
        """Draw accuracy over the sizes after each number of updates."""
        colours = colormaps["inferno"]([0.8 * i / len(points) for i in range(len(points))])
        for index, (colour, updates) in enumerate(zip(colours, points, strict=True)):
            words = f"{updates:,} updates" if updates else "random initialisation"
            joined = np.stack([curves[:, index] for curves in found.values()], axis=1)
            band(axes, list(found), joined, words, colour, errors=True, marker="o", markersize=4)
        label(axes, what, "test accuracy")
        axes.legend(frameon=False, fontsize=8, ncols=2)


def _gains(found: Mapping[int, Accuracies]) -> dict[str, dict[str, float]]:
    return {str(value): gain(curves) for value, curves in found.items()}


def _listed(values: Sequence[int]) -> str:
    return ", ".join(f"{value:,}" for value in values)
