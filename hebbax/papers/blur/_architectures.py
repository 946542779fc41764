"""Genomes on networks of shapes that their meta-training never saw: convolutional and residual."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.inner import best_backprop
from hebbax.networks import Architecture, Conv, Dense, Residual, cnn
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import (
    TITLES,
    band,
    headline,
    label,
    legend_below,
    logarithmic,
    sheet,
    whiskers,
)
from hebbax.papers._statistics import Row, rounded, rows
from hebbax.papers._training import learning_rates
from hebbax.papers.blur._generalist import OPTIMIZERS
from hebbax.plots import CLASS_COLOURS, LEARNER_COLOURS

CIFAR_SIZE = 16
"""Side of the photographs, in pixels."""
CONV = "blur/conv"
"""The genome that was meta-trained on convolutional networks, on MNIST."""
GENOME, ROOT = "blur/lasting", "blur/lasting, root"
"""A genome from fully connected networks: as it is, and with `Blur(places="root")`."""
ACTIVATIONS = ("tanh", "leaky_relu")
"""Of networks that learn by gradient descent: those of the genomes. The better one counts."""
UNSEEN = ("fashion_mnist", "az_letters")
"""Data that no genome and no choice of its settings has seen."""


class ArchitecturesTried(Experiment):
    """Shipped genomes beside gradient descent on convolutional and residual networks."""

    name: ClassVar = "blur/architectures"
    source: ClassVar = "BLUR sec. 3.2; the paper has no such figure"
    claim: ClassVar = (
        "A rule can be put to work where neurons are arranged in convolutional layers and residual "
        "blocks: a genome that was meta-trained on small convolutional networks is ahead of "
        "gradient descent on images that it has not seen."
    )
    criterion: ClassVar = (
        f"on {' and '.join(UNSEEN)}, convolutional networks learn with {CONV} to a higher mean "
        f"test accuracy than with the best of SGD, momentum and Adam, the learning rate and the "
        f"activation function of each chosen for each number of updates, after every number of "
        f"updates that is judged"
    )
    smoke: ClassVar = {
        "data": ("digits",), "genomes": (), "channels": (2, 2), "blocks": (1,),
        "deep_data": "digits", "units": 4, "networks": 2, "rates": 2, "optimizers": ("sgd",),
        "normalized": ("sgd",), "batch": 16, "points": (1, 2),
    }  # fmt: skip
    paper: ClassVar = {
        "networks": 8, "rates": 13, "points": (5, 10, 20, 50, 100, 200, 500, 1000),
        "blocks": (2, 4, 8, 12, 20),
    }  # fmt: skip

    data: tuple[str, ...] = ("mnist", *UNSEEN, "cifar10")
    deep_data: str = "mnist"
    genomes: tuple[str, ...] = (GENOME, "blur/mnist-50")
    """Shipped genomes as they are, beside the one that decides and `blur/lasting` by the root."""
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    normalized: tuple[str, ...] = ("adam",)
    """Those that learn networks with batch normalisation besides; they decide nothing."""
    channels: tuple[int, ...] = (16, 32)
    blocks: tuple[int, ...] = (2, 6, 20)
    """Residual blocks, of one layer each."""
    units: int = 32
    networks: int = 2
    rates: int = 7
    batch: int = 128
    points: tuple[int, ...] = (5, 10, 20, 50, 100)

    def run(self, work: Path, seed: int) -> Finding:
        """Train networks of every shape with every learner; nothing is meta-trained."""
        wide = {
            data: self._compare(_images(data), cnn(*self.channels), self.points, seed)
            for data in self.data
        }
        small = hx.tasks.images("mnist", size=10, crop=20)
        family = small if self.deep_data == "mnist" else hx.tasks.by_name(self.deep_data)
        deep = {
            blocks: self._compare(
                family, residual_perceptron(self.units, blocks), self.points[-1:], seed
            )
            for blocks in self.blocks
        }
        lines: list[Row] = []
        for data, curves in wide.items():
            for learner, curve in curves.items():
                lines += rows(
                    curve.accuracy.tolist(), curve.steps, form=rounded,
                    network_of="convolutions", data=data, learner=learner,
                )  # fmt: skip
        for blocks, curves in deep.items():
            for learner, curve in curves.items():
                lines += rows(
                    curve.accuracy.tolist(), curve.steps, form=rounded,
                    network_of=f"{blocks} residual blocks", data=self.deep_data, learner=learner,
                )  # fmt: skip
        numbers, holds = self._decide(wide, deep)
        ahead = {
            data: ", ".join(f"{margin:+.3f}" for margin in numbers["ahead"][data])
            for data in self.data
        }
        shows = (
            f"After {', '.join(map(str, self.points))} updates convolutional networks that learn "
            f"with {CONV} are ahead of the best of gradient descent by "
            + "; ".join(f"{margins} on {_title(data)}" for data, margins in ahead.items())
            + "."
        )
        return Finding(lines, numbers, holds, shows, self._draw(wide, deep))

    def _compare(
        self,
        family: hx.tasks.AbstractFamily,
        network: Architecture,
        points: Sequence[int],
        seed: int,
    ) -> dict[str, hx.Curves]:
        settings: dict[str, Any] = {
            "hidden": network, "steps": max(points), "batch": self.batch, "at": points,
            "seeds": self.networks, "key": jax.random.key(seed + 1),
        }  # fmt: skip
        rule, theta = hx.zoo.load(GENOME)
        assert isinstance(rule, hx.Blur)
        root = dataclasses.replace(rule, places="root")
        found = {}
        if isinstance(network.blocks[0], Conv):
            found[CONV] = hx.evaluate(*hx.zoo.load(CONV), family, **settings)
        found[ROOT] = hx.evaluate(root, theta, family, **settings)
        for name in self.genomes:
            found[name] = hx.evaluate(*hx.zoo.load(name), family, **settings)
        for optimizer in self.optimizers:
            rates = learning_rates(optimizer, self.rates)
            each = [
                best_backprop(optimizer, family, rates=rates, activation=activation, **settings)[0]
                for activation in ACTIVATIONS
            ]
            found[OPTIMIZERS[optimizer]] = _better(*each)
            if optimizer in self.normalized:
                found[_normalized(optimizer)], _ = best_backprop(
                    optimizer, family, rates=rates, normalization="batch", **settings
                )
        return found

    def _decide(
        self, wide: dict[str, dict[str, hx.Curves]], deep: dict[int, dict[str, hx.Curves]]
    ) -> tuple[dict[str, Any], bool]:
        ahead = {}
        for data, curves in wide.items():
            mean = {name: curve.accuracy.mean(axis=0) for name, curve in curves.items()}
            best = np.max([mean[OPTIMIZERS[name]] for name in self.optimizers], axis=0)
            ahead[data] = [rounded(margin) for margin in (mean[CONV] - best).tolist()]
        judged = [margin for data in UNSEEN for margin in ahead.get(data, [])]
        numbers = {
            "updates": list(self.points),
            "ahead": ahead,
            "convolutions": {data: _means(curves) for data, curves in wide.items()},
            "residual_blocks": {str(blocks): _means(curves) for blocks, curves in deep.items()},
        }
        return numbers, bool(judged) and min(judged) > 0

    def _draw(
        self, wide: dict[str, dict[str, hx.Curves]], deep: dict[int, dict[str, hx.Curves]]
    ) -> Figure:
        learners = next(iter(wide.values()))
        colours = dict(zip(learners, (*LEARNER_COLOURS, CLASS_COLOURS[3]), strict=False))
        count = len(wide) + 1
        figure, panels = sheet(3.1 * count, 3.6, columns=count)
        axes: list[Axes] = list(panels.ravel())
        for panel, (data, curves) in zip(axes, wide.items(), strict=False):
            for name, curve in curves.items():
                band(panel, curve.steps, curve.accuracy, name, colours[name])
            logarithmic(panel, self.points)
            label(panel, "updates", title=f"{_title(data)}, convolutions")
        label(axes[0], y="test accuracy")
        last = axes[-1]
        for name in deep[self.blocks[0]]:
            each = [curves[name].accuracy[:, -1] for curves in deep.values()]
            whiskers(last, self.blocks, each, name, colours[name])
        logarithmic(last, self.blocks)
        label(last, "residual blocks", title=f"{_title(self.deep_data)}, residual perceptrons")
        legend_below(figure, axes)
        return headline(figure, "Genomes on networks of other shapes")


def residual_perceptron(units: int, blocks: int) -> Architecture:
    """Return a layer and so many residual blocks, each of one dense layer, of as many units."""
    return Architecture(units, *[Residual((Dense(units),))] * blocks)


def _better(first: hx.Curves, second: hx.Curves) -> hx.Curves:
    """Return the curves with the higher mean at each point apart."""
    ahead = first.accuracy.mean(axis=0) >= second.accuracy.mean(axis=0)
    return dataclasses.replace(
        first,
        score=np.where(ahead, first.score, second.score),
        loss=np.where(ahead, first.loss, second.loss),
    )


def _normalized(optimizer: str) -> str:
    return f"{OPTIMIZERS[optimizer]}, normalised"


def _images(data: str) -> hx.tasks.AbstractFamily:
    """Return images of a set at full size, but photographs at 16 by 16."""
    if data == "digits":
        return hx.tasks.digits()
    return hx.tasks.images(data, size=CIFAR_SIZE if data == "cifar10" else None)


def _title(data: str) -> str:
    return TITLES.get(data, data)


def _means(curves: dict[str, hx.Curves]) -> dict[str, list[float]]:
    """Return the mean accuracies of each learner after each number of updates."""
    return {
        name: [rounded(a) for a in c.accuracy.mean(axis=0).tolist()] for name, c in curves.items()
    }
