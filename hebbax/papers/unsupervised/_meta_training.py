"""Figure 4: the meta-objective on data of meta-training and on other data, over meta-training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree
from matplotlib import colormaps
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import band, headline, label, legend_below, sheet
from hebbax.papers._statistics import mean_and_error
from hebbax.papers.unsupervised._snapshots import MetaTrained, ShortTraining, Snapshot, plain_family
from hebbax.plots import INK
from hebbax.rules import UnsupervisedRule
from hebbax.tasks import TABULAR, AbstractFamily

Losses = dict[str, list[Float[np.ndarray, " tasks"]]]
"""The meta-objective of all tasks at every snapshot, by the name of the data."""
LABELLED = 10
"""Examples of a class in a labelled batch."""
EVALUATIONS = 5
"""Pairs of labelled batches that a network is judged by."""


class MetaTrainingCurves(MetaTrained):
    """A short meta-training, its rules tried on what it saw and on what it did not."""

    name: ClassVar = "unsupervised/meta-training"
    source: ClassVar = "Metz et al. fig. 4, app. on meta-training curves"
    claim: ClassVar = (
        "The meta-objective falls over meta-training, on held-out images too; on text it rises "
        "again later."
    )
    criterion: ClassVar = (
        "on every held-out set of images the meta-objective after the last meta-step is below that "
        "before the first (means over tasks, the same ones; text is shown but does not decide)"
    )
    smoke: ClassVar = {
        **MetaTrained.smoke, "held_out": ("digits",), "text": (), "tasks": 2, "updates": 2,
    }  # fmt: skip
    paper: ClassVar = {
        "meta_steps": (0, 1000, 5000, 20_000, 100_000, 200_000), "channels": 64, "tasks": 50,
        "checkpoint_every": 500, "updates": 3000,
    }  # fmt: skip

    # No plane of the start is ahead of the others, as in the paper: all is left to be learnt.
    hebbian: float = ShortTraining.others
    decorrelation: float = ShortTraining.others
    held_out: tuple[str, ...] = ("mnist", "fashion_mnist")
    """Images that are not meta-trained on."""
    text: tuple[str, ...] = ("imdb",)
    """Tables that are not meta-trained on."""
    updates: int = 50
    """In the lifetimes that are judged, by their end."""
    batch: int = 32
    tasks: int = 8

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train, and try every snapshot on the same tasks."""
        trained = self.snapshots(work, seed)
        losses: Losses = {}
        for name in (*self.families, *self.held_out, *self.text):
            plain = hx.tasks.tabular(name) if name in TABULAR else plain_family(name, self.side)
            family = hx.tasks.augmented(plain)
            keys = jax.random.split(jax.random.key(seed), self.tasks)
            losses[name] = [
                np.asarray(_judge(s.rule, s.theta, family, self._objective(family), keys))
                for s in trained
            ]
        means = {name: [float(each.mean()) for each in found] for name, found in losses.items()}
        falls = {name: mean_and_error(found[0] - found[-1]) for name, found in losses.items()}
        minutes = [snapshot.minutes for snapshot in trained]
        numbers = {
            "meta_steps": [snapshot.meta_steps for snapshot in trained],
            "minutes": minutes,
            "meta_objective": means,
            "falls": {
                name: {"mean": mean, "standard_error": error}
                for name, (mean, error) in falls.items()
            },
        }
        shows = (
            f"In {trained[-1].meta_steps:,} meta-steps ({minutes[-1]:.1f} minutes) the "
            "meta-objective goes "
            + ", ".join(f"from {v[0]:.3f} to {v[-1]:.3f} on {n}" for n, v in means.items())
            + " (chance 2)."
        )
        table = [
            {"data": name, "meta_steps": snapshot.meta_steps, "minutes": round(snapshot.minutes, 3),
             "task": task, "meta_objective": round(float(loss), 5)}
            for name, found in losses.items()
            for snapshot, each in zip(trained, found, strict=True)
            for task, loss in enumerate(each)
        ]  # fmt: skip
        holds = all(falls[name][0] > 0 for name in self.held_out)
        return Finding(table, numbers, holds, shows, self._draw(trained, losses))

    def _objective(self, family: AbstractFamily) -> hx.objectives.FewShotRidge:
        return hx.objectives.FewShotRidge(
            steps=self.updates,
            batch=self.batch,
            query=2 * EVALUATIONS * LABELLED * family.outputs,
            evaluations=EVALUATIONS,
            weight_penalty=0.0,
        )

    def _draw(self, trained: list[Snapshot], losses: Mapping[str, Any]) -> Figure:
        figure, [grid] = sheet(12, 4.8, columns=2)
        colours = dict(zip(losses, colormaps["tab10"](range(len(losses))), strict=True))
        steps, minutes = zip(*((s.meta_steps, s.minutes) for s in trained), strict=True)
        for axes, position, since in ((grid[0], steps, False), (grid[1], minutes, True)):
            for name, found in losses.items():
                # Of each task its own start is taken away, for tasks differ more than rules.
                shown = np.stack([each - since * found[0] for each in found], axis=1)
                seen = name in self.families
                band(
                    axes, position, shown, f"{name}, {'meta-trained on' if seen else 'held out'}",
                    colours[name], errors=True, within=(-np.inf, np.inf), marker="o", ms=4,
                    linestyle="--" if seen else "-",
                )  # fmt: skip
        label(grid[0], "meta-steps", f"meta-objective after {self.updates} updates (chance 2)")
        label(
            grid[1],
            "minutes of meta-training, without compilation",
            "change since the start of meta-training",
        )
        grid[1].axhline(0, color=INK, lw=0.8)
        legend_below(figure, grid[:1], loc="outside right center", ncols=1, fontsize=9)
        return headline(
            figure,
            f"A short meta-training of the unsupervised rule; mean and standard error of "
            f"{self.tasks} tasks, {LABELLED} labelled examples a class",
        )


@eqx.filter_jit
def _judge(
    rule: UnsupervisedRule,
    theta: PyTree,
    family: AbstractFamily,
    objective: hx.objectives.FewShotRidge,
    keys: Key[Array, " tasks"],
) -> Float[Array, " tasks"]:
    """Return the meta-objective at the end of a lifetime of every task."""

    def of(key: PRNGKeyArray) -> Float[Array, ""]:
        k_net, k_task = jax.random.split(key)
        net = rule.init_network(theta, k_net, (family.inputs, objective.units))
        episode = family.sample(k_task, objective.steps, objective.batch, objective.query)
        return objective.unroll_and_judge(rule, theta, net, episode)[1][0]

    return jax.lax.map(of, keys)
