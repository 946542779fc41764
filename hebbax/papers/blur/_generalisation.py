"""Figure 5: a genome from small MNIST learns larger images, other ones, and xor."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import PyTree
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Finding
from hebbax.papers.blur._families import images_of, title
from hebbax.papers.blur._generalist import GENOME, Generalist, draw_curves
from hebbax.papers.blur._images import rows
from hebbax.papers.blur._regions import draw_region
from hebbax.plots import INK

SHARE = 0.5
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "MNIST": ("mnist", {"size": 28}),
    "letters A-J": ("az_letters", {"size": 28, "classes": tuple(range(10))}),
    "Fashion-MNIST": ("fashion_mnist", {"size": 28}),
    "letters A-Z": ("az_letters", {"size": 28}),
    "digits": ("digits", {}),
}
"""Families of images by what figures call them; the last is for seeing that everything runs."""


@dataclasses.dataclass(frozen=True)
class Generalisation(Generalist):
    """A genome of four states against backpropagation on tasks it has never seen."""

    name: ClassVar = "blur/generalisation"
    source: ClassVar = "BLUR fig. 5, sec. 4.2"
    claim: ClassVar = (
        "A genome meta-trained on MNIST at 10 by 10 learns MNIST, letters and Fashion-MNIST at "
        "28 by 28, 26 classes, and xor, and is ahead of the best SGD over its trained trajectory."
    )
    criterion: ClassVar = (
        f"after the meta-trained number of updates the genome makes, on every task, at most "
        f"{SHARE:g} times the errors of always answering the most frequent class; and on every "
        f"task of images its accuracy is above that of SGD, with the best learning rate for each "
        f"number of updates, both after so many updates and in the mean over the judged numbers "
        f"of updates up to there (means over networks)"
    )
    smoke: ClassVar = {
        "data": "digits",
        "images": ("digits",),
        "hidden": (4,),
        "first": 2,
        "unrolls": 2,
        "stages": 1,
        "steps": 1,
        "optimizers": ("sgd",),
        "batch": 16,
        "query": 16,
        "networks": 2,
        "rates": 2,
        "points": (1, 2, 3),
    }
    paper: ClassVar = {
        "states": 4,
        "stages": 9,
        "steps": 90_000,
        "runs": 8,
        "learning_rate": 5e-4,
        "clip": 10.0,
        "networks": 8,
        "rates": 13,
        "points": (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200),
    }

    images: tuple[str, ...] = ("MNIST", "letters A-J", "Fashion-MNIST", "letters A-Z")

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with growing lifetimes, and compare on every task."""
        theta = self.meta_train(work, seed).theta
        families: dict[str, hx.tasks.AbstractFamily] = {}
        for name in self.images:
            data, options = TASKS[name]
            families[name] = hx.tasks.images(data, **options)
        families["xor"] = hx.tasks.toy("xor")
        found = {n: self.compare(theta, family, seed) for n, family in families.items()}
        numbers = {name: self._numbers(found[name], families[name]) for name in families}
        learnt = [n for n, m in numbers.items() if m["errors_relative_to_most_frequent"] <= SHARE]
        ahead = [
            n
            for n in self.images
            if all(
                numbers[n][when][GENOME] > numbers[n][when]["SGD"]
                for when in ("accuracy", "mean_accuracy_up_to_there")
            )
        ]
        holds = len(learnt) == len(families) and len(ahead) == len(self.images)
        accuracies = ", ".join(
            f"{n} {m['accuracy'][GENOME]:.1%} (SGD {m['accuracy']['SGD']:.1%})"
            for n, m in numbers.items()
        )
        shows = (
            f"After {self.trained} updates of {self.batch} examples: {accuracies}; learnt "
            f"{len(learnt)} of {len(families)} tasks, ahead of SGD on {len(ahead)} of "
            f"{len(self.images)} of images."
        )
        lines = [
            line
            for task, curves in found.items()
            for learner, curve in curves.items()
            for line in rows(curve, task=task, learner=learner)
        ]
        figure = self._draw(found, theta, families["xor"], seed)
        return Finding(lines, {"updates": self.trained, "tasks": numbers}, holds, shows, figure)

    def _numbers(
        self, curves: dict[str, hx.Curves], family: hx.tasks.AbstractFamily
    ) -> dict[str, Any]:
        chance = float(np.asarray(family.test_set()[1]).mean(axis=0).max())
        last, up_to = {}, {}
        for learner, curve in curves.items():
            last[learner] = float(curve.after(self.trained).mean())
            up_to[learner] = float(curve.accuracy[:, self.within].mean())
        error = float(curves[GENOME].after(self.trained).std(ddof=1) / np.sqrt(self.networks))
        return {
            "accuracy": last,
            "mean_accuracy_up_to_there": up_to,
            "standard_error_of_genome": error,
            "most_frequent_class": chance,
            "errors_relative_to_most_frequent": (1 - last[GENOME]) / (1 - chance),
        }

    def _draw(
        self,
        found: dict[str, dict[str, hx.Curves]],
        theta: PyTree,
        xor: hx.tasks.AbstractFamily,
        seed: int,
    ) -> Figure:
        panels = len(found) + 1
        figure = Figure(figsize=(max(3.1 * ((panels + 1) // 2), 9.3), 6.2), layout="constrained")
        grid = figure.subplots(2, (panels + 1) // 2).ravel()
        for axes, (task, curves) in zip(grid, found.items(), strict=False):
            draw_curves(axes, curves, self.trained)
            axes.set_title(task, fontsize=10, color=INK)
            axes.set_ylabel("test accuracy", color=INK)
        key = jax.random.key(seed + 2)
        region = grid[panels - 1]
        draw_region(region, self.rule, theta, xor, self.hidden, self.trained, self.batch, key)
        region.set_title(f"xor after {self.trained} updates", fontsize=10, color=INK)
        region.set_xlabel("input 1", color=INK)
        region.set_ylabel("input 2", color=INK)
        for axes in grid[panels:]:
            axes.set_visible(False)
        handles, labels = grid[0].get_legend_handles_labels()
        labels = [n if n == GENOME else f"{n}, best of {self.rates} rates" for n in labels]
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
        figure.suptitle(
            f"A genome meta-trained on {title(self.data, images_of(self.data))} on other tasks; "
            f"hidden layers of {' and '.join(map(str, self.hidden))} units\n"
            f"mean and standard deviation of {self.networks} networks; dashed: longest lifetime of "
            f"meta-training",
            fontsize=11,
            color=INK,
        )
        return figure
