"""Figure 6: a genome against gradient descent with many learning rates."""

from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import band, headline, label, sheet
from hebbax.papers._statistics import rows, standard_error
from hebbax.papers._training import learning_rates
from hebbax.papers.blur._generalist import GENOME, OPTIMIZERS, Generalist, mark_trained
from hebbax.papers.blur._genomes import title
from hebbax.rules import Backprop, LearningRate

PIXELS = {"mnist": 28, "digits": None}


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
    smoke: ClassVar = Generalist.smoke
    paper: ClassVar = Generalist.paper

    rates: int = 13

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with growing lifetimes; then train with it and with every learning rate."""
        theta = self.meta_train(work, seed).theta
        family = hx.tasks.images(self.data, size=PIXELS[self.data])
        settings = self.trial(seed)
        genome = hx.evaluate(self.rule, theta, family, **settings)
        lines = rows(genome.accuracy, genome.steps, each="seed", learner=GENOME)
        found: dict[str, dict[float, hx.Curves]] = {}
        for optimizer in self.optimizers:
            found[optimizer] = {
                rate: hx.evaluate(
                    Backprop(optimizer), LearningRate(jnp.asarray(rate, float)), family, **settings
                )
                for rate in learning_rates(optimizer, self.rates)
            }
            for rate, curve in found[optimizer].items():
                labels: dict[str, Any] = {"learner": optimizer, "learning_rate": f"{rate:.4g}"}
                lines += rows(curve.accuracy, curve.steps, each="seed", **labels)
        ours = genome.accuracy.mean(axis=0)
        numbers = {
            "updates": list(self.points),
            "genome": ours.tolist(),
            "standard_error_of_genome": standard_error(genome.accuracy).tolist(),
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
            f"{self.unrolls}, by {lead.min():+.1%} at least and {lead.max():+.1%} at most"
            for o, lead in leads.items()
        )
        numbers["smallest_lead"] = {o: float(lead.min()) for o, lead in leads.items()}
        last = ours[self.points.index(self.unrolls)]
        shows = f"The genome is at {last:.1%} after {self.unrolls} updates. {told}."
        return Finding(lines, numbers, holds, shows, self._draw(family, genome, found))

    def _draw(
        self,
        family: hx.tasks.AbstractFamily,
        genome: hx.Curves,
        found: dict[str, dict[float, hx.Curves]],
    ) -> Figure:
        figure, [grid] = sheet(11, 4.2, columns=len(found), sharey=True)
        scale = LogNorm(
            min(min(curves) for curves in found.values()),
            max(max(curves) for curves in found.values()),
        )
        colours = colormaps["viridis"]
        for axes, (optimizer, curves) in zip(grid, found.items(), strict=True):
            for rate, curve in curves.items():
                line = curve.accuracy.mean(axis=0)
                axes.plot(curve.steps, line, color=colours(scale(rate)), linewidth=1.2)
            band(axes, genome.steps, genome.accuracy, GENOME, "#D55E00", linewidth=2.4)
            mark_trained(axes, self.unrolls)
            label(axes, title=OPTIMIZERS[optimizer])
        label(grid[0], y="test accuracy")
        grid[0].legend(frameon=False, loc="upper left")
        figure.colorbar(
            ScalarMappable(scale, colours), ax=grid, label="learning rate of backpropagation"
        )
        return headline(
            figure,
            f"{title(self.data, family)}: a genome of {self.states} states against {self.rates} "
            f"learning rates each\nmean of {self.networks} networks, for the genome with standard "
            f"deviation; dashed: longest lifetime of meta-training",
        )
