"""Few-shot accuracy over the updates of a learning rule, for several networks."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, PyTree
from matplotlib.axes import Axes

from hebbax.papers.unsupervised._few_shot import FewShot, read_out
from hebbax.papers.unsupervised._learners import by_rule
from hebbax.plots import INK, tidy
from hebbax.rules import UnsupervisedRule

ERRORS = 2
"""Standard errors that a gain, a fall or a loss must exceed to count."""
Accuracies = Float[np.ndarray, "runs points"]
OURS, RANDOM = "#D55E00", "#9AA5B1"
"""Colours of the learned rule and of what it is compared with."""


def accuracies(
    rule: UnsupervisedRule,
    theta: PyTree,
    draw: Callable[[int], FewShot],
    hidden: Sequence[int],
    at: Sequence[int],
    *,
    batch: int,
    runs: int,
    seed: int,
    features: int = 32,
) -> Accuracies:
    """Return test accuracies after each of the numbers `at` of updates, ascending, of all runs.

    Every run has data, labelled examples and a network of its own, whatever the rule.

    **Arguments:**

    - `draw`: returns the data of a run's seed.
    - `hidden`, `features`: units of the hidden layers, and of the top layer.
    """
    lines = []
    for run in range(runs):
        own = 1000 * seed + run
        given = draw(own)
        sizes = (given.unlabelled.shape[1], *hidden, features)
        found = by_rule(rule, theta, given, sizes, at, batch, own)
        lines.append([read_out(found[updates], given) for updates in at])
    return np.asarray(lines)


def mean_and_error(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the mean and its standard error, which is 0 for a single value."""
    values = [float(value) for value in values]
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return statistics.fmean(values), error


def gain(found: Accuracies) -> dict[str, float]:
    """Return accuracies before and after all updates, and the mean gain of a run."""
    mean, error = mean_and_error(found[:, -1] - found[:, 0])
    return {
        "before": float(found[:, 0].mean()),
        "after": float(found[:, -1].mean()),
        "gain": mean,
        "standard_error": error,
    }


def rows(found: Accuracies, at: Sequence[int], **also: Any) -> list[dict[str, Any]]:
    """Return a line of the table for each run and number of updates."""
    return [
        {**also, "run": run, "updates": updates, "accuracy": round(float(accuracy), 4)}
        for run, line in enumerate(found)
        for updates, accuracy in zip(at, line, strict=True)
    ]


def draw_curve(
    axes: Axes, at: Sequence[int], found: Accuracies, label: str, colour: Any, **style: Any
) -> None:
    """Draw the mean over runs with a band of one standard error to either side."""
    points = [mean_and_error(column) for column in found.T]
    mean, error = (np.asarray(part) for part in zip(*points, strict=True))
    axes.fill_between(at, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0)
    axes.plot(at, mean, color=colour, linewidth=1.7, label=label, **style)


def dress(axes: Axes, at: Sequence[int], batch: int, what: str = "test accuracy") -> None:
    """Label axes of accuracy over updates, whose first stands for the fresh network."""
    tidy(axes)
    axes.set_xscale("symlog", linthresh=max(1, min((u for u in at if u), default=1)))
    axes.set_xticks(list(at), [f"{u:,}" for u in at])
    axes.minorticks_off()
    axes.set_xlim(min(at), max(at))
    axes.set_xlabel(f"updates of {batch} unlabelled examples", color=INK)
    axes.set_ylabel(what, color=INK)


def draw_gains(axes: Axes, gains: dict[str, dict[str, float]], what: str) -> None:
    """Draw a line from the accuracy before to that after, one above the other for each name."""
    tidy(axes)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.grid(axis="y", visible=False)
    for place, found in enumerate(gains.values()):
        axes.plot(
            [found["before"], found["after"]], [place, place], color="#C9D1D9", lw=4, zorder=1
        )
        axes.scatter(found["before"], place, color=RANDOM, s=45, zorder=2)
        axes.scatter(found["after"], place, color=OURS, s=45, zorder=3)
        axes.annotate(
            f"{100 * found['gain']:+.1f}",
            (max(found["before"], found["after"]), place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )
    axes.scatter([], [], color=RANDOM, s=45, label="random initialisation")
    axes.scatter([], [], color=OURS, s=45, label=what)
    axes.set_yticks(range(len(gains)), list(gains))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("test accuracy, and points gained", color=INK)
