"""Supplement, figure 3: more states per neuron."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import hebbax as hx
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import headline, label, mark, sheet
from hebbax.papers._statistics import rows
from hebbax.papers._training import one_run
from hebbax.papers.blur._genomes import PAPER, SMOKE, TriedGenomes, blur, images_of
from hebbax.plots import INK

CORRELATION = 0.5


class States(TriedGenomes):
    """Genomes with 2 to 8 states per neuron, meta-trained alike on small MNIST."""

    name: ClassVar = "blur/states"
    source: ClassVar = "BLUR supplement fig. 3, sec. 3.3"
    claim: ClassVar = "More states per neuron give a higher accuracy after 10 updates."
    criterion: ClassVar = (
        f"mean test accuracy over runs after the meta-trained number of updates higher with the "
        f"most states than with the fewest, and its rank correlation with the number of states at "
        f"least {CORRELATION:g}"
    )
    smoke: ClassVar = {**SMOKE, "states": (3,), "hidden": 4, "points": (1, 2)}
    paper: ClassVar = {**PAPER, "states": (2, 3, 4, 5, 6, 7, 8)}

    states: tuple[int, ...] = (2, 3, 4, 6, 8)
    hidden: int = 64
    points: tuple[int, ...] = (1, 2, 3, 4, 5, 7, 10, 15, 20)

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with each number of states; try every run on MNIST's test set."""
        family, hidden = images_of("mnist"), (self.hidden,)
        trial = self.trial(seed, hidden, self.points)
        curves: dict[int, list[hx.Curves]] = {}
        for states in self.states:
            rule = blur(states)
            found = self.meta_train(work / f"states-{states}", rule, [family], hidden, seed)
            curves[states] = [
                hx.evaluate(rule, one_run(found.thetas, run), family, **trial)
                for run in range(self.runs)
            ]
        after = {k: [float(c.after(self.unrolls).mean()) for c in c_k] for k, c_k in curves.items()}
        means = [float(np.mean(after[k])) for k in self.states]
        correlation = _rank_correlation(means)
        numbers = {
            "updates": self.unrolls,
            "accuracy_of_runs": {str(k): after[k] for k in self.states},
            "accuracy": dict(zip(map(str, self.states), means, strict=True)),
            "rank_correlation": correlation,
        }
        holds = means[-1] > means[0] and correlation >= CORRELATION
        shows = (
            f"After {self.unrolls} updates of {self.batch} digits, test accuracy is "
            + ", ".join(f"{m:.3f} with {k}" for k, m in zip(self.states, means, strict=True))
            + f" states (mean of {self.runs} runs); rank correlation {correlation:.2f}."
        )
        lines = [
            row
            for k, each in curves.items()
            for run, curve in enumerate(each)
            for row in rows(curve.accuracy, curve.steps, each="seed", states=k, run=run)
        ]
        return Finding(lines, numbers, holds, shows, self._draw(curves, after, means))

    def _draw(
        self, curves: dict[int, list[hx.Curves]], after: dict[int, list[float]], means: list[float]
    ) -> Figure:
        figure, [[left, right]] = sheet(10, 4.2, columns=2)
        left.plot(self.states, means, color=INK, lw=1.6, label=f"mean of {self.runs} runs")
        left.scatter(
            [k for k in self.states for _ in after[k]],
            [value for k in self.states for value in after[k]],
            color="#56B4E9",
            edgecolors=INK,
            linewidths=0.5,
            zorder=3,
            label=f"a run, mean of {self.networks} networks",
        )
        left.set_xticks(self.states)
        label(left, "states per neuron", f"test accuracy after {self.unrolls} updates")
        left.legend(frameon=False)
        colours = colormaps["viridis"](np.linspace(0, 0.9, len(self.states)))
        for colour, (states, each) in zip(colours, curves.items(), strict=True):
            line = np.concatenate([curve.accuracy for curve in each]).mean(axis=0)
            right.plot(self.points, line, color=colour, lw=1.6, label=f"{states} states")
        mark(right, self.unrolls)
        label(
            right, f"updates of {self.batch} digits (dashed: meta-trained length)", "test accuracy"
        )
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        right.legend(frameon=False)
        return headline(
            figure,
            f"States per neuron; MNIST at 10 by 10 pixels, {self.hidden} hidden units, genomes "
            f"meta-trained for {self.steps} steps",
        )


def _rank_correlation(values: list[float]) -> float:
    """Return Spearman's correlation of values, none of them equal, with their place in the list.

    It is 0 for a single value.
    """
    if len(values) < 2:
        return 0.0
    ranks = np.argsort(np.argsort(values))
    return float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])
