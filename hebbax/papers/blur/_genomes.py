"""What BLUR's experiments share: images, the rule, meta-training and meta-testing of genomes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, PyTree

import hebbax as hx
from hebbax.papers import _training
from hebbax.papers._experiment import Experiment
from hebbax.recipes import MNIST_CROP, MNIST_RULE, MNIST_SIZE

SMOKE = {"unrolls": 2, "steps": 2, "runs": 1, "networks": 2}
PAPER = {"steps": 10_000, "runs": 8, "learning_rate": 5e-4, "clip": 10.0}
"""What most experiments change for these budgets."""


def images_of(data: str) -> hx.tasks.AbstractFamily:
    """Return the images called `data`; MNIST as genomes are meta-trained on it, 10 by 10."""
    if data == "mnist":
        return hx.tasks.images("mnist", size=MNIST_SIZE, crop=MNIST_CROP)
    return hx.tasks.images(data)


def title(data: str, family: hx.tasks.AbstractFamily) -> str:
    """Return what figures call a family of images."""
    side = math.isqrt(family.inputs)
    return f"{data.upper()} at {side} by {side}"


def blur(states: int = 2, **options: Any) -> hx.Blur:
    """Return the rule of the recipe for images, with other options; synapses grow as they may."""
    plain = {"synapse_normalization": "activations"}
    return hx.Blur(states=states, **{**MNIST_RULE, **plain, **options})


class Genomes(Experiment):
    """An experiment that meta-trains genomes by the gradient through whole lifetimes."""

    unrolls: int = 10
    batch: int = 128
    steps: int = 500
    runs: int = 2
    learning_rate: float = 1e-2
    clip: float = 1.0

    def meta_train(
        self,
        work: Path,
        rule: hx.Blur,
        families: Sequence[hx.tasks.AbstractFamily],
        hidden: Sequence[int],
        seed: int,
        *,
        query: int = 512,
        **settings: Any,
    ) -> hx.Result:
        """Meta-train, or go on with the run in `work`; `settings` go to `hebbax.meta_train`."""
        objective = hx.objectives.OnlineCrossEntropy(
            steps=self.unrolls, batch=self.batch, query=query
        )
        return _training.learn(
            work, rule, families, objective, steps=self.steps, seed=seed, hidden=tuple(hidden),
            learning_rate=self.learning_rate, clip=self.clip, **{"runs": self.runs, **settings},
        )  # fmt: skip


class TriedGenomes(Genomes):
    """The same, and what the genomes make of fresh networks."""

    networks: int = 4

    def trial(
        self, seed: int, hidden: Sequence[int], points: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """Return how networks are trained; they are judged after the trained number of updates.

        Or after `points`.
        """
        points = (self.unrolls,) if points is None else points
        return _training.trial(
            seed, hidden=hidden, points=points, batch=self.batch, networks=self.networks
        )

    def after(
        self,
        rule: hx.Blur,
        theta: PyTree,
        family: hx.tasks.AbstractFamily,
        hidden: Sequence[int],
        seed: int,
    ) -> Float[np.ndarray, " networks"]:
        """Return test accuracies after the trained number of updates."""
        return hx.evaluate(rule, theta, family, **self.trial(seed, hidden)).after(self.unrolls)
