"""Section 3.4: synapses that saturate, in place of Oja's term."""

from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._differences import Difference
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import TITLES, band, headline, label, legend_below, mark, sheet
from hebbax.papers._training import one_run
from hebbax.papers.blur._genomes import PAPER, images_of
from hebbax.papers.blur._long import OJA, Life, LongLived, live, long_lived_blur, spaced

NEITHER, WITH_OJA, SATURATED = "neither", "Oja's term", "tanh of the synapses"
RULES: dict[str, dict[str, Any]] = {
    NEITHER: {}, WITH_OJA: {"oja": OJA}, SATURATED: {"saturation": "tanh"},
}  # fmt: skip
COLOURS = dict(zip(RULES, ("#999999", "#E69F00", "#0072B2"), strict=True))
ALIKE = 0.02


class SaturationOrOja(LongLived):
    """Three rules meta-trained alike from the same genomes, each followed through long lives."""

    name: ClassVar = "blur/saturation"
    source: ClassVar = "BLUR sec. 3.4"
    claim: ClassVar = (
        "Instead of Oja's term the synapses can be saturated by a function such as alpha "
        "tanh(w/alpha); both lead to very similar results."
    )
    criterion: ClassVar = (
        f"with either the mean absolute value of the synapses is finite in all networks to the end "
        f"of their lives; and test accuracy, mean over runs (meta-seeds) and networks, differs by "
        f"at most {ALIKE:g} after the meta-trained number of updates and at the end of life, on "
        f"each set of images"
    )
    smoke: ClassVar = {**LongLived.smoke, "runs": 2, "updates": 20, "data": "digits", "others": ()}
    paper: ClassVar = {**PAPER, "states": 4, "hidden": (64, 64)}

    others: tuple[str, ...] = ("fashion_mnist",)
    """Images that took no part in meta-training, of the same size."""
    steps: int = 400
    runs: int = 4
    updates: int = 1000

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with each, and let networks of every run live long."""
        families = {self.data: images_of(self.data)} | {
            name: hx.tasks.images(name, size=10) for name in self.others
        }
        points = spaced(self.updates, (self.unrolls,), 40)
        lives: dict[tuple[str, str], list[Life]] = {}
        for name, options in RULES.items():
            rule = long_lived_blur(self.states, **options)
            place = work / name.replace("'", "").replace(" ", "-")
            found = self.meta_train(
                place, rule, [families[self.data]], self.hidden, seed, query=self.query
            )
            for data, family in families.items():
                lives[data, name] = [
                    live(
                        rule, one_run(found.thetas, run), family, hidden=self.hidden,
                        points=points, batch=self.batch, seeds=self.networks,
                        key=jax.random.key(seed + 1),
                    )
                    for run in range(self.runs)
                ]  # fmt: skip
        at = {"trained": points.index(self.unrolls), "end": len(points) - 1}
        accuracy = {
            data: {
                name: {
                    when: np.array([life.accuracy[:, i].mean() for life in lives[data, name]])
                    for when, i in at.items()
                }
                for name in RULES
            }
            for data in families
        }
        apart = {
            data: {when: Difference(of[SATURATED][when] - of[WITH_OJA][when]) for when in at}
            for data, of in accuracy.items()
        }
        overflows = {
            name: sum(
                int((~np.isfinite(life.amplitude).all(axis=1)).sum())
                for data in families
                for life in lives[data, name]
            )
            for name in RULES
        }
        numbers = {
            "trained_updates": self.unrolls,
            "updates": self.updates,
            "networks_that_overflow": overflows,
            "networks": len(families) * self.runs * self.networks,
            "accuracy_of_runs": {
                data: {
                    name: {when: values.tolist() for when, values in each.items()}
                    for name, each in of.items()
                }
                for data, of in accuracy.items()
            },
            "saturation_minus_oja": {
                data: {when: difference.numbers for when, difference in each.items()}
                for data, each in apart.items()
            },
        }
        holds = overflows[WITH_OJA] == overflows[SATURATED] == 0 and all(
            abs(difference.mean) <= ALIKE for each in apart.values() for difference in each.values()
        )
        shows = self._shows(accuracy, apart, overflows, numbers["networks"])
        rows = [
            {"images": data, "run": run, **row}
            for (data, name), each in lives.items()
            for run, life in enumerate(each)
            for row in life.rows(name, ("accuracy", "amplitude"))
        ]
        return Finding(rows, numbers, holds, shows, self._draw(lives))

    def _shows(self, accuracy: Any, apart: Any, overflows: dict[str, int], networks: int) -> str:
        words = "; ".join(
            f"{TITLES.get(data, data)}: "
            + ", ".join(
                f"{name} {each['trained'].mean():.3f} and {each['end'].mean():.3f}"
                for name, each in of.items()
            )
            + f" (saturated less Oja {apart[data]['trained']} and {apart[data]['end']})"
            for data, of in accuracy.items()
        )
        counted = ", ".join(f"{name} {count}" for name, count in overflows.items())
        return (
            f"Test accuracy after {self.unrolls} and after {self.updates} updates, mean of "
            f"{self.runs} runs: {words}. Of {networks} networks overflow: {counted}."
        )

    def _draw(self, lives: dict[tuple[str, str], list[Life]]) -> Figure:
        sets = list(dict.fromkeys(data for data, _ in lives))
        figure, grid = sheet(4.8 * max(len(sets), 2), 7.4, 2, len(sets), sharex=True)
        for (data, name), each in lives.items():
            above, below = grid[:, sets.index(data)]
            steps = each[0].steps
            band(above, steps, np.concatenate([life.accuracy for life in each]), name,
                 COLOURS[name])  # fmt: skip
            size = np.concatenate([life.amplitude for life in each])
            size = np.where(np.isfinite(size), size, np.nan)
            # A line of its own for every network, for they overflow one after another.
            below.plot(steps, size.T, color=COLOURS[name], linewidth=0.8)
            label(above, title=TITLES.get(data, data))
            label(below, "updates")
            below.set_yscale("log")
        for axes in grid.ravel():
            axes.set_xscale("log")
            mark(axes, self.unrolls)
        label(grid[0, 0], y="test accuracy")
        label(grid[1, 0], y="mean absolute value of synapses")
        legend_below(figure, grid[0])
        return headline(
            figure,
            f"Oja's term, or synapses that saturate: {self.runs} runs of meta-training on "
            f"{TITLES.get(self.data, self.data)}, {self.networks} networks each\nabove: mean and "
            f"standard deviation; below: a line each; dashed: lifetimes of meta-training",
        )
