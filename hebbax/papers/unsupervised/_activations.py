"""Figure 8: activation functions that meta-training has not seen."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

from matplotlib import colormaps
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import band, headline, sheet, sizes
from hebbax.papers._statistics import rounded, rows
from hebbax.papers.unsupervised._curves import (
    ERRORS,
    PAPER,
    SMOKE,
    Accuracies,
    accuracies,
    draw_gains,
    dress,
    gain,
    improved,
    shipped,
)
from hebbax.papers.unsupervised._few_shot import few_shot


class Activations(Experiment):
    """The shipped rule on networks of other neurons than the ones it was meta-trained on."""

    name: ClassVar = "unsupervised/activations"
    source: ClassVar = "Metz et al. fig. 8, sec. 5.4"
    claim: ClassVar = (
        "The rule improves on random initialisation with every activation function, also those "
        "that meta-training did not have, the step function too, which has no gradient."
    )
    criterion: ClassVar = (
        f"for every activation function the mean over runs of the gain in few-shot test accuracy "
        f"over the fresh network exceeds {ERRORS} of its standard errors"
    )
    smoke: ClassVar = {**SMOKE, "activations": ("relu", "step"), "hidden": ()}
    paper: ClassVar = {**PAPER, "points": (0, 10, 30, 100, 300, 1000, 3000)}

    rule: str = "unsupervised/small"
    data: str = "mnist"
    size: int = 14
    activations: tuple[str, ...] = (
        *("relu", "leaky_relu", "swish", "gelu", "softplus", "tanh", "sigmoid"),
        *("softsign", "sin", "step"),
    )
    hidden: tuple[int, ...] = (128,)
    points: tuple[int, ...] = (0, 3, 10, 30, 100, 200)
    batch: int = 32
    runs: int = 6
    tested: int = 2000

    def run(self, work: Path, seed: int) -> Finding:
        """Train networks of every kind of neurons."""
        rule, theta = shipped(self.rule)
        found = {
            activation: accuracies(
                dataclasses.replace(rule, activation=activation),
                theta,
                lambda own: few_shot(self.data, self.size, own, tested=self.tested),
                self.hidden,
                self.points,
                batch=self.batch,
                runs=self.runs,
                seed=seed,
            )
            for activation in self.activations
        }
        gains = {activation: gain(curves) for activation, curves in found.items()}
        options = hx.zoo.card(self.rule)["options"]
        known = set(options["activations"])
        holds = all(map(improved, gains.values()))
        least = min(gains, key=lambda activation: gains[activation]["gain"])
        most = max(gains, key=lambda activation: gains[activation]["gain"])
        shows = (
            f"After {self.points[-1]:,} updates accuracy has grown for "
            f"{sum(map(improved, gains.values()))} of "
            f"{len(gains)} activation functions, by {gains[least]['gain']:.1%} ({least}) to "
            f"{gains[most]['gain']:.1%} ({most})."
        )
        shows += (
            f" In meta-training it had {' and '.join(sorted(known))} alone, their arguments times "
            f"{' or '.join(f'{slope:g}' for slope in options['slopes'])}."
        )
        if "step" in gains:
            step = gains["step"]
            shows += f" The step function goes from {step['before']:.1%} to {step['after']:.1%}."
        table = [
            line
            for name, curves in found.items()
            for line in rows(curves, self.points, each="run", form=rounded, activation=name)
        ]
        return Finding(table, {"gains": gains}, holds, shows, self._draw(found, gains, known))

    def _draw(
        self, found: dict[str, Accuracies], gains: dict[str, dict[str, float]], known: set[str]
    ) -> Figure:
        figure, [[left, right]] = sheet(11, 4.6, columns=2)
        colours = colormaps["turbo"]([0.05 + 0.9 * i / len(found) for i in range(len(found))])
        for colour, (activation, curves) in zip(colours, found.items(), strict=True):
            special: dict[str, Any] = {"linestyle": "--"} if activation in known else {}
            band(left, self.points, curves, activation, colour, errors=True, **special)
        dress(left, self.points, self.batch)
        left.legend(frameon=False, fontsize=8, ncols=2, loc="best")
        order = sorted(gains, key=lambda activation: -gains[activation]["gain"])
        draw_gains(right, {a: gains[a] for a in order}, f"after {self.points[-1]:,} updates")
        right.legend(frameon=False, fontsize=8, loc="best")
        return headline(
            figure,
            f"Activation functions never seen in meta-training (dashed: those that were); "
            f"{self.data} at {self.size} by {self.size}, networks "
            f"{sizes(self.size**2, *self.hidden, 32)}\n"
            f"mean and standard error of {self.runs} networks, ten labelled examples a class",
        )
