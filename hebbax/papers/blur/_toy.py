"""Figures 3 and 4: genomes from a few toy functions learn other ones."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import hebbax as hx
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import headline, label, legend_below, mark
from hebbax.papers._statistics import most_frequent
from hebbax.papers._training import learning_rates, one_run
from hebbax.papers.blur._genomes import PAPER, SMOKE, TriedGenomes, images_of
from hebbax.papers.blur._regions import draw_region
from hebbax.plots import INK, tidy
from hebbax.recipes import QUICKSTART_RULE
from hebbax.rules import Blur

RULE = Blur(states=2, **QUICKSTART_RULE)
SHARE, MOST = 0.5, 0.75
BEST, WORST, OTHERS = "#0072B2", "#D55E00", "#BBBBBB"
"""The paper's colours: blue for the run with the best meta-training accuracy, red the worst."""
ADAM = "#009E73"


@dataclasses.dataclass(frozen=True)
class Task:
    """What all runs do on one task.

    **Fields:**

    - `role`: `meta-training`, `held out`, or `out of domain`.
    - `chance`: share of the most frequent class.
    - `accuracy` `[runs, networks, points]`.
    - `adam` `[points]`: of Adam at the best rate for each point, with or without normalisation,
      mean over networks.
    """

    name: str
    role: str
    chance: float
    accuracy: np.ndarray
    adam: np.ndarray


