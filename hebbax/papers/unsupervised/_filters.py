"""Figure 9: what units of the first layer look for, over updates and over meta-training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, PyTree
from matplotlib.figure import Figure

from hebbax.papers._experiment import Finding
from hebbax.papers._figures import headline, label, sheet, sizes
from hebbax.papers.unsupervised._curves import shipped
from hebbax.papers.unsupervised._few_shot import few_shot
from hebbax.papers.unsupervised._learners import by_rule
from hebbax.papers.unsupervised._snapshots import MetaTrained
from hebbax.plots import INK
from hebbax.rules import UnsupervisedRule

Filters = Float[np.ndarray, "units height width channels"]
RISE = 0.2
"""By how much neighbouring pixels' weights are to agree more than in the fresh network."""


class FirstLayer(MetaTrained):
    """Receptive fields of the first layer, in networks that are not told which pixels touch."""

    name: ClassVar = "unsupervised/filters"
    source: ClassVar = 'Metz et al. fig. 9, app. "More Filters Over Meta-Training"'
    claim: ClassVar = (
        "Although pixels are in a random order, units of the first layer come to look like "
        "templates of digits on MNIST and like coarse, then local features on CIFAR-10."
    )
    criterion: ClassVar = (
        f"on every data set the correlation of weights of neighbouring pixels, mean over units, is "
        f"after the shipped rule's last update at least {RISE:g} above the fresh network's; the "
        f"pictures are for the reader's eyes"
    )
    smoke: ClassVar = {
        "data": ("digits",), "sizes": (8,), "hidden": (9,), "points": (0, 2), "many": 200,
        "meta_steps": (),
    }  # fmt: skip
    paper: ClassVar = {
        "sizes": (28, 16), "hidden": (128, 128, 128, 128), "points": (0, 10, 100, 1000, 10_000),
        "batch": 128, "meta_steps": (0, 500, 1500),
    }  # fmt: skip

    rule: str = "unsupervised/small"
    data: tuple[str, ...] = ("mnist", "cifar10")
    sizes: tuple[int, ...] = (14, 16)
    hidden: tuple[int, ...] = (64,)
    points: tuple[int, ...] = (0, 10, 100, 1000, 3000)
    batch: int = 32
    many: int = 10_000
    meta_steps: tuple[int, ...] = (0, 300)
    """Moments of a short meta-training, whose rules make the most updates."""

    def run(self, work: Path, seed: int) -> Finding:
        """Train a network on each data set, and look at its first layer."""
        rule, theta = shipped(self.rule)
        trained = self.snapshots(work, seed)
        pictures: dict[str, dict[str, Filters]] = {}
        for name, size in zip(self.data, self.sizes, strict=True):
            over = {
                f"{s.meta_steps:,} meta-steps, {self.points[-1]:,} updates": self._filters(
                    name, size, s.rule, s.theta, (self.points[-1],), seed
                )[self.points[-1]]
                for s in trained
            }
            found = self._filters(name, size, rule, theta, self.points, seed)
            named = {_after(updates): filters for updates, filters in found.items()}
            pictures[name] = {**named, **over}
        agree = {
            name: {column: _agreement(filters) for column, filters in found.items()}
            for name, found in pictures.items()
        }
        first, last = _after(self.points[0]), _after(self.points[-1])
        holds = all(found[last] - found[first] >= RISE for found in agree.values())
        shows = (
            f"From the fresh network to {self.points[-1]:,} updates the correlation of weights of "
            "neighbouring pixels goes "
            + ", ".join(
                f"from {found[first]:.2f} to {found[last]:.2f} on {name}"
                for name, found in agree.items()
            )
            + "; no pixel's place was told."
        )
        table = [
            {"data": name, "network": column, "neighbour_correlation": round(value, 4)}
            for name, found in agree.items()
            for column, value in found.items()
        ]
        numbers = {"neighbour_correlation": agree}
        return Finding(table, numbers, holds, shows, self._draw(pictures, agree))

    def _filters(
        self,
        name: str,
        size: int,
        rule: UnsupervisedRule,
        theta: PyTree,
        points: tuple[int, ...],
        seed: int,
    ) -> dict[int, Filters]:
        """Return the first layer's weights after each of `points`, pixels in their places.

        Each is multiplied by its pixel's deviation, which is how much of it units can see.
        """
        given = few_shot(name, size, seed, many=self.many, permute=False)
        pixels = given.unlabelled.shape[1]
        order = np.random.default_rng(seed).permutation(pixels)
        mixed = given._replace(unlabelled=given.unlabelled[:, order])
        layers = (pixels, *self.hidden, 32)
        found = by_rule(rule, theta, mixed, layers, points, self.batch, seed)
        back, seen = np.argsort(order), given.unlabelled.std(axis=0)[:, None]
        return {
            updates: (seen * np.asarray(features.net.layers[0].weight)[back]).T.reshape(
                -1, size, size, pixels // size**2
            )
            for updates, features in found.items()
        }

    def _draw(
        self,
        pictures: Mapping[str, Mapping[str, Filters]],
        agree: Mapping[str, Mapping[str, float]],
    ) -> Figure:
        columns = len(next(iter(pictures.values())))
        figure, grid = sheet(
            max(6.0, 2.0 * columns), 1.1 + 2.2 * len(pictures), len(pictures), columns
        )
        for index, (row, (name, found)) in enumerate(zip(grid, pictures.items(), strict=True)):
            for axes, (column, filters) in zip(row, found.items(), strict=True):
                axes.imshow(_tiled(filters), interpolation="nearest")
                axes.set(xticks=[], yticks=[])
                axes.set_xlabel(f"correlation {agree[name][column]:.2f}", fontsize=8)
                for spine in axes.spines.values():
                    spine.set_visible(False)
                if index == 0:
                    label(axes, title=column.replace(", ", "\n"))
            row[0].set_ylabel(name, fontsize=11, color=INK)
        return headline(
            figure,
            f"First-layer units of networks pixels-{sizes(*self.hidden, 32)}: weights times their "
            "pixels' deviations (grey is zero), each unit scaled by its largest\n"
            "pixels were in a random order that the rule is not told; below panels: how weights "
            "of neighbours correlate",
        )


def _after(updates: int) -> str:
    return f"shipped rule, {updates:,} updates" if updates else "fresh network"


def _agreement(filters: Filters) -> float:
    """Return the correlation of each pixel's weight with those beside and below it."""
    centred = filters - filters.mean(axis=(1, 2), keepdims=True)
    across = (centred[:, :, 1:] * centred[:, :, :-1]).mean(axis=(1, 2, 3))
    down = (centred[:, 1:] * centred[:, :-1]).mean(axis=(1, 2, 3))
    variance = np.maximum((centred**2).mean(axis=(1, 2, 3)), np.finfo(np.float32).tiny)
    return float(((across + down) / (2 * variance)).mean())


def _tiled(filters: Filters, most: int = 36) -> Any:
    """Return a square of pictures with lines between, values in [0, 1] and 0.5 for zero."""
    side = int(min(len(filters), most) ** 0.5)
    height, width = filters.shape[1:3]
    canvas = np.ones((side * (height + 1) - 1, side * (width + 1) - 1, 3))
    for place in range(side * side):
        weights = filters[place]
        row, column = divmod(place, side)
        top, left = row * (height + 1), column * (width + 1)
        shade = 0.5 + 0.5 * weights / max(float(np.abs(weights).max()), 1e-12)
        canvas[top : top + height, left : left + width] = shade
    return canvas
