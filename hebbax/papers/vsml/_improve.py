"""Figure 9: a cloned learning algorithm, improved."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import (
    TITLES,
    band,
    headline,
    label,
    legend_below,
    logarithmic,
    mark,
    sheet,
)
from hebbax.papers._statistics import rows, standard_error
from hebbax.papers._training import meta_train, trial
from hebbax.plots import LEARNER_COLOURS

CLONE, IMPROVED = "clone", "improved"
NO_WORSE = 0.01


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
        f"meta-trained one, and afterwards at most {NO_WORSE:g} below it; on the others it is at "
        f"most {NO_WORSE:g} below the clone's at each"
    )
    smoke: ClassVar = {
        "data": "digits", "others": (), "size": 8, "updates": 2, "steps": 1, "population": 2,
        "query": 16, "networks": 2, "points": (1, 2),
    }  # fmt: skip
    paper: ClassVar = {
        "size": 28, "updates": 10_000, "steps": 200, "std": 0.1, "population": None,
        "points": (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000),
    }  # fmt: skip

    data: str = "mnist"
    others: tuple[str, ...] = ("fashion_mnist",)
    size: int = 14
    updates: int = 200
    batch: int = 64
    query: int = 64
    steps: int = 40
    std: float = 0.003
    population: int | None = 16
    gains: tuple[float, float] = (400.0, 20.0)
    spread: float = 0.05
    networks: int = 60
    points: tuple[int, ...] = (2, 5, 10, 20, 50, 100, 200, 400)

    def run(self, work: Path, seed: int) -> Finding:
        """Improve the shipped clone; train with both."""
        cloned, theta = hx.zoo.load("vsml/backprop")
        rule = dataclasses.replace(cloned, gains=self.gains, line=(self.spread, self.spread))
        result = meta_train(
            work / "cma", rule, hx.tasks.images(self.data, size=self.size),
            hx.objectives.OnlineCrossEntropy(
                steps=self.updates, batch=self.batch, query=self.query
            ),
            hx.methods.CMAES(std=self.std, population=self.population, seed=seed + 1),
            steps=self.steps, seed=seed, every=10, log_every=1, hidden=(), theta=theta,
            validation=8,
        )  # fmt: skip
        settings = trial(
            seed, hidden=(), points=self.points, batch=self.batch, networks=self.networks
        )
        found: dict[str, dict[str, hx.Curves]] = {}
        for images in (self.data, *self.others):
            family = hx.tasks.images(images, size=self.size)
            found[images] = {
                CLONE: hx.evaluate(rule, theta, family, **settings),
                IMPROVED: hx.evaluate(rule, result.theta, family, **settings),
            }
        leads = {
            images: [float(lead) for lead in _mean(both[IMPROVED]) - _mean(both[CLONE])]
            for images, both in found.items()
        }
        within = [i for i, point in enumerate(self.points) if point <= self.updates]
        holds = all(leads[self.data][i] > 0 for i in within) and all(
            lead >= -NO_WORSE for of_images in leads.values() for lead in of_images
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
                images: standard_error(both[IMPROVED].accuracy).tolist()
                for images, both in found.items()
            },
        }
        shows = (
            f"After {self.steps} meta-steps of CMA-ES, test accuracy after "
            f"{', '.join(map(str, self.points))} updates of {self.batch}: "
            + "; ".join(
                f"{TITLES.get(images, images)} {_told(both[IMPROVED])} (clone {_told(both[CLONE])})"
                for images, both in found.items()
            )
            + "."
        )
        table = [
            row
            for images, both in found.items()
            for name, curve in both.items()
            for row in rows(curve.accuracy, curve.steps, images=images, rule=name)
        ]
        return Finding(table, numbers, holds, shows, self._draw(found))

    def _draw(self, found: dict[str, dict[str, hx.Curves]]) -> Figure:
        figure, [grid] = sheet(max(4.6 * len(found), 5.5), 4.3, columns=len(found), sharey=True)
        for axes, (images, both) in zip(grid, found.items(), strict=True):
            for (name, curve), colour in zip(both.items(), LEARNER_COLOURS, strict=False):
                band(axes, curve.steps, curve.accuracy, name, colour, marker="o", markersize=3)
            mark(axes, self.updates)
            logarithmic(axes, self.points)
            label(axes, f"updates of {self.batch} images", title=TITLES.get(images, images))
        label(grid[0], y="test accuracy")
        # Below, where no curve is.
        legend_below(figure, grid[:1])
        return headline(
            figure,
            f"A clone of backpropagation improved by CMA-ES on {TITLES.get(self.data, self.data)} "
            f"at {self.size} by {self.size}\nmean and standard deviation of {self.networks} "
            f"networks; dashed: length of meta-training",
        )


def _mean(curve: hx.Curves) -> np.ndarray:
    return curve.accuracy.mean(axis=0)


def _told(curve: hx.Curves) -> str:
    return ", ".join(f"{accuracy:.3f}" for accuracy in _mean(curve))
