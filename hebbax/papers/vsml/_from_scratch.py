"""Figure 6: a learning algorithm from scratch, used without gradients."""

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
import optax
from jaxtyping import Float, PyTree
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

import hebbax as hx
from hebbax.inner import RATES
from hebbax.papers._experiment import Experiment, Finding
from hebbax.plots import GRID, INK, LEARNER_COLOURS, tidy
from hebbax.recipes import FINAL_RATE, VsmlOnline

VSML, META_RNN = "VSML", "Meta RNN"
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "digits"}
Cumulative = Float[np.ndarray, "seeds steps"]


@dataclasses.dataclass(frozen=True)
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
        "lifetimes): on each set of images and at each size VSML's is above that of online SGD and "
        "Adam, both without and with a hidden layer, at the learning rate that is best after so "
        "many examples; at the size of meta-training the Meta RNN's is above theirs on MNIST and "
        "below theirs on every other set"
    )
    smoke: ClassVar = {
        "data": "digits",
        "images": ("digits",),
        "size": 8,
        "sizes": (8,),
        "unrolls": 4,
        "lifetimes": 1,
        "steps": 1,
        "early": 1,
        "meta_rnn_steps": 1,
        "hidden": 4,
        "rates": 2,
        "seeds": 2,
        "examples": 6,
    }
    paper: ClassVar = {
        "size": 28,
        "sizes": (28,),
        "lifetimes": 64,
        "steps": 10_000,
        "learning_rate": 1e-3,
        "meta_rnn_steps": 10_000,
        "rates": 13,
    }

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
    hidden: int = 160
    rates: int = 9
    seeds: int = 10
    examples: int = 2000

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train both; run them and backpropagation on the same examples."""
        recipe = VsmlOnline(
            size=self.size,
            data=self.data,
            unrolls=self.unrolls,
            tasks=self.lifetimes,
            steps=self.steps,
            early=self.early,
            learning_rate=self.learning_rate,
            seed=seed,
        )
        theta = recipe.meta_train(work / "vsml", progress=True).theta
        meta_rnn, meta_rnn_theta = self._meta_rnn(work / "meta-rnn", seed)
        found: dict[tuple[str, int], dict[str, Cumulative]] = {}
        for size in self.sizes:
            for images in self.images:
                family = hx.tasks.images(images, size=size)
                settings = {
                    "steps": self.examples,
                    "seeds": self.seeds,
                    "key": jax.random.key(seed + 1),
                }
                learners = {
                    VSML: hx.evaluate_online(recipe.rule(), theta, family, **settings).cumulative
                }
                if size == self.size:
                    learners[META_RNN] = hx.evaluate_online(
                        meta_rnn, meta_rnn_theta, family, **settings
                    ).cumulative
                found[images, size] = learners | self._backprop(family, settings)
        numbers = {
            "examples": self.unrolls,
            "cumulative_accuracy": {
                f"{images} at {size}": {
                    name: float(line[:, self.unrolls - 1].mean()) for name, line in learners.items()
                }
                for (images, size), learners in found.items()
            },
            "standard_error_of_vsml": {
                f"{images} at {size}": float(
                    learners[VSML][:, self.unrolls - 1].std(ddof=1) / np.sqrt(self.seeds)
                )
                for (images, size), learners in found.items()
            },
            "minutes_of_meta_training": {
                "vsml": _minutes(work / "vsml"),
                "meta_rnn": _minutes(work / "meta-rnn"),
            },
        }
        accuracies = {key: self._after(learners) for key, learners in found.items()}
        ahead = [key for key, a in accuracies.items() if a[VSML] > _best(a)]
        fits = self._meta_rnn_is_as_claimed(accuracies)
        shows = (
            f"Share of the first {self.unrolls} examples that was right: "
            + "; ".join(
                f"{TITLES[images]} at {size} by {size} {a[VSML]:.3f} (best of backpropagation "
                f"{_best(a):.3f}" + (f", Meta RNN {a[META_RNN]:.3f})" if META_RNN in a else ")")
                for (images, size), a in accuracies.items()
            )
            + "."
        )
        rows = [
            {
                "images": images,
                "size": size,
                "learner": name,
                "seed": index,
                "examples": point,
                "cumulative_accuracy": float(line[index, point - 1]),
            }
            for (images, size), learners in found.items()
            for name, line in learners.items()
            for index in range(self.seeds)
            for point in self._points
        ]
        holds = len(ahead) == len(found) and fits
        return Finding(rows, numbers, holds, shows, self._draw(found))

    @property
    def _points(self) -> list[int]:
        points = (1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 500, 700, 1000, 1500, self.examples)
        return sorted({self.unrolls, *(p for p in points if p <= self.examples)})

    def _meta_rnn(self, work: Path, seed: int) -> tuple[hx.MetaRnn, PyTree]:
        """Meta-train the Meta RNN on the images as they are, the easiest for it."""
        family = hx.tasks.images(self.data, size=self.size)
        rule = hx.MetaRnn(inputs=family.inputs, outputs=family.outputs)
        steps, every = self.meta_rnn_steps, min(self.meta_rnn_steps, 100)
        rate = optax.cosine_decay_schedule(self.meta_rnn_learning_rate, steps, alpha=FINAL_RATE)
        result = hx.meta_train(
            rule,
            family,
            hx.objectives.OnlineCrossEntropy(steps=self.unrolls, batch=1, query=1, skip=0),
            hx.methods.Gradient(optax.adam(rate), clip=1.0),
            steps=steps,
            key=jax.random.key(seed),
            directory=work,
            tasks=2 * self.lifetimes,
            log_every=min(every, 20),
            checkpoint_every=every,
            progress=True,
        )
        return rule, result.theta

    def _backprop(
        self, family: hx.tasks.AbstractFamily, settings: dict[str, Any]
    ) -> dict[str, Cumulative]:
        found = {}
        for optimizer, title in OPTIMIZERS.items():
            low, *_, high = RATES[optimizer]
            rates = tuple(np.geomspace(low, high, self.rates).tolist())
            for hidden in ((), (self.hidden,)):
                name = f"{title}, {f'{self.hidden} hidden' if hidden else 'linear'}"
                found[name], _ = hx.best_online_backprop(
                    optimizer, family, rates=rates, hidden=hidden, **settings
                )
        return found

    def _after(self, learners: dict[str, Cumulative]) -> dict[str, float]:
        return {name: float(line[:, self.unrolls - 1].mean()) for name, line in learners.items()}

    def _meta_rnn_is_as_claimed(self, accuracies: dict[tuple[str, int], dict[str, float]]) -> bool:
        return all(
            (a[META_RNN] > _best(a)) == (images == self.data)
            for (images, size), a in accuracies.items()
            if size == self.size
        )

    def _draw(self, found: dict[tuple[str, int], dict[str, Cumulative]]) -> Figure:
        columns = len(self.images)
        figure = Figure(
            figsize=(4.6 * max(columns, 2), 3.4 * len(self.sizes) + 1), layout="constrained"
        )
        grid = figure.subplots(len(self.sizes), columns, squeeze=False, sharey=True).ravel()
        names = list(dict.fromkeys(name for learners in found.values() for name in learners))
        for axes, ((images, size), learners) in zip(grid, found.items(), strict=True):
            for name, line in learners.items():
                colour = LEARNER_COLOURS[names.index(name)]
                self._draw_line(axes, line, colour, name)
            axes.axvline(self.unrolls, color=GRID, linestyle="--", linewidth=1.2, zorder=0)
            axes.set_title(f"{TITLES[images]}, {size} by {size}", fontsize=10, color=INK)
            axes.set_ylabel("cumulative accuracy", color=INK)
            axes.set_xlabel("examples seen", color=INK)
        handles = {}
        for axes in grid:
            handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        labels = [n if n in (VSML, META_RNN) else f"{n}, best of {self.rates} rates" for n in names]
        figure.legend(
            [handles[n] for n in names],
            labels,
            loc="outside lower center",
            ncols=3,
            frameon=False,
        )
        figure.suptitle(
            f"Online learning by rules meta-trained on {TITLES[self.data]} at "
            f"{self.size} by {self.size}\nmean and standard deviation of {self.seeds} lifetimes "
            f"on test images; dashed: length of meta-training",
            fontsize=11,
            color=INK,
        )
        return figure

    def _draw_line(self, axes: Axes, line: Cumulative, colour: str, name: str) -> None:
        tidy(axes)
        examples = np.arange(1, line.shape[1] + 1)
        shown = examples >= min(10, self.unrolls)
        mean, deviation = line.mean(axis=0), line.std(axis=0)
        low, high = np.clip([mean - deviation, mean + deviation], 0, 1)
        axes.fill_between(
            examples[shown], low[shown], high[shown], color=colour, alpha=0.15, linewidth=0
        )
        axes.plot(examples[shown], mean[shown], color=colour, linewidth=1.7, label=name)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([n for n in self._points if n in _TICKS]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())


_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def _best(accuracies: dict[str, float]) -> float:
    """Return the accuracy of the best of backpropagation."""
    return max(value for name, value in accuracies.items() if name not in (VSML, META_RNN))


def _minutes(run: Path) -> float:
    """Return how long the meta-steps of a run took, also where they were not taken just now."""
    seconds, last = 0.0, 0
    for text in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        seconds += (line["step"] - last) * line["step_seconds"]
        last = line["step"]
    return round(seconds / 60, 1)
