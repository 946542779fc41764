"""Section 3.3 with two layers of sub-RNNs, and with images of 28 by 28 pixels."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float, PyTree
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._differences import Difference
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
from hebbax.papers._training import learn, learning_rates
from hebbax.plots import LEARNER_COLOURS

START, LEARNT = "vsml/online as it ships", "meta-trained so"
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
POINTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
Cumulative = Float[np.ndarray, "runs seeds steps"]


@dataclasses.dataclass(frozen=True)
class Setting:
    """Where a rule is meta-trained and tried: units of the hidden layers, and pixels to a side."""

    hidden: tuple[int, ...]
    size: int
    steps: int

    def __str__(self) -> str:
        layer = f"hidden layer of {self.hidden[0]}" if self.hidden else "no hidden layer"
        return f"{layer}, {self.size} by {self.size}"


class Layers(Experiment):
    """VSML that goes on to be meta-trained with a hidden layer, and at full size."""

    name: ClassVar = "vsml/layers"
    source: ClassVar = "VSML sec. 3.1, 3.3 and 4.3"
    claim: ClassVar = (
        "Layers of sub-RNNs can be stacked, and with 784 inputs too VSML that was meta-trained on "
        "MNIST learns online faster than backpropagation, on MNIST and on Fashion-MNIST."
    )
    criterion: ClassVar = (
        "cumulative accuracy over as many examples as a lifetime of meta-training has (mean over "
        "lifetimes and meta-seeds), on each set of images, with a hidden layer at the small size "
        "and without at the large one, is above that of online SGD and Adam in the same network, "
        "each at the learning rate that is best after so many examples"
    )
    smoke: ClassVar = {
        "data": ("digits",), "hidden": 3, "size": 8, "large": 8, "unrolls": 4, "lifetimes": 1,
        "steps": 1, "large_steps": 1, "runs": 2, "rates": 2, "seeds": 2, "examples": 6,
    }  # fmt: skip
    paper: ClassVar = {
        "hidden": 32, "size": 28, "lifetimes": 64, "steps": 10_000, "large_steps": 10_000,
        "rates": 13,
    }  # fmt: skip

    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    """The first is also what is meta-trained on, by its training set; the others are never seen."""
    hidden: int = 16
    """Units of the hidden layer."""
    size: int = 10
    """Pixels to a side of what networks with a hidden layer see."""
    large: int = 28
    """The same of those without."""
    unrolls: int = 200
    lifetimes: int = 4
    """In each meta-step."""
    steps: int = 120
    large_steps: int = 30
    runs: int = 3
    """Meta-seeds: of the tasks, for all begin with what ships."""
    learning_rate: float = 1e-3
    rates: int = 9
    seeds: int = 10
    """Lifetimes that judge each learner on each set."""
    examples: int = 1000

    def run(self, work: Path, seed: int) -> Finding:
        """Go on from the shipped rule in either setting, and try all on the test sets."""
        settings = (
            Setting((self.hidden,), self.size, self.steps),
            Setting((), self.large, self.large_steps),
        )
        found: dict[tuple[Setting, str], dict[str, Cumulative]] = {}
        for index, setting in enumerate(settings):
            rule, learners = self._learn(work / f"{index}", setting, seed)
            for data in self.data:
                family = hx.tasks.images(data, size=setting.size)
                found[setting, data] = {
                    name: np.stack([
                        self._live(rule, theta, family, setting, seed) for theta in thetas
                    ])
                    for name, thetas in learners.items()
                } | self._backprop(family, setting, seed)  # fmt: skip
        last = self.unrolls - 1
        runs = {
            key: {name: line[..., last].mean(axis=1) for name, line in each.items()}
            for key, each in found.items()
        }
        numbers = {
            "examples": self.unrolls,
            "cumulative_accuracy_of_runs": {
                f"{data}, {setting}": {name: values.tolist() for name, values in each.items()}
                for (setting, data), each in runs.items()
            },
            "added_to_what_ships": {
                f"{data}, {setting}": Difference(each[LEARNT] - each[START]).numbers
                for (setting, data), each in runs.items()
            },
        }
        rows = [
            {"hidden": " ".join(map(str, setting.hidden)), "size": setting.size, "images": data,
             "learner": name, "run": run, "lifetime": life, "examples": point,
             "cumulative_accuracy": float(lives[life, point - 1])}
            for (setting, data), each in found.items()
            for name, line in each.items()
            for run, lives in enumerate(line)
            for life in range(len(lives))
            for point in self._points
        ]  # fmt: skip
        holds = all(each[LEARNT].mean() > _best(each) for each in runs.values())
        shows = (
            f"Share of the first {self.unrolls} examples that was correct, mean of {self.runs} "
            f"meta-seeds: "
            + "; ".join(
                f"{TITLES.get(data, data)}, {setting}, {each[LEARNT].mean():.3f} (as it ships "
                f"{each[START].mean():.3f}, best of backpropagation {_best(each):.3f})"
                for (setting, data), each in runs.items()
            )
            + "."
        )
        return Finding(rows, numbers, holds, shows, self._draw(found))

    @property
    def _points(self) -> list[int]:
        return sorted({self.unrolls, *(p for p in (*POINTS, self.examples) if p <= self.examples)})

    def _learn(
        self, work: Path, setting: Setting, seed: int
    ) -> tuple[hx.AbstractRule, dict[str, list[PyTree]]]:
        """Return the rule, and θ as it ships and of each run."""
        rule, theta = hx.zoo.load("vsml/online")
        family = hx.tasks.images(self.data[0], size=setting.size)
        objective = hx.objectives.OnlineCrossEntropy(steps=self.unrolls, batch=1, query=1, skip=0)
        learnt = [
            learn(
                work / f"{s}", rule, family, objective, steps=setting.steps, seed=s, every=20,
                learning_rate=self.learning_rate, tasks=self.lifetimes, validation=8, theta=theta,
                hidden=setting.hidden, log_every=min(setting.steps, 5),
            ).theta
            for s in range(seed, seed + self.runs)
        ]  # fmt: skip
        return rule, {START: [theta], LEARNT: learnt}

    def _lives(self, setting: Setting, seed: int) -> dict[str, Any]:
        key = jax.random.key(seed + 1)
        return {"hidden": setting.hidden, "steps": self.examples, "seeds": self.seeds, "key": key}

    def _live(
        self,
        rule: hx.AbstractRule,
        theta: PyTree,
        family: hx.tasks.AbstractFamily,
        setting: Setting,
        seed: int,
    ) -> Float[np.ndarray, "seeds steps"]:
        found = hx.evaluate_online(rule, theta, family, **self._lives(setting, seed))
        return np.asarray(found.cumulative)

    def _backprop(
        self, family: hx.tasks.AbstractFamily, setting: Setting, seed: int
    ) -> dict[str, Cumulative]:
        found = {}
        for optimizer, title in OPTIMIZERS.items():
            rates = learning_rates(optimizer, self.rates)
            lives = self._lives(setting, seed)
            line, _ = hx.best_online_backprop(optimizer, family, rates=rates, **lives)
            found[title] = np.asarray(line)[None]
        return found

    def _draw(self, found: dict[tuple[Setting, str], dict[str, Cumulative]]) -> Figure:
        columns = len(self.data)
        figure, grid = sheet(4.6 * max(columns, 2), 7.6, 2, columns, sharey=True)
        examples = np.arange(1, self.examples + 1)
        shown = examples >= min(10, self.unrolls)
        for axes, ((setting, data), each) in zip(grid.ravel(), found.items(), strict=True):
            for (name, line), colour in zip(each.items(), LEARNER_COLOURS, strict=False):
                lives = line.reshape(-1, line.shape[-1])
                band(axes, examples[shown], lives[:, shown], name, colour)
            logarithmic(axes, [p for p in POINTS if p <= self.examples])
            mark(axes, self.unrolls)
            label(
                axes, "examples seen", "cumulative accuracy",
                f"{TITLES.get(data, data)}, {setting}",
            )  # fmt: skip
        legend_below(
            figure, grid.ravel(), title=f"SGD and Adam in the same network: best of {self.rates} "
            f"rates",
        )  # fmt: skip
        return headline(
            figure,
            f"VSML that goes on being meta-trained on {TITLES.get(self.data[0], self.data[0])}: "
            f"two layers of sub-RNNs, or full size\nmean and standard deviation of {self.seeds} "
            f"lifetimes ({self.runs} meta-seeds); dashed: length of meta-training",
        )


def _best(runs: dict[str, np.ndarray]) -> float:
    """Return the accuracy of the best of backpropagation."""
    return max(float(runs[title].mean()) for title in OPTIMIZERS.values())
