"""Figures 5, 7 and 8: sub-RNNs cloned from backpropagation learn by being run."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import PyTree
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import TITLES, band, headline, label, sheet
from hebbax.papers.vsml._clones import Clones
from hebbax.papers.vsml._exact import Exact
from hebbax.papers.vsml._lives import Life, live, smooth
from hebbax.plots import INK
from hebbax.recipes import VsmlBackprop

BARS = {
    ("mnist", "shallow"): 0.90,
    ("mnist", "deep"): 0.87,
    ("fashion_mnist", "shallow"): 0.80,
    ("fashion_mnist", "deep"): 0.76,
}
"""Test accuracies of the paper."""
CLONE, EXACT = "clone", "backpropagation"
COLOURS = {CLONE: "#0072B2", EXACT: "#D55E00"}
WINDOW = 20


class Cloning(Clones):
    """A grid of LSTMs, cloned on random inputs and errors alone, learns to classify images."""

    name: ClassVar = "vsml/cloning"
    source: ClassVar = "VSML sec. 3.2, figs. 5, 7 and 8, table 1, app. B"
    claim: ClassVar = (
        "Sub-RNNs that were taught backpropagation learn by unrolling only: about 90 % shallow and "
        "87 % deep on MNIST, 80 % and 76 % on Fashion-MNIST."
    )
    criterion: ClassVar = (
        "the mean accuracy of the networks on the whole test set reaches 90 % shallow and 87 % "
        "deep on MNIST, 80 % and 76 % on Fashion-MNIST"
    )
    smoke: ClassVar = {
        **Clones.smoke, "data": ("digits",), "networks": 2, "batch": 16, "shallow_updates": 10,
        "deep_updates": 10, "hidden": 4,
    }  # fmt: skip
    paper: ClassVar = {**Clones.paper, "shallow_updates": 10_000, "deep_updates": 10_000}

    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    networks: int = 6
    batch: int = 64
    hidden: int = 32
    shallow_updates: int = 700
    deep_updates: int = 200
    shallow_gains: tuple[float, float] = (400.0, 20.0)
    deep_gains: tuple[float, float] = (200.0, 20.0)
    shallow_spread: float = 0.05
    deep_spread: float = 0.1

    def run(self, work: Path, seed: int) -> Finding:
        """Clone, then run the clone and backpropagation itself from the same first weights."""
        recipe = self.recipe(seed)
        result = recipe.meta_train(work / "clone")
        quality = self._quality(recipe, result.theta, seed)
        lives: dict[tuple[str, str, str], list[Life]] = {}
        for depth in ("shallow", "deep"):
            for data in self.data:
                rules = self._rules(depth, recipe, result.theta)
                for learner, (rule, theta) in rules.items():
                    place = work / f"{data}-{depth}-{learner}"
                    lives[data, depth, learner] = self._live(place, rule, theta, data, depth, seed)
        rows = [
            {"data": data, "depth": depth, "learner": learner, "network": network,
             "updates": int(update), "online_accuracy": f"{value:.4f}", "test_accuracy":
             f"{life.test:.4f}" if update == len(life.online) else ""}
            for (data, depth, learner), group in lives.items()
            for network, life in enumerate(group)
            for update, value in zip(*self._thinned(life), strict=True)
        ]  # fmt: skip
        numbers: dict[str, Any] = {"cloning_errors": quality, "meta_steps": result.step}
        met, told = [], []
        for data in self.data:
            for depth in ("shallow", "deep"):
                tests = {n: [v.test for v in lives[data, depth, n]] for n in (CLONE, EXACT)}
                bar = BARS.get((data, depth))
                mean = float(np.mean(tests[CLONE]))
                numbers[f"{data} {depth}"] = {
                    "clone": mean,
                    "clone_std": float(np.std(tests[CLONE])),
                    "clone_least": min(tests[CLONE]),
                    "backpropagation": float(np.mean(tests[EXACT])),
                    "paper": bar,
                }
                met.append(bar is not None and mean >= bar)
                told.append(
                    f"{mean:.1%} (backpropagation itself {np.mean(tests[EXACT]):.1%}) on "
                    f"{TITLES.get(data, data)} {depth}"
                )
        shows = (
            f"Cloned on random data only, to {quality['error_w']:.1%} of Δw, the clone reaches "
            f"{'; '.join(told)}."
        )
        return Finding(rows, numbers, all(met), shows, self._draw(lives))

    def _rules(
        self, depth: str, recipe: VsmlBackprop, theta: PyTree
    ) -> dict[str, tuple[hx.AbstractRule, PyTree]]:
        shallow = depth == "shallow"
        gains = self.shallow_gains if shallow else self.deep_gains
        spread = self.shallow_spread if shallow else self.deep_spread
        clone = dataclasses.replace(recipe.rule(), gains=gains, line=(spread, spread))
        exact = Exact(clone, recipe.objective().weights, recipe.rate, recipe.bias_rate)
        return {CLONE: (clone, theta), EXACT: (exact, ())}

    def _quality(self, recipe: VsmlBackprop, theta: PyTree, seed: int) -> dict[str, float]:
        """Return the errors on fresh random data, as parts of what is to come out."""
        rule, objective = recipe.rule(), recipe.objective()
        (family,) = recipe.task_families()
        net = rule.init_network(theta, jax.random.key(seed), (family.inputs, family.outputs))
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 2), 32)

        @jax.jit
        @jax.vmap
        def errors(key: Any) -> dict[str, Any]:
            episode = family.sample(key, objective.steps, objective.batch, objective.query)
            return objective.unroll_and_judge(rule, theta, net, episode)[1][1]

        return {name: float(value.mean()) for name, value in errors(keys).items()}

    def _live(
        self, place: Path, rule: hx.AbstractRule, theta: PyTree, data: str, depth: str, seed: int
    ) -> list[Life]:
        shallow = depth == "shallow"
        return [
            live(
                rule, theta, hx.tasks.images(data), hidden=() if shallow else (self.hidden,),
                steps=self.shallow_updates if shallow else self.deep_updates, batch=self.batch,
                key=jax.random.fold_in(jax.random.key(seed + 1), network),
                file=place.with_name(f"{place.name}-{network}.json"),
            )
            for network in range(self.networks)
        ]  # fmt: skip

    def _thinned(self, life: Life) -> tuple[np.ndarray, np.ndarray]:
        every = max(1, len(life.online) // 50)
        at = np.arange(every - 1, len(life.online), every)
        if at[-1] < len(life.online) - 1:
            at = np.append(at, len(life.online) - 1)
        return at + 1, smooth(life.online[None], WINDOW)[0, at]

    def _draw(self, lives: dict[tuple[str, str, str], list[Life]]) -> Figure:
        figure, grid = sheet(4.6 * len(self.data), 7.0, 2, len(self.data))
        for row, depth in zip(grid, ("shallow", "deep"), strict=True):
            for axes, data in zip(row, self.data, strict=True):
                for learner, colour in COLOURS.items():
                    group = lives[data, depth, learner]
                    lines = smooth(np.stack([life.online for life in group]), WINDOW)
                    test = float(np.mean([life.test for life in group]))
                    updates = np.arange(1, lines.shape[1] + 1)
                    band(axes, updates, lines, f"{learner}, test {test:.1%}", colour)
                bar = BARS.get((data, depth))
                if bar is not None:
                    words = f"paper, test {bar:.0%}"
                    axes.axhline(bar, color=INK, linestyle="--", linewidth=1, label=words)
                axes.set_ylim(0, 1)
                label(
                    axes,
                    f"updates, {self.batch} images each",
                    "accuracy before each update",
                    f"{TITLES.get(data, data)}, {depth}",
                )
                axes.legend(frameon=False, loc="lower right", fontsize=9)
        return headline(
            figure,
            f"Mean of {self.networks} networks and a standard deviation to either side, means over "
            f"{WINDOW} updates",
        )
