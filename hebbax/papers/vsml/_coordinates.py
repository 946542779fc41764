"""Appendix D and section 3.1: sub-RNNs that know their place, or serve several inputs at once."""

from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers import _differences
from hebbax.papers._differences import ERRORS, Difference, draw_differences, verdict
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import TITLES, headline, label, sheet
from hebbax.papers._training import learn, one_run

PLAIN = "plain"
VARIANTS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "place of input and output": {"coordinates": ("input", "output")},
    "place in time": {"coordinates": ("time",)},
    "inputs in bundles of 4": {"bundles": (4, 1)},
}
COORDINATES = ("place of input and output", "place in time")
"""What appendix D names; without hidden layers there is no place in their stack."""


class Coordinates(Experiment):
    """VSML from scratch on MNIST, with one option more or less, from the same tasks.

    What is learnt after less meta-training than `vsml/online` has.
    """

    name: ClassVar = "vsml/coordinates"
    source: ClassVar = "VSML app. D, sec. 3.1"
    claim: ClassVar = (
        "Sub-RNNs that are fed their coordinates, or their position in time, might specialise; no "
        "benefit of it was observed."
    )
    criterion: ClassVar = (
        f"neither coordinates in the grid nor time give on every set of images a cumulative "
        f"accuracy over a lifetime that is higher than without them by more than {ERRORS:g} "
        f"standard errors of the mean difference over runs (meta-seeds)"
    )
    smoke: ClassVar = {
        "data": ("digits",), "size": 8, "unrolls": 4, "lifetimes": 1, "steps": 1, "runs": 2,
        "seeds": 2,
    }  # fmt: skip
    paper: ClassVar = {"size": 28, "unrolls": 200, "lifetimes": 64, "steps": 10_000, "runs": 4}

    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    """The first is also what is meta-trained on, by its training set; the others are never seen."""
    size: int = 10
    unrolls: int = 100
    """Examples in a lifetime."""
    lifetimes: int = 4
    """In each meta-step."""
    steps: int = 400
    runs: int = 3
    learning_rate: float = 5e-3
    seeds: int = 10
    """Lifetimes that judge each run on each set."""

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with each option, and let all runs live on the test sets."""
        families = {name: hx.tasks.images(name, size=self.size) for name in self.data}
        objective = hx.objectives.OnlineCrossEntropy(steps=self.unrolls, batch=1, query=1, skip=0)
        accuracy: dict[str, dict[str, Float[np.ndarray, "runs lives"]]] = {}
        for name, options in VARIANTS.items():
            rule = hx.Vsml(**options)
            found = learn(
                work / name.replace(" ", "-"), rule, families[self.data[0]], objective,
                steps=self.steps, seed=seed, every=100, learning_rate=self.learning_rate,
                tasks=self.lifetimes, runs=self.runs, validation=8, hidden=(),
                log_every=min(self.steps, 20),
            )  # fmt: skip
            thetas = [one_run(found.thetas, run) for run in range(self.runs)]
            accuracy[name] = {
                data: np.stack([self._live(rule, theta, family, seed) for theta in thetas])
                for data, family in families.items()
            }
        added = {
            name: {
                data: Difference((values - accuracy[PLAIN][data]).mean(axis=1))
                for data, values in of_sets.items()
            }
            for name, of_sets in accuracy.items()
            if name != PLAIN
        }
        verdicts = {name: verdict(each.values()) for name, each in added.items()}
        numbers = {
            "examples": self.unrolls,
            "accuracy_of_runs": {
                name: {data: values.mean(axis=1).tolist() for data, values in of_sets.items()}
                for name, of_sets in accuracy.items()
            },
            "added": _differences.numbers(added),
            "verdicts": verdicts,
        }
        rows = [
            {"option": name, "images": data, "run": run, "lifetime": life,
             "cumulative_accuracy": float(value)}
            for name, of_sets in accuracy.items()
            for data, values in of_sets.items()
            for run, lives in enumerate(values)
            for life, value in enumerate(lives)
        ]  # fmt: skip
        holds = all(verdicts[name] != "helps" for name in COORDINATES)
        shows = self._shows(accuracy[PLAIN], added, verdicts)
        return Finding(rows, numbers, holds, shows, self._draw(accuracy[PLAIN], added, verdicts))

    def _live(
        self, rule: hx.Vsml, theta: Any, family: hx.tasks.AbstractFamily, seed: int
    ) -> Float[np.ndarray, " lives"]:
        """Return the share that was right of the examples of each lifetime."""
        key = jax.random.key(seed + 1)
        lives = hx.evaluate_online(
            rule, theta, family, hidden=(), steps=self.unrolls, seeds=self.seeds, key=key
        )
        return np.asarray(lives.cumulative)[:, -1]

    def _shows(
        self,
        plain: dict[str, np.ndarray],
        added: dict[str, dict[str, Difference]],
        verdicts: dict[str, str],
    ) -> str:
        begin = " and ".join(
            f"{values.mean():.3f} on {TITLES.get(data, data)}" for data, values in plain.items()
        )
        return (
            f"Of its first {self.unrolls} examples the plain rule has {begin} right, mean of "
            f"{self.runs} runs. Added to that, with standard errors: "
            f"{_differences.told(added, verdicts)}."
        )

    def _draw(
        self,
        plain: dict[str, np.ndarray],
        added: dict[str, dict[str, Difference]],
        verdicts: dict[str, str],
    ) -> Figure:
        columns = len(self.data)
        figure, [panels] = sheet(4 + 3.6 * columns, 1.6 + 0.55 * len(added), columns=columns,
                                 sharey=True)  # fmt: skip
        for axes, data in zip(panels, self.data, strict=True):
            draw_differences(axes, {name: each[data] for name, each in added.items()}, verdicts)
            runs = plain[data].mean(axis=1)
            label(
                axes, "cumulative accuracy added",
                title=f"{TITLES.get(data, data)}; plain: {runs.mean():.3f} "
                f"({runs.min():.3f} to {runs.max():.3f})",
            )  # fmt: skip
        panels[0].set_yticks(range(len(added)), list(added))
        panels[0].invert_yaxis()
        return headline(
            figure,
            f"What VSML gains from coordinates and bundles; {self.unrolls} examples, {self.runs} "
            f"runs\n(a dot each; bars: {ERRORS:g} standard errors of the mean; blue: helps on all "
            f"images, red: harms, grey: neither)",
        )
