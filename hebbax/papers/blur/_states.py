"""Supplement, figure 3: more states per neuron."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers.blur._images import blur, learn, rows, small_mnist
from hebbax.plots import INK, tidy

CORRELATION = 0.5


@dataclasses.dataclass(frozen=True)
class States(Experiment):
    """Genomes with 2 to 8 states per neuron, meta-trained alike on small MNIST."""

    name: ClassVar = "blur/states"
    source: ClassVar = "BLUR supplement fig. 3, sec. 3.3"
    claim: ClassVar = "More states per neuron give a higher accuracy after 10 updates."
    criterion: ClassVar = (
        f"mean test accuracy over runs after the meta-trained number of updates higher with the "
        f"most states than with the fewest, and its rank correlation with the number of states at "
        f"least {CORRELATION:g}"
    )
    smoke: ClassVar = {
        "states": (3,),
        "hidden": 4,
        "unrolls": 2,
        "steps": 2,
        "runs": 1,
        "networks": 2,
        "points": (1, 2),
    }
    paper: ClassVar = {
        "states": (2, 3, 4, 5, 6, 7, 8),
        "steps": 10_000,
        "learning_rate": 5e-4,
        "clip": 10.0,
        "runs": 8,
    }

    states: tuple[int, ...] = (2, 3, 4, 6, 8)
    hidden: int = 64
    unrolls: int = 10
    batch: int = 128
    steps: int = 500
    learning_rate: float = 1e-2
    clip: float = 1.0
    runs: int = 2
    networks: int = 4
    points: tuple[int, ...] = (1, 2, 3, 4, 5, 7, 10, 15, 20)

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with each number of states; try every run on MNIST's test set."""
        family = small_mnist()
        curves: dict[int, list[hx.Curves]] = {}
        for states in self.states:
            rule = blur(states)
            thetas = learn(
                work / f"states-{states}",
                rule,
                [family],
                unrolls=self.unrolls,
                steps=self.steps,
                seed=seed,
                hidden=(self.hidden,),
                runs=self.runs,
                batch=self.batch,
                learning_rate=self.learning_rate,
                clip=self.clip,
            ).thetas
            curves[states] = [
                hx.evaluate(
                    rule,
                    jax.tree.map(lambda a, r=run: a[r], thetas),
                    family,
                    hidden=(self.hidden,),
                    steps=max(self.points),
                    batch=self.batch,
                    seeds=self.networks,
                    key=jax.random.key(seed + 1),
                    at=self.points,
                )
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
            line
            for k, each in curves.items()
            for run, curve in enumerate(each)
            for line in rows(curve, states=k, run=run)
        ]
        return Finding(lines, numbers, holds, shows, self._draw(curves, after, means))

    def _draw(
        self, curves: dict[int, list[hx.Curves]], after: dict[int, list[float]], means: list[float]
    ) -> Figure:
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        tidy(left)
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
        left.set_xlabel("states per neuron", color=INK)
        left.set_ylabel(f"test accuracy after {self.unrolls} updates", color=INK)
        left.legend(frameon=False)
        tidy(right)
        colours = colormaps["viridis"](np.linspace(0, 0.9, len(self.states)))
        for colour, (states, each) in zip(colours, curves.items(), strict=True):
            line = np.concatenate([curve.accuracy for curve in each]).mean(axis=0)
            right.plot(self.points, line, color=colour, lw=1.6, label=f"{states} states")
        right.axvline(self.unrolls, color=INK, lw=0.8, ls=":", label="meta-trained length")
        right.set_xlabel(f"updates of {self.batch} digits", color=INK)
        right.set_ylabel("test accuracy", color=INK)
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        right.legend(frameon=False)
        figure.suptitle(
            f"States per neuron; MNIST at 10 by 10 pixels, {self.hidden} hidden units, genomes "
            f"meta-trained for {self.steps} steps",
            fontsize=11,
            color=INK,
        )
        return figure


def _rank_correlation(values: list[float]) -> float:
    """Return Spearman's correlation of values, none of them equal, with their place in the list.

    It is 0 for a single value.
    """
    if len(values) < 2:
        return 0.0
    ranks = np.argsort(np.argsort(values))
    return float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])
