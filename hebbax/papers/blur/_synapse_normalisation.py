"""Supplement, figure 6: what keeps networks learning, far beyond the lifetimes of meta-training."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from matplotlib.figure import Figure

from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers.blur._families import images_of, title
from hebbax.papers.blur._images import blur, learn
from hebbax.papers.blur._long import LONG_RULE, OJA, Life, live, shown, spaced
from hebbax.plots import GRID, INK, tidy

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


@dataclasses.dataclass(frozen=True)
class SynapseNormalisation(Experiment):
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
        "data": "digits",
        "variants": (NORMALISED, BOTH),
        "hidden": (),
        "unrolls": 2,
        "steps": 1,
        "runs": 1,
        "batch": 16,
        "query": 16,
        "networks": 2,
        "shuffle_after": 10,
        "updates": 20,
    }
    paper: ClassVar = {
        "states": 4,
        "hidden": (64, 64),
        "steps": 10_000,
        "runs": 10,
        "learning_rate": 5e-4,
        "clip": 10.0,
    }

    data: str = "mnist"
    variants: tuple[str, ...] = tuple(VARIANTS)
    states: int = 2
    hidden: tuple[int, ...] = (32,)
    unrolls: int = 20
    steps: int = 400
    runs: int = 2
    batch: int = 128
    query: int = 512
    learning_rate: float = 1e-2
    clip: float = 1.0
    networks: int = 4
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
            rule = blur(self.states, oja=oja, synapse_normalization=synapses, **LONG_RULE)
            theta = learn(
                work / name.replace(" ", "-"),
                rule,
                [family],
                unrolls=self.unrolls,
                steps=self.steps,
                seed=seed,
                hidden=self.hidden,
                runs=self.runs,
                batch=self.batch,
                query=self.query,
                learning_rate=self.learning_rate,
                clip=self.clip,
            ).theta
            life = live(
                rule,
                theta,
                family,
                hidden=self.hidden,
                points=points,
                batch=self.batch,
                seeds=self.networks,
                key=jax.random.key(seed + 1),
                shuffle_after=self.shuffle_after,
            )
            lives[name] = life
            numbers[name] = self._numbers(life) | {"synapses_keep": float(theta.f_tilde)}
            lines += [
                {"rule": name, "network": network, "updates": int(step),
                 "accuracy": f"{life.accuracy[network, i]:.4f}",
                 "amplitude": shown(life.amplitude[network, i])}
                for network in range(self.networks) for i, step in enumerate(life.steps)
            ]  # fmt: skip
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
        whole = np.flatnonzero(np.isfinite(life.amplitude).all(axis=0))
        finite = int(whole[-1]) if len(whole) else None
        return {
            "at_trained": float(mean[at[self.unrolls]]),
            "highest_between": float(mean[top]),
            "highest_at_update": int(life.steps[top]),
            "before_shuffling": float(mean[at[self.shuffle_after]]),
            "at_end": float(mean[-1]),
            "standard_error_at_trained": float(
                life.accuracy[:, at[self.unrolls]].std(ddof=1) / np.sqrt(self.networks)
            ),
            "last_update_without_overflow": None if finite is None else int(life.steps[finite]),
            "amplitude_then": None if finite is None else float(life.amplitude[:, finite].mean()),
        }

    def _draw(self, lives: dict[str, Life], images: str) -> Figure:
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        grid = figure.subplots(1, 2)
        for name, life in lives.items():
            mean, deviation = life.accuracy.mean(axis=0), life.accuracy.std(axis=0)
            grid[0].fill_between(
                life.steps, mean - deviation, mean + deviation, color=COLOURS[name], alpha=0.18
            )
            grid[0].plot(life.steps, mean, color=COLOURS[name], linewidth=1.8, label=name)
            finite = np.where(np.isfinite(life.amplitude), life.amplitude, np.nan)
            grid[1].plot(life.steps, finite.mean(axis=0), color=COLOURS[name], linewidth=1.8)
        for axes in grid:
            tidy(axes)
            axes.axvline(self.unrolls, color=GRID, linestyle="--", linewidth=1.2, zorder=0)
            axes.axvline(self.shuffle_after, color=INK, linestyle=":", linewidth=1.2, zorder=0)
            axes.set_xlabel("updates", color=INK)
        grid[0].set_ylabel("test accuracy", color=INK)
        grid[1].set_yscale("log")
        grid[1].set_ylabel("mean absolute value of stored synapses", color=INK)
        figure.legend(loc="outside lower center", ncols=len(lives), frameon=False)
        figure.suptitle(
            f"{images}, mean of {self.networks} networks (left: and standard deviation; "
            f"right: up to the first overflow)\ndashed: lifetimes of meta-training; dotted: labels "
            f"are shuffled from here on",
            fontsize=11,
            color=INK,
        )
        return figure
