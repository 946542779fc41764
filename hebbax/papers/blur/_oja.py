"""Supplement, figure 5: what Oja's term does to the size of synapses."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.figure import Figure

from hebbax.papers._experiment import Finding
from hebbax.papers._figures import headline, label, mark, sheet
from hebbax.papers.blur._genomes import PAPER, images_of, title
from hebbax.papers.blur._long import OJA, Life, LongLived, long_lived_blur, spaced

GROWTH = 2.0
COLOURS = {"without Oja's term": "#D55E00", "with Oja's term": "#0072B2"}


class Oja(LongLived):
    """Synapses of networks that live on far beyond the lifetimes of meta-training."""

    name: ClassVar = "blur/oja"
    source: ClassVar = "BLUR supplement, fig. 5, sec. 3.5 (fig. 15, app. C.5)"
    claim: ClassVar = (
        "Without Oja's term synapses grow until they overflow; with it they stay bounded."
    )
    criterion: ClassVar = (
        f"without Oja's term the mean absolute value of the synapses is no finite number any more "
        f"at the end of all networks' lives; with it, it is finite at every point of every life, "
        f"and at the end at most {GROWTH:g} times what it was after half the updates"
    )
    smoke: ClassVar = {**LongLived.smoke, "updates": 20}
    paper: ClassVar = {**PAPER, "states": 4, "hidden": (64, 64), "unrolls": 20}

    steps: int = 600
    updates: int = 4000

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with and without Oja's term, and let networks live long."""
        family = images_of(self.data)
        lives: dict[str, Life] = {}
        numbers: dict[str, Any] = {"updates": self.updates, "trained_updates": self.unrolls}
        lines = []
        points = spaced(self.updates, (self.unrolls, self.updates // 2))
        for name, oja in zip(COLOURS, (None, OJA), strict=True):
            place = work / ("plain" if oja is None else "oja")
            rule = long_lived_blur(self.states, oja=oja)
            life, kept = self.follow(place, rule, family, points, seed)
            lives[name] = life
            numbers[name] = self._numbers(life) | {"synapses_keep": kept}
            lines += life.rows(name, ("amplitude", "accuracy"))
        plain, bounded = (numbers[name] for name in COLOURS)
        holds = (
            plain["overflowed_networks"] == self.networks
            and bounded["overflowed_networks"] == 0
            and bounded["growth_over_last_half"] <= GROWTH
        )
        shows = f"{self._told('Without', plain)} {self._told('With', bounded)}"
        return Finding(lines, numbers, holds, shows, self._draw(lives, title(self.data, family)))

    def _numbers(self, life: Life) -> dict[str, Any]:
        finite = np.isfinite(life.amplitude)
        half, trained = (life.steps.tolist().index(n) for n in (self.updates // 2, self.unrolls))
        growth = life.amplitude[:, -1] / life.amplitude[:, half]
        return {
            "overflowed_networks": int((~finite.all(axis=1)).sum()),
            **life.before_overflow(),
            "amplitude_after_trained_updates": float(life.amplitude[:, trained].mean()),
            "accuracy_after_trained_updates": float(life.accuracy[:, trained].mean()),
            "best_accuracy": float(life.accuracy.mean(axis=0).max()),
            "growth_over_last_half": float(growth.max()) if finite.all() else None,
        }

    def _told(self, how: str, numbers: dict[str, Any]) -> str:
        begin = (
            f"{how} Oja's term the mean synapse is {numbers['amplitude_after_trained_updates']:.2g}"
            f" after {self.unrolls} updates"
        )
        if numbers["last_update_without_overflow"] is None:
            return f"{begin}, and all points see an overflow."
        return (
            f"{begin} and {numbers['amplitude_then']:.2g} after "
            f"{numbers['last_update_without_overflow']}; {numbers['overflowed_networks']} of "
            f"{self.networks} networks overflow within {self.updates}."
        )

    def _draw(self, lives: dict[str, Life], images: str) -> Figure:
        figure, [grid] = sheet(9.5, 4.2, columns=2)
        for axes, quantity in zip(grid, ("amplitude", "accuracy"), strict=True):
            for name, life in lives.items():
                for network, line in enumerate(getattr(life, quantity)):
                    finite = np.where(np.isfinite(line), line, np.nan)
                    words = name if network == 0 else None
                    axes.plot(life.steps, finite, color=COLOURS[name], linewidth=1.2, label=words)
            mark(axes, self.unrolls)
            axes.set_xscale("log")
        grid[0].set_yscale("log")
        label(grid[0], "updates", "mean absolute value of synapses")
        label(grid[1], "updates", "test accuracy")
        grid[0].legend(frameon=False, loc="upper left")
        return headline(
            figure,
            f"{images}, a line each of {self.networks} networks; lines end where synapses "
            f"overflow; dashed: lifetimes of meta-training",
        )
