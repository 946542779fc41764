"""Appendix B: clones of backpropagation go on with images, in networks that learn."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
import optax
from jaxtyping import Float, PyTree
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers import _differences
from hebbax.papers._differences import ERRORS, Difference, draw_differences, verdict
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import TITLES, headline, label, sheet
from hebbax.papers._training import meta_train
from hebbax.papers.vsml._clones import Clones
from hebbax.papers.vsml._exact import Exact
from hebbax.papers.vsml._lives import live
from hebbax.recipes import FINAL_RATE, VsmlBackprop

TAUGHT, LONGER, EXACT = "random data", "random data, as much longer", "backpropagation"
STAGES = {
    "images, no hidden layer": (False, True),
    "images, hidden layer, errors given": (True, True),
    "images, hidden layer, its own errors": (True, False),
}
"""Whether there is a hidden layer, and whether layers are given the errors of backpropagation."""
DEPTHS = {"shallow": False, "deep": True}
BATCH = 16
"""Rows that clones are taught with in networks."""
Accuracy = Float[np.ndarray, "clones networks"]


class CloningCurriculum(Clones):
    """Clones of random data, and what three further stages on images add to them."""

    name: ClassVar = "vsml/cloning-curriculum"
    source: ClassVar = "VSML app. B, sec. 3.2"
    claim: ClassVar = (
        "Cloned on random data alone, sub-RNNs learn in shallow networks; for deeper ones, where "
        "errors add up and inputs are distributed otherwise, a curriculum is needed: images "
        "without a hidden layer, then with one and the errors of backpropagation given to each "
        "layer, then with their own errors."
    )
    criterion: ClassVar = (
        f"clones that went through the curriculum reach, in networks with a hidden layer, a higher "
        f"test accuracy on every set of images than clones that had as many more meta-steps of "
        f"random data: by more than {ERRORS:g} standard errors of the mean difference over clones"
    )
    smoke: ClassVar = {
        **Clones.smoke, "data": ("digits",), "size": 8, "clones": 2, "networks": 2, "batch": 16,
        "updates": 6, "hidden": 4, "stage_steps": 2,
    }  # fmt: skip
    paper: ClassVar = {**Clones.paper, "size": 28, "hidden": 32, "stage_steps": 100_000}

    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    """The first is also what clones are taught on, by its training set; the others are never
    seen."""
    size: int = 14
    hidden: int = 16
    clones: int = 3
    """Meta-seeds."""
    stage_steps: int = 150
    """Meta-steps of each stage of the curriculum."""
    learning_rate: float = 1e-4
    """Adam's at the begin of each stage; it falls along a cosine."""
    lifetime: int = 50
    """Truncations of two updates that networks live for in the curriculum."""
    lives: int = 4
    """Networks side by side in it, at different points of their lifetimes."""
    networks: int = 2
    """Networks that judge each clone on each set."""
    batch: int = 64
    updates: int = 100
    shallow_gains: tuple[float, float] = (400.0, 20.0)
    deep_gains: tuple[float, float] = (200.0, 20.0)
    shallow_spread: float = 0.05
    deep_spread: float = 0.1

    def run(self, work: Path, seed: int) -> Finding:
        """Clone, go on in either way, and let all clones and backpropagation learn."""
        families = {name: hx.tasks.images(name, size=self.size) for name in self.data}
        clones = [self._taught(work, families[self.data[0]], s)
                  for s in range(seed, seed + self.clones)]  # fmt: skip
        learners = {name: [clone[name] for clone in clones] for name in clones[0]}
        learners[EXACT] = [None]
        accuracy = {
            depth: {
                data: {
                    name: np.stack([self._live(theta, family, deep, seed) for theta in thetas])
                    for name, thetas in learners.items()
                }
                for data, family in families.items()
            }
            for depth, deep in DEPTHS.items()
        }  # fmt: skip
        added = {depth: self._added(of_sets) for depth, of_sets in accuracy.items()}
        verdicts = {
            depth: {name: verdict(each.values()) for name, each in of_stages.items()}
            for depth, of_stages in added.items()
        }
        numbers = {
            "updates": self.updates,
            "accuracy_of_clones": {
                depth: {
                    data: {name: values.mean(axis=1).tolist() for name, values in each.items()}
                    for data, each in of_sets.items()
                }
                for depth, of_sets in accuracy.items()
            },
            "added": {depth: _differences.numbers(each) for depth, each in added.items()},
            "verdicts": verdicts,
        }
        rows = [
            {"depth": depth, "images": data, "taught_on": name,
             "clone": "" if name == EXACT else clone, "network": network, "accuracy": float(value)}
            for depth, of_sets in accuracy.items()
            for data, each in of_sets.items()
            for name, values in each.items()
            for clone, of_networks in enumerate(values)
            for network, value in enumerate(of_networks)
        ]  # fmt: skip
        holds = verdicts["deep"][list(STAGES)[-1]] == "helps"
        shows = self._shows(accuracy, added, verdicts)
        return Finding(rows, numbers, holds, shows, self._draw(accuracy, added, verdicts))

    def _taught(self, work: Path, family: hx.tasks.AbstractFamily, seed: int) -> dict[str, PyTree]:
        """Return the clone of a meta-seed, after more of the same and after each stage."""
        recipe = self.recipe(seed)
        theta = recipe.meta_train(work / f"clone-{seed}", progress=True).theta
        (random,) = recipe.task_families()
        steps = self.stage_steps
        found = {TAUGHT: theta}
        found[LONGER] = self._go_on(
            work / f"longer-{seed}", recipe, theta, [(random, ())], seed,
            deep=False, given=True, steps=len(STAGES) * steps,
        )  # fmt: skip
        for stage, (deep, given) in STAGES.items():
            # Random data too, without which it is forgotten what to do with them.
            networks = [(family, (self.hidden,) if deep else ()), (random, ())]
            place = work / f"{stage.replace(', ', '-').replace(' ', '-')}-{seed}"
            theta = self._go_on(
                place, recipe, theta, networks, seed, deep=deep, given=given, steps=steps
            )
            found[stage] = theta
        return found

    def _go_on(
        self,
        place: Path,
        recipe: VsmlBackprop,
        theta: PyTree,
        networks: list[tuple[hx.tasks.AbstractFamily, tuple[int, ...]]],
        seed: int,
        *,
        deep: bool,
        given: bool,
        steps: int,
    ) -> PyTree:
        rate = optax.cosine_decay_schedule(self.learning_rate, steps, alpha=FINAL_RATE)
        method = hx.methods.TruncatedGradient(
            optax.adam(rate), clip=1.0, particles=self.lives,
            truncation=hx.methods.Truncation(recipe.unrolls, count=self.lifetime),
        )  # fmt: skip
        objective = recipe.objective_in_networks(BATCH, given=given)
        families, hidden = zip(*networks, strict=True)
        return meta_train(
            place, self._rule(deep), families, objective, method, steps=steps, seed=seed,
            every=50, theta=theta, hidden=hidden, validation=8,
            log_every=min(steps, 10),
        ).theta  # fmt: skip

    def _rule(self, deep: bool) -> hx.Vsml:
        gains = self.deep_gains if deep else self.shallow_gains
        spread = self.deep_spread if deep else self.shallow_spread
        return dataclasses.replace(self.recipe(0).rule(), gains=gains, line=(spread, spread))

    def _live(
        self, theta: PyTree | None, family: hx.tasks.AbstractFamily, deep: bool, seed: int
    ) -> Float[np.ndarray, " networks"]:
        """Return test accuracies of fresh networks; of backpropagation itself without θ."""
        rule: hx.AbstractRule = self._rule(deep)
        if theta is None:
            recipe = self.recipe(seed)
            weights = recipe.objective().weights
            rule, theta = Exact(self._rule(deep), weights, recipe.rate, recipe.bias_rate), ()
        keys = jax.random.split(jax.random.key(seed + 1), self.networks)
        hidden = (self.hidden,) if deep else ()
        return np.array([
            live(rule, theta, family, hidden=hidden, steps=self.updates, batch=self.batch, key=key)
            .test
            for key in keys
        ])  # fmt: skip

    def _added(self, accuracy: dict[str, dict[str, Accuracy]]) -> dict[str, dict[str, Difference]]:
        return {
            name: {
                data: Difference((each[name] - each[LONGER]).mean(axis=1))
                for data, each in accuracy.items()
            }
            for name in (TAUGHT, *STAGES)
        }

    def _shows(self, accuracy: Any, added: Any, verdicts: Any) -> str:
        words = []
        for depth, of_sets in accuracy.items():
            begin = " and ".join(
                f"{each[LONGER].mean():.3f} on {TITLES.get(data, data)} (backpropagation "
                f"{each[EXACT].mean():.3f})"
                for data, each in of_sets.items()
            )
            words.append(
                f"{depth} {begin}; added to that, with standard errors, by less or other teaching: "
                f"{_differences.told(added[depth], verdicts[depth])}"
            )
        return (
            f"Test accuracy after {self.updates} updates of {self.batch}, mean of {self.clones} "
            f"clones of random data alone: {'. '.join(words).replace('. deep', '. Deep')}."
        )

    def _draw(self, accuracy: Any, added: Any, verdicts: Any) -> Figure:
        columns = len(self.data)
        figure, grid = sheet(4 + 3.6 * columns, 6.2, len(DEPTHS), columns, sharey=True, sharex=True)
        for row, depth in zip(grid, DEPTHS, strict=True):
            for axes, data in zip(row, self.data, strict=True):
                stages = {name: each[data] for name, each in added[depth].items()}
                draw_differences(axes, stages, verdicts[depth])
                each = accuracy[depth][data]
                axes.axvline(
                    each[EXACT].mean() - each[LONGER].mean(), color="#888888", linestyle="--",
                    linewidth=1.2,
                )  # fmt: skip
                label(
                    axes, "test accuracy added" if row is grid[-1] else None,
                    title=f"{TITLES.get(data, data)}, {depth}; random data alone: "
                    f"{each[LONGER].mean():.3f}",
                )  # fmt: skip
        grid[0, 0].set_yticks(range(len(STAGES) + 1), [f"{TAUGHT}, less long", *STAGES])
        grid[0, 0].invert_yaxis()
        return headline(
            figure,
            f"What a curriculum on {TITLES.get(self.data[0], self.data[0])} adds to clones of "
            f"backpropagation; {self.clones} clones\n(a dot each; bars: {ERRORS:g} standard errors "
            f"of the mean; dashed: backpropagation itself; blue: helps on all images, red: harms, "
            f"grey: neither)",
        )
