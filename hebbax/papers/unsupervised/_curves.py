"""Few-shot accuracy over the updates of a learning rule, for several networks."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, PyTree
from matplotlib.axes import Axes

import hebbax as hx
from hebbax.papers._figures import label, logarithmic_from_zero
from hebbax.papers._statistics import mean_and_error
from hebbax.papers.unsupervised._few_shot import FewShot, read_out
from hebbax.papers.unsupervised._learners import by_rule
from hebbax.plots import INK
from hebbax.rules import UnsupervisedRule

ERRORS = 2
"""Standard errors that a gain, a fall or a loss must exceed to count."""
SMOKE = {"data": "digits", "size": 8, "points": (0, 2), "runs": 2, "tested": 100}
PAPER = {"hidden": (128, 128, 128, 128), "batch": 128, "runs": 10, "tested": 10_000}
"""What experiments on few-shot accuracy change for these budgets."""
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


def shipped(name: str) -> tuple[UnsupervisedRule, PyTree]:
    """Return a rule of the zoo, and its θ."""
    rule, theta = hx.zoo.load(name)
    assert isinstance(rule, UnsupervisedRule)
    return rule, theta


def gain(found: Accuracies) -> dict[str, float]:
    """Return accuracies before and after all updates, and the mean gain of a run."""
    mean, error = mean_and_error(found[:, -1] - found[:, 0])
    return {
        "before": float(found[:, 0].mean()),
        "after": float(found[:, -1].mean()),
        "gain": mean,
        "standard_error": error,
    }


def improved(found: Mapping[str, float]) -> bool:
    """Whether a `gain` is more than chance makes."""
    return found["gain"] > ERRORS * found["standard_error"]


def dress(axes: Axes, at: Sequence[int], batch: int) -> None:
    """Label axes of accuracy over updates, whose first stands for the fresh network."""
    logarithmic_from_zero(axes, at)
    label(axes, f"updates of {batch} unlabelled examples", "test accuracy")


def draw_gains(axes: Axes, gains: dict[str, dict[str, float]], what: str) -> None:
    """Draw a line from the accuracy before to that after, one above the other for each name."""
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
    label(axes, "test accuracy, and points gained")