class Toy(TriedGenomes):
    """Two-state genomes, two layers of synapses, meta-trained on functions of the plane.

    A number of runs side by side differ in their initial genomes only. All of them are tried on
    the functions they know, on others, and on images, on networks of the same hidden layer.
    """

    name: ClassVar = "blur/toy"
    source: ClassVar = "BLUR fig. 3 and 4, sec. 4.1"
    claim: ClassVar = "Genomes meta-trained on some toy functions learn held-out ones in 10 updates"
    criterion: ClassVar = (
        f"after the meta-trained number of updates, on more than three quarters of the held-out "
        f"toy functions: the mean over all runs is above tuned Adam's in the same network, at the "
        f"rate that is best for that function, normalised as the genomes' or not, whichever is "
        f"better; and the run with the highest accuracy on its meta-training functions makes at "
        f"most {SHARE:g} times the errors of always answering the most frequent class (means over "
        f"networks)"
    )
    smoke: ClassVar = {
        **SMOKE, "learn": ("random_xor",), "held_out": ("nxor",), "out_of_domain": "digits",
        "hidden": 4, "rates": 2, "points": (1, 2),
    }  # fmt: skip
    paper: ClassVar = {**PAPER, "networks": 32}

    learn: tuple[str, ...] = ("and", "xor", "two_moons", "circle", "random_xor")
    held_out: tuple[str, ...] = (
        *("or", "nxor", "quadrant", "slice", "triangle", "square", "cross", "blobs5"),
    )
    out_of_domain: str = "mnist"
    hidden: int = 20
    runs: int = 8
    steps: int = 1000
    learning_rate: float = 2e-2
    networks: int = 8
    rates: int = 9
    points: tuple[int, ...] = (1, 2, 3, 5, 7, 10, 15, 20)

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train several runs, try every one on every task."""
        k_test, k_draw = jax.random.split(jax.random.key(seed + 1))
        families = [hx.tasks.toy(name) for name in self.learn]
        found = self.meta_train(work / "toy", RULE, families, (self.hidden,), seed, query=256)
        thetas = [one_run(found.thetas, run) for run in range(self.runs)]
        roles = {
            "meta-training": families,
            "held out": [hx.tasks.toy(name) for name in self.held_out],
            "out of domain": [_images(self.out_of_domain)],
        }
        tasks = [
            self._try(family, role, thetas, k_test)
            for role, families in roles.items()
            for family in families
        ]
        at = self.points.index(self.unrolls)
        known = _mean(tasks, "meta-training", at)
        best, worst = int(np.argmax(known)), int(np.argmin(known))
        numbers = self._numbers(tasks, known, at, best, worst)
        errors = numbers["errors_relative_to_most_frequent_class"]
        learnt = [name for name in self.held_out if errors[name] <= SHARE]
        accuracy = numbers["accuracy"]
        ahead = [n for n in self.held_out if accuracy[n]["mean_over_runs"] > accuracy[n]["adam"]]
        holds = len(set(learnt) & set(ahead)) > MOST * len(self.held_out)
        held = [numbers["accuracy"][name]["best_run"] for name in self.held_out]
        shows = (
            f"After {self.unrolls} updates of {self.batch} examples the best of {self.runs} "
            f"genomes classifies {np.mean(held):.0%} of the points of {len(held)} held-out toy "
            f"functions correctly (from {min(held):.0%} to {max(held):.0%}); it has learnt "
            f"{len(learnt)} of them. The mean over genomes is ahead of tuned Adam on {len(ahead)}: "
            + ", ".join(
                f"{name.replace('_', ' ')} {accuracy[name]['mean_over_runs']:.3f} "
                f"({accuracy[name]['adam']:.3f})"
                for name in (*self.held_out, tasks[-1].name)
            )
            + "."
        )
        figure = self._draw(tasks, thetas[best], known, at, best, worst, k_draw)
        return Finding(self._rows(tasks, best), numbers, holds, shows, figure)

    def _try(
        self, family: hx.tasks.AbstractFamily, role: str, thetas: Sequence[PyTree], key: Any
    ) -> Task:
        trial = {**self.trial(0, (self.hidden,), self.points), "key": key}
        curves = [hx.evaluate(RULE, theta, family, **trial).accuracy for theta in thetas]
        adam = [
            hx.best_backprop(
                "adam", family, rates=learning_rates("adam", self.rates),
                normalization=normalization, **trial,
            )[0].accuracy.mean(axis=0)
            for normalization in (None, "batch")
        ]  # fmt: skip
        name = family.name.split(",")[0]
        chance = most_frequent(family.draw(key))
        return Task(name, role, chance, np.stack(curves), np.maximum(*adam))

    def _numbers(
        self, tasks: list[Task], known: np.ndarray, at: int, best: int, worst: int
    ) -> dict[str, Any]:
        held = _mean(tasks, "held out", at)
        accuracy, errors = {}, {}
        for task in tasks:
            after = task.accuracy[:, :, at]
            accuracy[task.name] = {
                "role": task.role,
                "most_frequent_class": task.chance,
                "best_run": float(after[best].mean()),
                "worst_run": float(after[worst].mean()),
                "mean_over_runs": float(after.mean()),
                "deviation_over_runs": float(after.mean(axis=1).std()),
                "deviation_over_networks_of_best_run": float(after[best].std()),
                "adam": float(task.adam[at]),
            }
            errors[task.name] = float((1 - after[best].mean()) / (1 - task.chance))
        return {
            "updates": self.unrolls,
            "accuracy": accuracy,
            "errors_relative_to_most_frequent_class": errors,
            "mean_meta_training_accuracy_of_runs": known.tolist(),
            "mean_held_out_accuracy_of_runs": held.tolist(),
            "correlation_of_meta_training_and_held_out_accuracy": _correlation(known, held),
        }

    def _rows(self, tasks: list[Task], best: int) -> list[dict[str, Any]]:
        """Return means and deviations over networks of every run, and the best run's networks."""
        rows = []
        for task in tasks:
            for run, curves in enumerate(task.accuracy):
                for index, updates in enumerate(self.points):
                    line = {"task": task.name, "role": task.role, "run": run, "updates": updates}
                    each = curves[:, index]
                    mean, deviation = f"{each.mean():.4f}", f"{each.std():.4f}"
                    rows.append(
                        line | {"network": "mean", "accuracy": mean, "deviation": deviation}
                    )
                    if run == best:
                        rows += [
                            line | {"network": network, "accuracy": f"{value:.4f}"}
                            for network, value in enumerate(each)
                        ]
            rows += [
                {"task": task.name, "role": task.role, "run": "tuned Adam", "updates": updates,
                 "network": "mean", "accuracy": f"{value:.4f}"}
                for updates, value in zip(self.points, task.adam, strict=True)
            ]  # fmt: skip
        return rows

    def _draw(
        self,
        tasks: list[Task],
        theta: PyTree,
        known: np.ndarray,
        at: int,
        best: int,
        worst: int,
        key: PRNGKeyArray,
    ) -> Figure:
        """Draw regions, curves of all functions, and what runs are worth, from above."""
        across, wide = math.ceil((len(self.learn) + len(self.held_out)) / 2), 4
        figure = Figure(figsize=(12.5, 17.5), layout="constrained")
        parts: Any = figure.subfigures(4, 1, height_ratios=(4.2, 2.6, 4.4, 3.3))
        regions, trained, held, last = parts.ravel()
        panels = np.ravel(regions.subplots(2, across))
        for axes in panels[len(self.learn) + len(self.held_out) :]:
            axes.set_visible(False)
        for axes, name in zip(panels, (*self.learn, *self.held_out), strict=False):
            family = hx.tasks.toy(name)
            draw_region(axes, RULE, theta, family, (self.hidden,), self.unrolls, self.batch, key)
            star = "*" if name in self.learn else ""
            label(axes, title=name.replace("_", " ") + star)
        headline(
            regions,
            f"Predictions of networks after {self.unrolls} updates on an enlarged grid, inputs "
            f"across and up; dots: test points (* meta-trained on)",
        )
        for part, role in ((trained, "meta-training"), (held, "held out")):
            chosen = [task for task in tasks if task.role == role]
            columns = len(chosen) if role == "meta-training" else min(wide, len(chosen))
            grid = part.subplots(
                math.ceil(len(chosen) / columns), columns, sharey=True, squeeze=False
            )
            for axes, task in zip(grid.ravel(), chosen, strict=False):
                self._curves(axes, task, best, worst)
            for axes in grid[:, 0]:
                label(axes, y="test accuracy")
            headline(
                part,
                f"{role} functions: {self.runs} runs, mean of {self.networks} networks each "
                f"(dashed: meta-trained length)",
            )
        left, middle, right = last.subplots(1, 3)
        self._curves(left, tasks[-1], best, worst)
        label(left, y="test accuracy", title=f"out of domain: {tasks[-1].name}")
        scores = _mean(tasks, "held out", at)
        tidy(middle)
        colours = [BEST if r == best else WORST if r == worst else OTHERS for r in range(self.runs)]
        middle.scatter(known, scores, c=colours, edgecolors=INK, linewidths=0.5)
        label(
            middle,
            f"mean meta-training accuracy at update {self.unrolls}",
            "mean held-out accuracy",
            f"a dot a run; correlation {_correlation(known, scores):.2f}",
        )
        tidy(right)
        chosen = [task for task in tasks if task.role != "meta-training"]
        right.boxplot([task.accuracy[best, :, at] for task in chosen], widths=0.6)
        names = [task.name.replace("_", " ") for task in chosen]
        right.set_xticks(range(1, len(names) + 1), names, rotation=45, ha="right", fontsize=8)
        label(
            right,
            y="test accuracy",
            title=f"best run at update {self.unrolls}: {self.networks} fresh networks",
        )
        legend_below(last, [left], ncols=2)
        return figure

    def _curves(self, axes: Axes, task: Task, best: int, worst: int) -> None:
        tidy(axes)
        lines = task.accuracy.mean(axis=1)
        first = next((r for r in range(self.runs) if r not in (best, worst)), None)
        labels = {
            first: "another run",
            worst: "run with the lowest meta-training accuracy",
            best: "run with the highest meta-training accuracy",
        }
        for run in sorted(range(self.runs), key=lambda r: (r == best, r == worst)):
            colour = BEST if run == best else WORST if run == worst else OTHERS
            axes.plot(self.points, lines[run], color=colour, lw=1.6, label=labels.get(run))
        axes.plot(
            self.points, task.adam, color=ADAM, lw=1.6, ls="--",
            label="Adam, best rate at each point, normalised or not",
        )  # fmt: skip
        axes.axhline(task.chance, color=INK, lw=0.8, ls=":", label="most frequent class")
        mark(axes, self.unrolls)
        label(axes, "updates", title=task.name.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _images(name: str) -> hx.tasks.AbstractFamily:
    return images_of(name) if name == "mnist" else hx.tasks.by_name(name)


def _mean(tasks: list[Task], role: str, at: int) -> np.ndarray:
    """Return the mean accuracy `[runs]` over the tasks of a role, and over networks."""
    return np.mean([t.accuracy[:, :, at].mean(axis=1) for t in tasks if t.role == role], axis=0)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation over runs; 0 where one of them does not vary."""
    if min(a.std(), b.std()) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
