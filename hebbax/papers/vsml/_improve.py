"""Figure 9: a cloned learning algorithm, improved."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.plots import GRID, INK, LEARNER_COLOURS, tidy

CLONE, IMPROVED = "clone", "improved"
TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "digits"}
NO_WORSE = 0.01


@dataclasses.dataclass(frozen=True)
class Improve(Experiment):
    """CMA-ES goes on from the rule that was cloned from backpropagation."""

    name: ClassVar = "vsml/improve"
    source: ClassVar = "VSML fig. 9, table 2, sec. 3.2 and 4.2"
    claim: ClassVar = (
        "CMA-ES on MNIST makes a rule cloned from backpropagation learn faster in its first steps, "
        "and it does no worse on Fashion-MNIST, which it was not improved on."
    )
    criterion: ClassVar = (
        f"mean over networks of the test accuracy: on the images of meta-training that of the "
        f"improved rule is above the clone's at every judged number of updates up to the "
        f"meta-trained one; on the others it is at most {NO_WORSE:g} below the clone's at each"
    )
    smoke: ClassVar = {
        "data": "digits",
        "others": (),
        "size": 8,
        "updates": 2,
        "steps": 1,
        "population": 2,
        "query": 16,
        "networks": 2,
        "points": (1, 2),
    }
    paper: ClassVar = {
        "size": 28,
        "updates": 10_000,
        "steps": 200,
        "std": 0.1,
        "population": None,
        "points": (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000),
    }

    data: str = "mnist"
    others: tuple[str, ...] = ("fashion_mnist",)
    size: int = 14
    updates: int = 30
    batch: int = 64
    query: int = 64
    steps: int = 100
    std: float = 0.01
    population: int | None = 16
    gains: tuple[float, float] = (400.0, 20.0)
    spread: float = 0.05
    networks: int = 4
    points: tuple[int, ...] = (2, 5, 10, 20, 30, 50, 100)

    def run(self, work: Path, seed: int) -> Finding:
        """Improve the shipped clone; train with both."""
        cloned, theta = hx.zoo.load("vsml/backprop")
        rule = dataclasses.replace(cloned, gains=self.gains, line=(self.spread, self.spread))
        every = min(self.steps, 10)
        result = hx.meta_train(
            rule,
            hx.tasks.images(self.data, size=self.size),
            hx.objectives.OnlineCrossEntropy(
                steps=self.updates, batch=self.batch, query=self.query
            ),
            hx.methods.CMAES(std=self.std, population=self.population, seed=seed + 1),
            hidden=(),
            steps=self.steps,
            key=jax.random.key(seed),
            theta=theta,
            directory=work / "cma",
            validation=8,
            log_every=1,
            checkpoint_every=every,
            progress=True,
        )
        found: dict[str, dict[str, hx.Curves]] = {}
        for images in (self.data, *self.others):
            family = hx.tasks.images(images, size=self.size)
            found[images] = {
                name: hx.evaluate(
                    rule,
                    meta_parameters,
                    family,
                    hidden=(),
                    steps=max(self.points),
                    batch=self.batch,
                    seeds=self.networks,
                    key=jax.random.key(seed + 1),
                    at=self.points,
                )
                for name, meta_parameters in ((CLONE, theta), (IMPROVED, result.theta))
            }
        leads = {
            images: [float(lead) for lead in _mean(both[IMPROVED]) - _mean(both[CLONE])]
            for images, both in found.items()
        }
        within = [i for i, point in enumerate(self.points) if point <= self.updates]
        holds = all(leads[self.data][i] > 0 for i in within) and all(
            lead >= -NO_WORSE for images in self.others for lead in leads[images]
        )
        numbers = {
            "updates": list(self.points),
            "meta_trained_updates": self.updates,
            "meta_steps": self.steps,
            "best_at_meta_step": result.step,
            "accuracy": {
                images: {name: _mean(curve).tolist() for name, curve in both.items()}
                for images, both in found.items()
            },
            "standard_error_of_improved": {
                images: (
                    both[IMPROVED].accuracy.std(axis=0, ddof=1) / np.sqrt(self.networks)
                ).tolist()
                for images, both in found.items()
            },
        }
        shows = (
            f"After {self.steps} meta-steps of CMA-ES, test accuracy after "
            f"{', '.join(map(str, self.points))} updates of {self.batch}: "
            + "; ".join(
                f"{TITLES[images]} "
                + ", ".join(f"{a:.3f}" for a in _mean(both[IMPROVED]))
                + " (clone "
                + ", ".join(f"{a:.3f}" for a in _mean(both[CLONE]))
                + ")"
                for images, both in found.items()
            )
            + "."
        )
        rows: list[dict[str, Any]] = [
            {
                "images": images,
                "rule": name,
                "network": network,
                "updates": int(point),
                "accuracy": float(curve.accuracy[network, index]),
            }
            for images, both in found.items()
            for name, curve in both.items()
            for network in range(self.networks)
            for index, point in enumerate(curve.steps)
        ]
        return Finding(rows, numbers, holds, shows, self._draw(found))

    def _draw(self, found: dict[str, dict[str, hx.Curves]]) -> Figure:
        figure = Figure(figsize=(max(4.6 * len(found), 5.5), 3.9), layout="constrained")
        grid = figure.subplots(1, len(found), squeeze=False, sharey=True).ravel()
        for axes, (images, both) in zip(grid, found.items(), strict=True):
            tidy(axes)
            for (name, curve), colour in zip(both.items(), LEARNER_COLOURS, strict=False):
                mean, deviation = _mean(curve), curve.accuracy.std(axis=0)
                low, high = np.clip([mean - deviation, mean + deviation], 0, 1)
                axes.fill_between(curve.steps, low, high, color=colour, alpha=0.18, linewidth=0)
                axes.plot(curve.steps, mean, "o-", color=colour, markersize=3, label=name)
            axes.axvline(self.updates, color=GRID, linestyle="--", linewidth=1.2, zorder=0)
            axes.set_xscale("log")
            axes.set_xticks(self.points, [str(point) for point in self.points], minor=False)
            axes.set_xticks([], minor=True)
            axes.set_title(TITLES[images], fontsize=10, color=INK)
            axes.set_xlabel(f"updates of {self.batch} images", color=INK)
        grid[0].set_ylabel("test accuracy", color=INK)
        grid[0].legend(frameon=False, loc="lower right")
        figure.suptitle(
            f"A clone of backpropagation improved by CMA-ES on {TITLES[self.data]} at "
            f"{self.size} by {self.size}\nmean and standard deviation of {self.networks} "
            f"networks; dashed: length of meta-training",
            fontsize=10,
            color=INK,
        )
        return figure


def _mean(curve: hx.Curves) -> np.ndarray:
    return curve.accuracy.mean(axis=0)
