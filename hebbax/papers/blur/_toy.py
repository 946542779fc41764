"""Figures 3 and 4: genomes from a few toy functions learn other ones."""

import dataclasses
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
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers.blur._images import learn, small_mnist
from hebbax.papers.blur._regions import draw_region
from hebbax.plots import GRID, INK, tidy
from hebbax.recipes import QUICKSTART_RULE
from hebbax.rules import Blur

RULE = Blur(states=2, **QUICKSTART_RULE)
SHARE = 0.5
BEST, WORST, OTHERS = "#0072B2", "#D55E00", "#BBBBBB"
"""The paper's colours: blue for the run with the best meta-training accuracy, red the worst."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What all runs do on one task.

    **Fields:**

    - `role`: `meta-training`, `held out`, or `out of domain`.
    - `chance`: share of the most frequent class.
    - `accuracy` `[runs, networks, points]`.
    """

    name: str
    role: str
    chance: float
    accuracy: np.ndarray


@dataclasses.dataclass(frozen=True)
class Toy(Experiment):
    """Two-state genomes, two layers of synapses, meta-trained on functions of the plane.

    A number of runs side by side differ in their initial genomes only. All of them are tried on
    the functions they know, on others, and on images, on networks of the same hidden layer.
    """

    name: ClassVar = "blur/toy"
    source: ClassVar = "BLUR fig. 3 and 4, sec. 4.1"
    claim: ClassVar = "Genomes meta-trained on some toy functions learn held-out ones in 10 updates"
    criterion: ClassVar = (
        f"the run with the highest accuracy on its meta-training functions makes, on every "
        f"held-out toy function after the meta-trained number of updates, at most {SHARE:g} times "
        f"the errors of always answering the most frequent class (mean over networks)"
    )
    smoke: ClassVar = {
        "learn": ("random_xor",),
        "held_out": ("nxor",),
        "out_of_domain": "digits",
        "hidden": 4,
        "unrolls": 2,
        "runs": 1,
        "steps": 2,
        "networks": 2,
        "points": (1, 2),
    }
    paper: ClassVar = {"steps": 10_000, "learning_rate": 5e-4, "clip": 10.0, "networks": 32}

    learn: tuple[str, ...] = ("and", "xor", "two_moons", "circle", "random_xor")
    held_out: tuple[str, ...] = (
        "or",
        "nxor",
        "quadrant",
        "slice",
        "triangle",
        "square",
        "cross",
        "blobs5",
    )
    out_of_domain: str = "mnist"
    hidden: int = 20
    unrolls: int = 10
    batch: int = 128
    runs: int = 8
    steps: int = 1000
    learning_rate: float = 2e-2
    clip: float = 1.0
    networks: int = 8
    points: tuple[int, ...] = (1, 2, 3, 5, 7, 10, 15, 20)

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train several runs, try every one on every task."""
        k_test, k_draw = jax.random.split(jax.random.key(seed + 1))
        found = learn(
            work / "toy",
            RULE,
            [hx.tasks.toy(name) for name in self.learn],
            unrolls=self.unrolls,
            steps=self.steps,
            seed=seed,
            hidden=(self.hidden,),
            runs=self.runs,
            batch=self.batch,
            query=256,
            learning_rate=self.learning_rate,
            clip=self.clip,
        )
        thetas = [jax.tree.map(lambda a, r=run: a[r], found.thetas) for run in range(self.runs)]
        roles = {
            "meta-training": [hx.tasks.toy(name) for name in self.learn],
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
        holds = len(learnt) == len(self.held_out)
        held = [numbers["accuracy"][name]["best_run"] for name in self.held_out]
        shows = (
            f"After {self.unrolls} updates of {self.batch} examples the best of {self.runs} "
            f"genomes is right on {np.mean(held):.0%} of the points of {len(held)} held-out toy "
            f"functions (from {min(held):.0%} to {max(held):.0%}); it has learnt {len(learnt)} of "
            f"them; on {tasks[-1].name} it is right on "
            f"{numbers['accuracy'][tasks[-1].name]['best_run']:.0%}."
        )
        figure = self._draw(tasks, thetas[best], known, at, best, worst, k_draw)
        return Finding(self._rows(tasks, best), numbers, holds, shows, figure)

    def _try(
        self, family: hx.tasks.AbstractFamily, role: str, thetas: Sequence[PyTree], key: Any
    ) -> Task:
        curves = [
            hx.evaluate(
                RULE,
                theta,
                family,
                hidden=(self.hidden,),
                steps=max(self.points),
                batch=self.batch,
                seeds=self.networks,
                key=key,
                at=self.points,
            )
            for theta in thetas
        ]
        _, y = family.draw(key).test_set()
        chance = float(np.asarray(y).mean(axis=0).max())
        name = family.name.split(",")[0]
        return Task(name, role, chance, np.stack([curve.accuracy for curve in curves]))

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
        columns = len(self.learn) + len(self.held_out)
        figure = Figure(figsize=(max(1.35 * columns, 12), 10.5), layout="constrained")
        parts: Any = figure.subfigures(4, 1, height_ratios=(1.35, 1.9, 1.9, 2.3))
        regions, trained, held, last = parts.ravel()
        panels = np.atleast_1d(regions.subplots(1, columns))
        for axes, name in zip(panels, (*self.learn, *self.held_out), strict=True):
            family = hx.tasks.toy(name)
            draw_region(axes, RULE, theta, family, (self.hidden,), self.unrolls, self.batch, key)
            title = name.replace("_", " ")
            axes.set_title(f"{title}*" if name in self.learn else title, fontsize=9, color=INK)
        regions.suptitle(
            f"Predictions of networks after {self.unrolls} updates on an enlarged grid, inputs "
            f"across and up; dots: test points (* meta-trained on)",
            fontsize=10,
            color=INK,
        )
        for part, role in ((trained, "meta-training"), (held, "held out")):
            chosen = [task for task in tasks if task.role == role]
            row = np.atleast_1d(part.subplots(1, len(chosen), sharey=True))
            for axes, task in zip(row, chosen, strict=True):
                self._curves(axes, task.accuracy.mean(axis=1), task, best, worst)
            row[0].set_ylabel("test accuracy", color=INK)
            part.suptitle(
                f"{role} functions: {self.runs} runs, mean of {self.networks} networks each",
                fontsize=10,
                color=INK,
            )
        left, middle, right = last.subplots(1, 3)
        self._curves(left, tasks[-1].accuracy.mean(axis=1), tasks[-1], best, worst)
        left.set_title(f"out of domain: {tasks[-1].name}", fontsize=10, color=INK)
        left.set_ylabel("test accuracy", color=INK)
        scores = _mean(tasks, "held out", at)
        tidy(middle)
        colours = [BEST if r == best else WORST if r == worst else OTHERS for r in range(self.runs)]
        middle.scatter(known, scores, c=colours, edgecolors=INK, linewidths=0.5)
        middle.set_xlabel(f"mean meta-training accuracy at update {self.unrolls}", color=INK)
        middle.set_ylabel("mean held-out accuracy", color=INK)
        middle.set_title(
            f"a dot a run; correlation {_correlation(known, scores):.2f}", fontsize=10, color=INK
        )
        tidy(right)
        chosen = [task for task in tasks if task.role != "meta-training"]
        right.boxplot([task.accuracy[best, :, at] for task in chosen], widths=0.6)
        names = [task.name.replace("_", " ") for task in chosen]
        right.set_xticks(range(1, len(names) + 1), names, rotation=45, ha="right", fontsize=8)
        right.set_ylabel("test accuracy", color=INK)
        right.set_title(
            f"best run at update {self.unrolls}: {self.networks} fresh networks",
            fontsize=10,
            color=INK,
        )
        handles, labels = left.get_legend_handles_labels()
        last.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        return figure

    def _curves(self, axes: Axes, lines: np.ndarray, task: Task, best: int, worst: int) -> None:
        tidy(axes)
        first = next((r for r in range(self.runs) if r not in (best, worst)), None)
        labels = {
            first: "another run",
            worst: "run with the lowest meta-training accuracy",
            best: "run with the highest meta-training accuracy",
        }
        for run in sorted(range(self.runs), key=lambda r: (r == best, r == worst)):
            colour = BEST if run == best else WORST if run == worst else OTHERS
            axes.plot(self.points, lines[run], color=colour, lw=1.6, label=labels.get(run))
        axes.axhline(task.chance, color=INK, lw=0.8, ls=":", label="most frequent class")
        axes.axvline(self.unrolls, color=GRID, lw=1.0)
        axes.set_title(task.name.replace("_", " "), fontsize=9, color=INK)
        axes.set_xlabel("updates", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _images(name: str) -> hx.tasks.AbstractFamily:
    return small_mnist() if name == "mnist" else hx.tasks.by_name(name)


def _mean(tasks: list[Task], role: str, at: int) -> np.ndarray:
    """Return the mean accuracy `[runs]` over the tasks of a role, and over networks."""
    return np.mean([t.accuracy[:, :, at].mean(axis=1) for t in tasks if t.role == role], axis=0)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation over runs; 0 where one of them does not vary."""
    if min(a.std(), b.std()) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
