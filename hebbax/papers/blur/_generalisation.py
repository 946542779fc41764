"""Figure 5: a genome from small MNIST learns larger images, other ones, and xor."""

from pathlib import Path
from typing import Any, ClassVar

import jax
from jaxtyping import PyTree
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import headline, label, legend_below, sheet
from hebbax.papers._statistics import most_frequent, rows, standard_error
from hebbax.papers.blur._generalist import GENOME, Generalist, draw_curves
from hebbax.papers.blur._genomes import images_of, title
from hebbax.papers.blur._regions import draw_region

SHARE = 0.5
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "MNIST": ("mnist", {"size": 28}),
    "letters A-J": ("az_letters", {"size": 28, "classes": tuple(range(10))}),
    "Fashion-MNIST": ("fashion_mnist", {"size": 28}),
    "letters A-Z": ("az_letters", {"size": 28}),
    "digits": ("digits", {}),
}
"""Families of images by what figures call them; the last is for seeing that everything runs."""


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
    smoke: ClassVar = {**Generalist.smoke, "images": ("digits",)}
    paper: ClassVar = {**Generalist.paper, "rates": 13}

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
            f"After {self.unrolls} updates of {self.batch} examples: {accuracies}; learnt "
            f"{len(learnt)} of {len(families)} tasks, ahead of SGD on {len(ahead)} of "
            f"{len(self.images)} of images."
        )
        lines = [
            row
            for task, curves in found.items()
            for learner, curve in curves.items()
            for row in rows(curve.accuracy, curve.steps, each="seed", task=task, learner=learner)
        ]
        figure = self._draw(found, theta, families["xor"], seed)
        return Finding(lines, {"updates": self.unrolls, "tasks": numbers}, holds, shows, figure)

    def _numbers(
        self, curves: dict[str, hx.Curves], family: hx.tasks.AbstractFamily
    ) -> dict[str, Any]:
        last, up_to = {}, {}
        for learner, curve in curves.items():
            last[learner] = float(curve.after(self.unrolls).mean())
            up_to[learner] = float(curve.accuracy[:, self.within].mean())
        chance = most_frequent(family)
        error = float(standard_error(curves[GENOME].after(self.unrolls)))
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
        columns = (panels + 1) // 2
        figure, grid = sheet(max(3.1 * columns, 9.3), 6.2, 2, columns)
        grid = grid.ravel()
        for axes, (task, curves) in zip(grid, found.items(), strict=False):
            draw_curves(axes, curves, self.unrolls)
            label(axes, y="test accuracy", title=task)
        key = jax.random.key(seed + 2)
        region = grid[panels - 1]
        draw_region(region, self.rule, theta, xor, self.hidden, self.unrolls, self.batch, key)
        label(region, "input 1", "input 2", f"xor after {self.unrolls} updates")
        for axes in grid[panels:]:
            axes.set_visible(False)
        legend_below(figure, grid[:1], title=f"backpropagation: best of {self.rates} rates")
        return headline(
            figure,
            f"A genome meta-trained on {title(self.data, images_of(self.data))} on other tasks; "
            f"hidden layers of {' and '.join(map(str, self.hidden))} units\n"
            f"mean and standard deviation of {self.networks} networks; dashed: longest lifetime of "
            f"meta-training",
        )
