"""A genome meta-trained on small MNIST with growing lifetimes, and those it is compared with."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

import hebbax as hx
from hebbax.inner import RATES, best_backprop
from hebbax.papers._experiment import Experiment
from hebbax.papers.blur._families import images_of
from hebbax.plots import GRID, INK, LEARNER_COLOURS, tidy
from hebbax.recipes import BlurMnist50

OPTIMIZERS = {"sgd": "SGD", "momentum": "momentum", "adam": "Adam"}
"""The learners to be compared with, and what figures call them."""
GENOME = "genome"


@dataclasses.dataclass(frozen=True)
class Generalist(Experiment):
    """What the experiments of BLUR sec. 4.2 and 4.3 share: the recipe `blur/mnist-50`.

    Lifetimes grow from stage to stage, and all runs go on from the best at the end of each. The
    paper says nothing of the width of the hidden layers.
    """

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
    def trained(self) -> int:
        """Updates in the longest lifetimes of meta-training."""
        return self.unrolls

    @property
    def within(self) -> list[int]:
        """Indices of the points up to the trained number of updates."""
        return [i for i, point in enumerate(self.points) if point <= self.trained]

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

    def compare(
        self, theta: PyTree, family: hx.tasks.AbstractFamily, seed: int
    ) -> dict[str, hx.Curves]:
        """Return the curves of the genome and of backpropagation at its best, by name.

        Learning rates are `rates` ones over the four orders of magnitude of `best_backprop`, and
        chosen for each point apart.
        """
        settings = {
            "hidden": self.hidden,
            "steps": max(self.points),
            "batch": self.batch,
            "seeds": self.networks,
            "key": jax.random.key(seed + 1),
            "at": self.points,
        }
        found = {GENOME: hx.evaluate(self.rule, theta, family, **settings)}
        for optimizer in self.optimizers:
            rates = spread(optimizer, self.rates)
            found[OPTIMIZERS[optimizer]], _ = best_backprop(
                optimizer, family, rates=rates, **settings
            )
        return found


def spread(optimizer: str, count: int) -> tuple[float, ...]:
    """Return `count` learning rates over the four orders of magnitude of `best_backprop`."""
    return tuple(np.geomspace(RATES[optimizer][0], RATES[optimizer][-1], count).tolist())


def draw_curves(axes: Axes, curves: Mapping[str, hx.Curves], trained: int) -> None:
    """Draw accuracy against updates, a line a learner, and how long lifetimes were at most."""
    for (name, curve), colour in zip(curves.items(), LEARNER_COLOURS, strict=False):
        mean, deviation = curve.accuracy.mean(axis=0), curve.accuracy.std(axis=0)
        low, high = np.clip([mean - deviation, mean + deviation], 0, 1)
        axes.fill_between(curve.steps, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(curve.steps, mean, color=colour, linewidth=1.8, label=name)
    mark_trained(axes, trained)


def mark_trained(axes: Axes, trained: int) -> None:
    """Give axes of updates their scale, and mark how long lifetimes were at most."""
    tidy(axes)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(
        FixedLocator([n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= n <= high])
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.axvline(trained, color=GRID, linestyle="--", linewidth=1.2, zorder=0)
    axes.set_xlabel("updates", color=INK)
