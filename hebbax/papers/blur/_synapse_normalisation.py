"""Supplement, figure 6: what keeps networks learning, far beyond the lifetimes of meta-training."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.figure import Figure

from hebbax.papers._experiment import Finding
from hebbax.papers._figures import band, headline, label, legend_below, mark, sheet
from hebbax.papers._statistics import standard_error
from hebbax.papers.blur._genomes import PAPER, images_of, title
from hebbax.papers.blur._long import OJA, Life, LongLived, long_lived_blur, spaced
from hebbax.plots import INK

FALL = 0.1
VARIANTS: dict[str, tuple[str | None, str | None]] = {
    "neither": (None, None),
    "Oja": (None, OJA),
    "synapse normalisation": ("activations", None),
    "synapse normalisation and Oja": ("activations", OJA),
}
"""Synapse normalisation and Oja's term of each rule."""
NORMALISED, BOTH = "synapse normalisation", "synapse normalisation and Oja"
COLOURS = dict(zip(VARIANTS, ("#999999", "#E69F00", "#D55E00", "#0072B2"), strict=True))


class SynapseNormalisation(LongLived):
    """Four rules meta-trained alike, each followed through lives that end with shuffled labels."""

    name: ClassVar = "blur/synapse-normalisation"
    source: ClassVar = "BLUR supplement, fig. 6, sec. 3.6 (fig. 16, app. C.6)"
    claim: ClassVar = (
        "With synapse normalisation networks go on improving far past the trained length; with "
        "Oja's term too they go on learning: accuracy falls once labels are shuffled."
    )
    criterion: ClassVar = (
        f"mean test accuracy of the networks: with synapse normalisation it is higher at some "
        f"number of updates between the trained one and the shuffling of labels than at the "
        f"trained one; with Oja's term too it is higher just before the shuffling than at the "
        f"trained one, and lower by at least {FALL:g} at the end of life than just before the "
        f"shuffling"
    )
    smoke: ClassVar = {
        **LongLived.smoke, "variants": (NORMALISED, BOTH), "steps": 1, "shuffle_after": 10,
        "updates": 20,
    }  # fmt: skip
    paper: ClassVar = {**PAPER, "states": 4, "hidden": (64, 64), "runs": 10}

    variants: tuple[str, ...] = tuple(VARIANTS)
    unrolls: int = 20
    steps: int = 400
    shuffle_after: int = 500
    updates: int = 1000

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train each variant, and let networks live long."""
        family = images_of(self.data)
        later = np.linspace(self.shuffle_after, self.updates, 20).round().astype(int).tolist()
        points = spaced(self.shuffle_after, (self.unrolls, *later), 40)
        lives: dict[str, Life] = {}
        numbers: dict[str, Any] = {
            "trained_updates": self.unrolls,
            "shuffled_after": self.shuffle_after,
            "updates": self.updates,
        }
        lines = []
        for name in self.variants:
            synapses, oja = VARIANTS[name]
            rule = long_lived_blur(self.states, oja=oja, synapse_normalization=synapses)
            place = work / name.replace(" ", "-")
            life, kept = self.follow(place, rule, family, points, seed, self.shuffle_after)
            lives[name] = life
            numbers[name] = self._numbers(life) | {"synapses_keep": kept}
            lines += life.rows(name, ("accuracy", "amplitude"))
        plain, both = numbers[NORMALISED], numbers[BOTH]
        holds = (
            plain["highest_between"] > plain["at_trained"]
            and both["highest_between"] > both["at_trained"]
            and both["before_shuffling"] > both["at_trained"]
            and both["before_shuffling"] - both["at_end"] >= FALL
        )
        told = "; ".join(
            f"{name}: {n['at_trained']:.1%}, {n['highest_between']:.1%}, "
            f"{n['before_shuffling']:.1%}, {n['at_end']:.1%}"
            for name, n in numbers.items()
            if isinstance(n, dict)
        )
        shows = (
            f"Accuracy after the trained {self.unrolls} updates, at its highest between there and "
            f"update {self.shuffle_after}, just before labels are shuffled then, and after "
            f"{self.updates}: {told}."
        )
        return Finding(lines, numbers, holds, shows, self._draw(lives, title(self.data, family)))

    def _numbers(self, life: Life) -> dict[str, Any]:
        mean = life.accuracy.mean(axis=0)
        between = (life.steps > self.unrolls) & (life.steps <= self.shuffle_after)
        at = {int(step): i for i, step in enumerate(life.steps)}
        top = int(np.flatnonzero(between)[mean[between].argmax()])
        overflow = life.before_overflow()
        return {
            "at_trained": float(mean[at[self.unrolls]]),
            "highest_between": float(mean[top]),
            "highest_at_update": int(life.steps[top]),
            "before_shuffling": float(mean[at[self.shuffle_after]]),
            "at_end": float(mean[-1]),
            "standard_error_at_trained": float(standard_error(life.accuracy[:, at[self.unrolls]])),
            "last_update_without_overflow": overflow["last_update_without_overflow"],
            "amplitude_then": overflow["amplitude_then"],
        }

    def _draw(self, lives: dict[str, Life], images: str) -> Figure:
        figure, [[left, right]] = sheet(10, 4.4, columns=2)
        for name, life in lives.items():
            band(left, life.steps, life.accuracy, name, COLOURS[name])
            finite = np.where(np.isfinite(life.amplitude), life.amplitude, np.nan)
            right.plot(life.steps, finite.mean(axis=0), color=COLOURS[name], linewidth=1.8)
        for axes in (left, right):
            mark(axes, self.unrolls)
            axes.axvline(self.shuffle_after, color=INK, linestyle=":", linewidth=1.2, zorder=0)
        label(left, "updates", "test accuracy")
        label(right, "updates", "mean absolute value of stored synapses")
        right.set_yscale("log")
        legend_below(figure, [left])
        return headline(
            figure,
            f"{images}, mean of {self.networks} networks (left: and standard deviation; "
            f"right: up to the first overflow)\ndashed: lifetimes of meta-training; dotted: labels "
            f"are shuffled from here on",
        )
