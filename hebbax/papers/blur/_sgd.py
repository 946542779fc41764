"""Figure 6: a genome against gradient descent with many learning rates."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Finding
from hebbax.papers.blur._families import title
from hebbax.papers.blur._generalist import GENOME, OPTIMIZERS, Generalist, mark_trained, spread
from hebbax.papers.blur._images import rows
from hebbax.plots import INK
from hebbax.rules import Backprop, LearningRate

PIXELS = {"mnist": 28, "digits": None}


@dataclasses.dataclass(frozen=True)
class Sgd(Generalist):
    """The genome of `blur/generalisation` on MNIST at 28 by 28, and every learning rate."""

    name: ClassVar = "blur/sgd"
    source: ClassVar = "BLUR fig. 6, sec. 4.3"
    claim: ClassVar = (
        "The genome is ahead of SGD with and without momentum, and of Adam, at any of the learning "
        "rates over four orders of magnitude, up to the trained unroll length."
    )
    criterion: ClassVar = (
        "at every judged number of updates up to the meta-trained one, the genome's test accuracy "
        "is above that of each optimiser with the learning rate that is best at this number "
        "(means over networks)"
    )
    smoke: ClassVar = {
        "data": "digits",
        "hidden": (4,),
        "first": 2,
        "unrolls": 2,
        "stages": 1,
        "steps": 1,
        "optimizers": ("sgd",),
        "batch": 16,
        "query": 16,
        "networks": 2,
        "rates": 2,
        "points": (1, 2, 3),
    }
    paper: ClassVar = {
        "states": 4,
        "stages": 9,
        "steps": 90_000,
        "runs": 8,
        "learning_rate": 5e-4,
        "clip": 10.0,
        "networks": 8,
        "points": (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200),
    }

    rates: int = 13

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with growing lifetimes; then train with it and with every learning rate."""
        theta = self.meta_train(work, seed).theta
        family = hx.tasks.images(self.data, size=PIXELS[self.data])
        settings = {
            "hidden": self.hidden,
            "steps": max(self.points),
            "batch": self.batch,
            "seeds": self.networks,
            "key": jax.random.key(seed + 1),
            "at": self.points,
        }
        genome = hx.evaluate(self.rule, theta, family, **settings)
        lines = rows(genome, learner=GENOME)
        found: dict[str, dict[float, hx.Curves]] = {}
        for optimizer in self.optimizers:
            found[optimizer] = {
                rate: hx.evaluate(
                    Backprop(optimizer), LearningRate(jnp.asarray(rate, float)), family, **settings
                )
                for rate in spread(optimizer, self.rates)
            }
            for rate, curve in found[optimizer].items():
                lines += rows(curve, learner=optimizer, learning_rate=f"{rate:.4g}")
        ours = genome.accuracy.mean(axis=0)
        numbers = {
            "updates": list(self.points),
            "genome": ours.tolist(),
            "standard_error_of_genome": (
                genome.accuracy.std(axis=0, ddof=1) / np.sqrt(self.networks)
            ).tolist(),
        }
        leads = {}
        for optimizer, curves in found.items():
            means = np.stack([curve.accuracy.mean(axis=0) for curve in curves.values()])
            best = means.max(axis=0)
            numbers[optimizer] = best.tolist()
            numbers[f"{optimizer}_learning_rates"] = [list(curves)[i] for i in means.argmax(axis=0)]
            leads[optimizer] = (ours - best)[self.within]
        holds = bool(all((lead > 0).all() for lead in leads.values()))
        told = "; ".join(
            f"{OPTIMIZERS[o]}: ahead at {(lead > 0).sum()} of {len(lead)} numbers of updates up to "
            f"{self.trained}, by {lead.min():+.1%} at least and {lead.max():+.1%} at most"
            for o, lead in leads.items()
        )
        numbers["smallest_lead"] = {o: float(lead.min()) for o, lead in leads.items()}
        last = ours[self.points.index(self.trained)]
        shows = f"The genome is at {last:.1%} after {self.trained} updates. {told}."
        return Finding(lines, numbers, holds, shows, self._draw(family, genome, found))

    def _draw(
        self,
        family: hx.tasks.AbstractFamily,
        genome: hx.Curves,
        found: dict[str, dict[float, hx.Curves]],
    ) -> Figure:
        figure = Figure(figsize=(11, 4.2), layout="constrained")
        grid = np.atleast_1d(figure.subplots(1, len(found), sharey=True))
        scale = LogNorm(
            min(min(curves) for curves in found.values()),
            max(max(curves) for curves in found.values()),
        )
        colours = colormaps["viridis"]
        mean, deviation = genome.accuracy.mean(axis=0), genome.accuracy.std(axis=0)
        for axes, (optimizer, curves) in zip(grid, found.items(), strict=True):
            for rate, curve in curves.items():
                line = curve.accuracy.mean(axis=0)
                axes.plot(curve.steps, line, color=colours(scale(rate)), linewidth=1.2)
            axes.fill_between(
                genome.steps, mean - deviation, mean + deviation, color="#D55E00", alpha=0.2
            )
            axes.plot(genome.steps, mean, color="#D55E00", linewidth=2.4, label=GENOME)
            axes.set_title(OPTIMIZERS[optimizer], fontsize=10, color=INK)
            mark_trained(axes, self.trained)
        grid[0].set_ylabel("test accuracy", color=INK)
        grid[0].legend(frameon=False, loc="upper left")
        figure.colorbar(
            ScalarMappable(scale, colours), ax=grid, label="learning rate of backpropagation"
        )
        figure.suptitle(
            f"{title(self.data, family)}: a genome of {self.states} states against {self.rates} "
            f"learning rates each\nmean of {self.networks} networks, for the genome with standard "
            f"deviation; dashed: longest lifetime of meta-training",
            fontsize=11,
            color=INK,
        )
        return figure
