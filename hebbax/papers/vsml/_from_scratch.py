"""Figure 6: a learning algorithm from scratch, used without gradients."""

from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import (
    TITLES,
    band,
    headline,
    label,
    legend_below,
    logarithmic,
    mark,
    sheet,
)
from hebbax.papers._training import learn, learning_rates, minutes
from hebbax.plots import LEARNER_COLOURS
from hebbax.recipes import VsmlOnline

VSML, META_RNN = "VSML", "Meta RNN"
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
Cumulative = Float[np.ndarray, "seeds steps"]


class FromScratch(Experiment):
    """VSML and a Meta RNN meta-trained on MNIST by gradient, then online on other images."""

    name: ClassVar = "vsml/from-scratch"
    source: ClassVar = "VSML fig. 6, sec. 3.3 and 4.3"
    claim: ClassVar = (
        "Meta-trained end to end on MNIST, VSML learns online faster than backpropagation with "
        "Adam on MNIST and on Fashion-MNIST, which it never saw; a standard Meta RNN fits MNIST "
        "and fails on Fashion-MNIST."
    )
    criterion: ClassVar = (
        "cumulative accuracy over as many examples as a lifetime of meta-training has (mean over "
        "lifetimes and meta-seeds): on each set of images and at each size VSML's is above that of "
        "online SGD and Adam, both without and with a hidden layer, at the learning rate that is "
        "best after so many examples; at the size of meta-training the Meta RNN's is above theirs "
        "on MNIST and below theirs on every other set"
    )
    smoke: ClassVar = {
        "data": "digits", "images": ("digits",), "size": 8, "sizes": (8,), "unrolls": 4,
        "lifetimes": 1, "steps": 1, "early": 1, "meta_rnn_steps": 1, "hidden": 4, "rates": 2,
        "meta_seeds": 2, "seeds": 2, "examples": 6,
    }  # fmt: skip
    paper: ClassVar = {
        "size": 28, "sizes": (28,), "lifetimes": 64, "steps": 10_000, "learning_rate": 1e-3,
        "meta_rnn_steps": 10_000, "rates": 13,
    }  # fmt: skip

    data: str = "mnist"
    images: tuple[str, ...] = ("mnist", "fashion_mnist")
    size: int = 10
    sizes: tuple[int, ...] = (10, 28)
    unrolls: int = 200
    lifetimes: int = 8
    steps: int = 900
    early: int = 300
    learning_rate: float = 5e-3
    meta_rnn_steps: int = 600
    meta_rnn_learning_rate: float = 2e-3
    meta_seeds: int = 3
    hidden: int = 160
    rates: int = 9
    seeds: int = 10
    """Lifetimes that judge each learner."""
    examples: int = 2000

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train both; run them and backpropagation on the same examples."""
        seeds = range(seed, seed + self.meta_seeds)
        rule = VsmlOnline().rule()
        vsml = [self._vsml(work / f"vsml-{s}", s) for s in seeds]
        family = hx.tasks.images(self.data, size=self.size)
        meta_rnn = hx.MetaRnn(inputs=family.inputs, outputs=family.outputs)
        of_meta_rnn = [self._meta_rnn(work / f"meta-rnn-{s}", meta_rnn, family, s) for s in seeds]
        settings = {"steps": self.examples, "seeds": self.seeds, "key": jax.random.key(seed + 1)}
        found: dict[tuple[str, int], dict[str, Cumulative]] = {}
        for size in self.sizes:
            for images in self.images:
                family = hx.tasks.images(images, size=size)
                learnt: dict[str, tuple[hx.AbstractRule, list[hx.Result]]] = {VSML: (rule, vsml)}
                if size == self.size:
                    learnt[META_RNN] = meta_rnn, of_meta_rnn
                found[images, size] = {
                    name: np.concatenate([
                        hx.evaluate_online(rule, result.theta, family, **settings).cumulative
                        for result in results
                    ])
                    for name, (rule, results) in learnt.items()
                } | self._backprop(family, settings)  # fmt: skip
        last = self.unrolls - 1
        accuracies = {
            key: {name: float(line[:, last].mean()) for name, line in learners.items()}
            for key, learners in found.items()
        }
        numbers = {
            "examples": self.unrolls,
            "cumulative_accuracy": {f"{i} at {size}": a for (i, size), a in accuracies.items()},
            "of_meta_seeds": {
                name: {
                    f"{images} at {size}": self._of_meta_seeds(learners[name][:, last])
                    for (images, size), learners in found.items()
                    if name in learners
                }
                for name in (VSML, META_RNN)
            },
            "minutes_of_meta_training": {
                name: [round(minutes(result.history), 1) for result in results]
                for name, results in ((VSML, vsml), (META_RNN, of_meta_rnn))
            },
        }
        ahead = [key for key, a in accuracies.items() if a[VSML] > _best(a)]
        fits = self._meta_rnn_is_as_claimed(accuracies)
        shows = (
            f"Share of the first {self.unrolls} examples that was correct, mean of "
            f"{self.meta_seeds} meta-seeds: "
            + "; ".join(
                f"{TITLES.get(images, images)} at {size} by {size} {a[VSML]:.3f} (best of "
                f"backpropagation {_best(a):.3f}"
                + (f", Meta RNN {a[META_RNN]:.3f})" if META_RNN in a else ")")
                for (images, size), a in accuracies.items()
            )
            + "."
        )
        rows = [
            {"images": images, "size": size, "learner": name,
             "meta_seed": index // self.seeds if name in (VSML, META_RNN) else "",
             "seed": index % self.seeds, "examples": point,
             "cumulative_accuracy": float(line[index, point - 1])}
            for (images, size), learners in found.items()
            for name, line in learners.items()
            for index in range(len(line))
            for point in self._points
        ]  # fmt: skip
        holds = len(ahead) == len(found) and fits
        return Finding(rows, numbers, holds, shows, self._draw(found))

    @property
    def _points(self) -> list[int]:
        points = (1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 500, 700, 1000, 1500, self.examples)
        return sorted({self.unrolls, *(p for p in points if p <= self.examples)})

    def _of_meta_seeds(self, shares: Float[np.ndarray, " lives"]) -> list[float]:
        return shares.reshape(self.meta_seeds, self.seeds).mean(axis=1).tolist()

    def _vsml(self, work: Path, seed: int) -> hx.Result:
        recipe = VsmlOnline(
            size=self.size, data=self.data, unrolls=self.unrolls, tasks=self.lifetimes,
            steps=self.steps, early=self.early, learning_rate=self.learning_rate, seed=seed,
        )  # fmt: skip
        return recipe.meta_train(work, progress=True)

    def _meta_rnn(
        self, work: Path, rule: hx.MetaRnn, family: hx.tasks.AbstractFamily, seed: int
    ) -> hx.Result:
        objective = hx.objectives.OnlineCrossEntropy(steps=self.unrolls, batch=1, query=1, skip=0)
        return learn(
            work, rule, family, objective, steps=self.meta_rnn_steps, seed=seed, every=100,
            learning_rate=self.meta_rnn_learning_rate, tasks=2 * self.lifetimes, validation=16,
            log_every=min(self.meta_rnn_steps, 20),
        )  # fmt: skip

    def _backprop(
        self, family: hx.tasks.AbstractFamily, settings: dict[str, Any]
    ) -> dict[str, Cumulative]:
        found = {}
        for optimizer, title in OPTIMIZERS.items():
            rates = learning_rates(optimizer, self.rates)
            for hidden in ((), (self.hidden,)):
                name = f"{title}, {f'{self.hidden} hidden' if hidden else 'linear'}"
                found[name], _ = hx.best_online_backprop(
                    optimizer, family, rates=rates, hidden=hidden, **settings
                )
        return found

    def _meta_rnn_is_as_claimed(self, accuracies: dict[tuple[str, int], dict[str, float]]) -> bool:
        return all(
            (a[META_RNN] > _best(a)) == (images == self.data)
            for (images, size), a in accuracies.items()
            if size == self.size
        )

    def _draw(self, found: dict[tuple[str, int], dict[str, Cumulative]]) -> Figure:
        columns = len(self.images)
        figure, grid = sheet(
            4.6 * max(columns, 2), 3.4 * len(self.sizes) + 1, len(self.sizes), columns, sharey=True
        )
        names = list(dict.fromkeys(name for learners in found.values() for name in learners))
        for axes, ((images, size), learners) in zip(grid.ravel(), found.items(), strict=True):
            for name, line in learners.items():
                self._draw_line(axes, line, LEARNER_COLOURS[names.index(name)], name)
            mark(axes, self.unrolls)
            label(
                axes,
                "examples seen",
                "cumulative accuracy",
                f"{TITLES.get(images, images)}, {size} by {size}",
            )
        legend_below(
            figure, grid.ravel(), ncols=3, title=f"backpropagation: best of {self.rates} rates"
        )
        return headline(
            figure,
            f"Online learning by rules meta-trained on {TITLES.get(self.data, self.data)} at "
            f"{self.size} by {self.size}\nmean and standard deviation of {self.seeds} lifetimes on "
            f"test images ({self.meta_seeds} meta-seeds); dashed: length of meta-training",
        )

    def _draw_line(self, axes: Axes, line: Cumulative, colour: str, name: str) -> None:
        examples = np.arange(1, line.shape[1] + 1)
        shown = examples >= min(10, self.unrolls)
        band(axes, examples[shown], line[:, shown], name, colour)
        logarithmic(axes, [n for n in self._points if n in _TICKS])


_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def _best(accuracies: dict[str, float]) -> float:
    """Return the accuracy of the best of backpropagation."""
    return max(value for name, value in accuracies.items() if name not in (VSML, META_RNN))
