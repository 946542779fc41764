"""A genome meta-trained on small MNIST with growing lifetimes, and those it is compared with."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import PyTree
from matplotlib.axes import Axes

import hebbax as hx
from hebbax.inner import best_backprop
from hebbax.papers._experiment import Experiment
from hebbax.papers._figures import band, label, logarithmic, mark
from hebbax.papers._training import learning_rates, trial
from hebbax.papers.blur._genomes import PAPER, images_of
from hebbax.plots import LEARNER_COLOURS
from hebbax.recipes import BlurMnist50

OPTIMIZERS = {"sgd": "SGD", "momentum": "momentum", "adam": "Adam"}
"""The learners to be compared with, and what figures call them."""
GENOME = "genome"


class Generalist(Experiment):
    """What the experiments of BLUR sec. 4.2 and 4.3 share: the recipe `blur/mnist-50`.

    Lifetimes grow from stage to stage, and all runs go on from the best at the end of each. The
    paper says nothing of the width of the hidden layers.
    """

    smoke: ClassVar = {
        "data": "digits", "hidden": (4,), "first": 2, "unrolls": 2, "stages": 1, "steps": 1,
        "optimizers": ("sgd",), "batch": 16, "query": 16, "networks": 2, "rates": 2,
        "points": (1, 2, 3),
    }  # fmt: skip
    paper: ClassVar = {
        **PAPER, "states": 4, "stages": 9, "steps": 90_000, "networks": 8,
        "points": (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200),
    }  # fmt: skip
    data: str = "mnist"
    states: int = 2
    hidden: tuple[int, ...] = (64, 64)
    first: int = 10
    unrolls: int = 50
    stages: int = 3
    steps: int = 900
    runs: int = 1
    batch: int = 128
    query: int = 512
    learning_rate: float = 1e-2
    clip: float = 1.0
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    networks: int = 4
    rates: int = 9
    points: tuple[int, ...] = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)

    @property
    def recipe(self) -> BlurMnist50:
        """The recipe with this experiment's settings."""
        names = {field.name for field in dataclasses.fields(BlurMnist50)}
        mine = {field.name for field in dataclasses.fields(Generalist)}
        return BlurMnist50(**{name: getattr(self, name) for name in names & mine})

    @property
    def rule(self) -> hx.Blur:
        """The rule whose genome is learnt."""
        return self.recipe.rule()

    @property
    def within(self) -> list[int]:
        """Indices of the points up to the trained number of updates."""
        return [i for i, point in enumerate(self.points) if point <= self.unrolls]

    def meta_train(self, work: Path, seed: int) -> hx.Result:
        """Meta-train, or go on with the run in `work`."""
        every = min(self.recipe.log_every, self.steps)
        recipe = dataclasses.replace(
            self.recipe,
            seed=seed,
            log_every=every,
            checkpoint_every=min(self.recipe.checkpoint_every, every * (self.steps // every)),
        )
        families = None if self.data == "mnist" else (images_of(self.data),)
        return recipe.meta_train(work / "genome", families, progress=True)

    def trial(self, seed: int) -> dict[str, Any]:
        """Return how networks are trained, by every learner."""
        return trial(
            seed, hidden=self.hidden, points=self.points, batch=self.batch, networks=self.networks
        )

    def compare(
        self, theta: PyTree, family: hx.tasks.AbstractFamily, seed: int
    ) -> dict[str, hx.Curves]:
        """Return the curves of the genome and of backpropagation at its best, by name.

        Learning rates are `rates` ones over the four orders of magnitude of `best_backprop`, and
        chosen for each point on its own.
        """
        settings = self.trial(seed)
        found = {GENOME: hx.evaluate(self.rule, theta, family, **settings)}
        for optimizer in self.optimizers:
            found[OPTIMIZERS[optimizer]], _ = best_backprop(
                optimizer, family, rates=learning_rates(optimizer, self.rates), **settings
            )
        return found


def draw_curves(axes: Axes, curves: Mapping[str, hx.Curves], trained: int) -> None:
    """Draw accuracy against updates, a line a learner, and how long lifetimes were at most."""
    for (name, curve), colour in zip(curves.items(), LEARNER_COLOURS, strict=False):
        band(axes, curve.steps, curve.accuracy, name, colour)
    mark_trained(axes, trained)


def mark_trained(axes: Axes, trained: int) -> None:
    """Give axes of updates their scale, and mark how long lifetimes were at most."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    logarithmic(axes, [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= n <= high])
    mark(axes, trained)
    label(axes, "updates")
