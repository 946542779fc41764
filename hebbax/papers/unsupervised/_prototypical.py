"""Figure 3, right: features that are carried over against a rule that learns them anew."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import PRNGKeyArray
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import (
    band,
    headline,
    label,
    legend_below,
    logarithmic_from_zero,
    sheet,
    sizes,
)
from hebbax.papers._statistics import mean_and_error
from hebbax.papers.unsupervised import _prototypes
from hebbax.papers.unsupervised._curves import ERRORS, OURS, RANDOM, Accuracies, shipped
from hebbax.papers.unsupervised._few_shot import FewShot, read_out
from hebbax.papers.unsupervised._learners import by_rule
from hebbax.papers.unsupervised._snapshots import plain_family
from hebbax.plots import INK
from hebbax.tasks import AbstractFamily

SHARE = 0.5
"""Of what permutation costs the prototypical network, the most that it may cost the rule."""
INTACT, PERMUTED = "intact", "permuted"
Found = tuple[dict[str, Accuracies], dict[str, Accuracies]]
"""Accuracies of the prototypical network and of the rule, by what is done to the inputs."""


class Prototypical(Experiment):
    """Prototypical networks whose inputs are intact or in an order of each task's own."""

    name: ClassVar = "unsupervised/prototypical"
    source: ClassVar = "Metz et al. fig. 3 right, sec. 5.1, app. on existing meta learning models"
    claim: ClassVar = (
        "A prototypical network, which carries features over, is far worse when every task has its "
        "inputs permuted; the rule, which learns features anew, is not."
    )
    criterion: ClassVar = (
        f"on every data set, after the last meta-step, permutation costs the prototypical network "
        f"accuracy on new images, more than {ERRORS} standard errors over tasks, and costs the "
        f"rule less than {SHARE:g} times as much"
    )
    smoke: ClassVar = {
        "data": ("digits",), "size": 8, "hidden": (12,), "points": (0, 2), "updates": 2,
        "tasks": 2, "many": 200,
    }  # fmt: skip
    paper: ClassVar = {
        "hidden": (128, 128, 128), "points": (0, 1000, 10_000, 100_000), "rate": 1e-3,
        "updates": 3000, "batch": 128, "tasks": 100,
    }  # fmt: skip

    rule: str = "unsupervised/small"
    data: tuple[str, ...] = ("tiny_imagenet", "az_letters")
    size: int = 14
    ways: int = 10
    hidden: tuple[int, ...] = (128,)
    features: int = 32
    rate: float = 3e-3
    points: tuple[int, ...] = (0, 30, 100, 300, 1000, 3000)
    """Meta-steps of the prototypical networks."""
    updates: int = 100
    batch: int = 32
    tasks: int = 16
    labelled: int = 10
    """Examples of each class that make prototypes, and that the rule's read-out is fitted to."""
    many: int = 2000
    """Unlabelled examples of a task's classes."""

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train networks on both kinds of tasks, and try them and the rule on new images."""
        table: list[dict[str, Any]] = []
        numbers: dict[str, Any] = {}
        found: dict[str, Found] = {}
        for name in self.data:
            found[name] = self._on(name, seed)
            theirs, ours = found[name]
            numbers[name] = {
                "prototypical network": _summary(theirs),
                "learned rule": _summary(ours),
                "random initialisation": _summary({k: a[:, :1] for k, a in ours.items()}),
            }
            table += [
                {
                    "data": name, "inputs": look, "learner": learner, "steps": point,
                    "task": task, "accuracy": round(float(accuracy), 4),
                }
                for learner, points, each in (
                    ("prototypical network", self.points, theirs),
                    ("learned rule", (0, self.updates), ours),
                )
                for look, accuracies in each.items()
                for task, line in enumerate(accuracies)
                for point, accuracy in zip(points, line, strict=True)
            ]  # fmt: skip
        holds = all(
            theirs["cost"] > ERRORS * theirs["standard_error"]
            and ours["cost"] < SHARE * theirs["cost"]
            for theirs, ours, _ in (tuple(of.values()) for of in numbers.values())
        )
        shows = "Intact and permuted: " + "; ".join(
            f"{name}: "
            + ", ".join(
                f"{learner} {told[INTACT]:.1%} and {told[PERMUTED]:.1%}"
                for learner, told in of.items()
            )
            for name, of in numbers.items()
        )
        return Finding(table, numbers, holds, shows + ".", self._draw(found))

    def _on(self, name: str, seed: int) -> Found:
        """Return accuracies of prototypical networks and of the rule on a set of images."""
        family = plain_family(name, self.size, self.ways)
        families: dict[str, AbstractFamily] = {
            INTACT: hx.tasks.augmented(family, permute=False),
            PERMUTED: hx.tasks.augmented(family),
        }
        layers = (family.inputs, *self.hidden, self.features)
        keys = jax.random.split(jax.random.key(seed), self.tasks)
        prototypes: dict[str, Accuracies] = {}
        ours: dict[str, Accuracies] = {}
        for look, tasks in families.items():
            nets = _prototypes.networks([tasks], layers, self.points, self.rate, seed)
            # Tasks are the same in both but for the order of their pixels.
            given = [self._given(tasks, key) for key in keys]
            prototypes[look] = np.asarray(
                [[_prototypes.accuracy(nets[p], each) for p in self.points] for each in given]
            )
            ours[look] = np.asarray([self._by_rule(each, layers, seed) for each in given])
        return prototypes, ours

    def _given(self, family: AbstractFamily, key: PRNGKeyArray) -> FewShot:
        """Return a task's unlabelled images, and labelled and other ones of its test part."""
        k_task, k_rows = jax.random.split(key)
        task = family.draw(k_task)
        unlabelled = np.asarray(task.stream(k_rows, 1, self.many)[0][0])
        x, y = map(np.asarray, task.test_set())
        y = y.argmax(axis=1).astype(np.int32)
        few = np.concatenate([np.flatnonzero(y == c)[: self.labelled] for c in range(self.ways)])
        rest = np.setdiff1d(np.arange(len(y)), few)
        return FewShot(unlabelled, x[few], y[few], x[rest], y[rest])

    def _by_rule(self, given: FewShot, layers: tuple[int, ...], seed: int) -> list[float]:
        rule, theta = shipped(self.rule)
        at = (0, self.updates)
        found = by_rule(rule, theta, given, layers, at, self.batch, seed)
        return [read_out(found[updates], given) for updates in at]

    def _draw(self, found: Mapping[str, Found]) -> Figure:
        figure, [grid] = sheet(1 + 5 * len(found), 5, columns=len(found))
        for axes, (name, (prototypes, ours)) in zip(grid, found.items(), strict=True):
            for look, colour in ((INTACT, "#CC79A7"), (PERMUTED, "#542788")):
                words = f"prototypical network, {look} inputs"
                each = prototypes[look]
                band(axes, self.points, each, words, colour, errors=True, marker="o", ms=4)
            for index, words, colour in (
                (-1, f"learned rule after {self.updates} updates", OURS),
                (0, "random initialisation", RANDOM),
            ):
                for look, style in ((INTACT, "-"), (PERMUTED, "--")):
                    ends, level = (
                        self.points[:: len(self.points) - 1],
                        ours[look][:, [index, index]],
                    )
                    words_too = f"{words}, {look} inputs"
                    band(axes, ends, level, words_too, colour, errors=True, linestyle=style)
            axes.axhline(1 / self.ways, color=INK, lw=0.8, ls=":", label="chance")
            logarithmic_from_zero(axes, self.points)
            label(axes, "meta-steps of the prototypical networks", title=name)
        label(grid[0], y="few-shot accuracy on new images")
        legend_below(figure, grid[:1], ncols=2, fontsize=8)
        layers = sizes(self.size**2, *self.hidden, self.features)
        return headline(
            figure,
            f"Tasks of {self.ways} classes, {self.labelled} labelled examples each, networks "
            f"{layers}; mean and standard error of {self.tasks} tasks",
        )


def _summary(found: Mapping[str, Accuracies]) -> dict[str, float]:
    """Return mean accuracies at the end, and what permutation costs a task."""
    cost, error = mean_and_error(found[INTACT][:, -1] - found[PERMUTED][:, -1])
    means = {look: float(accuracies[:, -1].mean()) for look, accuracies in found.items()}
    return {**means, "cost": cost, "standard_error": error}
