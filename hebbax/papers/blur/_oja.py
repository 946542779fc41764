"""Supplement, figure 5: what Oja's term does to the size of synapses."""

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

GROWTH = 2.0
COLOURS = {"without Oja's term": "#D55E00", "with Oja's term": "#0072B2"}


@dataclasses.dataclass(frozen=True)
class Oja(Experiment):
    """Synapses of networks that live on far beyond the lifetimes of meta-training."""

    name: ClassVar = "blur/oja"
    source: ClassVar = "BLUR supplement, fig. 5, sec. 3.5 (fig. 15, app. C.5)"
    claim: ClassVar = (
        "Without Oja's term synapses grow until they overflow; with it they stay bounded."
    )
    criterion: ClassVar = (
        f"without Oja's term the mean absolute value of the synapses is no finite number any more "
        f"at the end of all networks' lives; with it, it is finite at every point of every life, "
        f"and at the end at most {GROWTH:g} times what it was after half the updates"
    )
    smoke: ClassVar = {
        "data": "digits",
        "hidden": (),
        "unrolls": 2,
        "steps": 2,
        "runs": 1,
        "batch": 16,
        "query": 16,
        "networks": 2,
        "updates": 20,
    }
    paper: ClassVar = {
        "states": 4,
        "hidden": (64, 64),
        "unrolls": 20,
        "steps": 10_000,
        "runs": 8,
        "learning_rate": 5e-4,
        "clip": 10.0,
    }

    data: str = "mnist"
    states: int = 2
    hidden: tuple[int, ...] = (32,)
    unrolls: int = 10
    steps: int = 600
    runs: int = 2
    batch: int = 128
    query: int = 512
    learning_rate: float = 1e-2
    clip: float = 1.0
    networks: int = 4
    updates: int = 4000

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with and without Oja's term, and let networks live long."""
        family = images_of(self.data)
        lives: dict[str, Life] = {}
        numbers: dict[str, Any] = {"updates": self.updates, "trained_updates": self.unrolls}
        lines = []
        for name, oja in zip(COLOURS, (None, OJA), strict=True):
            rule = blur(self.states, oja=oja, **LONG_RULE)
            theta = learn(
                work / ("plain" if oja is None else "oja"),
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
                points=spaced(self.updates, (self.unrolls, self.updates // 2)),
                batch=self.batch,
                seeds=self.networks,
                key=jax.random.key(seed + 1),
            )
            lives[name] = life
            numbers[name] = self._numbers(life) | {"synapses_keep": float(theta.f_tilde)}
            lines += [
                {"rule": name, "network": network, "updates": int(step),
                 "amplitude": shown(life.amplitude[network, i]),
                 "accuracy": f"{life.accuracy[network, i]:.4f}"}
                for network in range(self.networks) for i, step in enumerate(life.steps)
            ]  # fmt: skip
        plain, bounded = (numbers[name] for name in COLOURS)
        holds = (
            plain["overflowed_networks"] == self.networks
            and bounded["overflowed_networks"] == 0
            and bounded["growth_over_last_half"] <= GROWTH
        )
        shows = f"{self._told('Without', plain)} {self._told('With', bounded)}"
        return Finding(lines, numbers, holds, shows, self._draw(lives, title(self.data, family)))

    def _numbers(self, life: Life) -> dict[str, Any]:
        finite = np.isfinite(life.amplitude)
        whole = finite.all(axis=0)
        half, trained = (life.steps.tolist().index(n) for n in (self.updates // 2, self.unrolls))
        last = int(np.flatnonzero(whole)[-1]) if whole.any() else None
        growth = life.amplitude[:, -1] / life.amplitude[:, half]
        return {
            "overflowed_networks": int((~finite.all(axis=1)).sum()),
            "last_update_without_overflow": None if last is None else int(life.steps[last]),
            "amplitude_then": None if last is None else float(life.amplitude[:, last].mean()),
            "accuracy_then": None if last is None else float(life.accuracy[:, last].mean()),
            "amplitude_after_trained_updates": float(life.amplitude[:, trained].mean()),
            "accuracy_after_trained_updates": float(life.accuracy[:, trained].mean()),
            "best_accuracy": float(life.accuracy.mean(axis=0).max()),
            "growth_over_last_half": float(growth.max()) if finite.all() else None,
        }

    def _told(self, how: str, numbers: dict[str, Any]) -> str:
        begin = (
            f"{how} Oja's term the mean synapse is {numbers['amplitude_after_trained_updates']:.2g}"
            f" after {self.unrolls} updates"
        )
        if numbers["last_update_without_overflow"] is None:
            return f"{begin}, and all points see an overflow."
        return (
            f"{begin} and {numbers['amplitude_then']:.2g} after "
            f"{numbers['last_update_without_overflow']}; {numbers['overflowed_networks']} of "
            f"{self.networks} networks overflow within {self.updates}."
        )

    def _draw(self, lives: dict[str, Life], images: str) -> Figure:
        figure = Figure(figsize=(9.5, 4.2), layout="constrained")
        grid = figure.subplots(1, 2)
        for axes, quantity in zip(grid, ("amplitude", "accuracy"), strict=True):
            tidy(axes)
            for name, life in lives.items():
                for network, line in enumerate(getattr(life, quantity)):
                    finite = np.where(np.isfinite(line), line, np.nan)
                    label = name if network == 0 else None
                    axes.plot(life.steps, finite, color=COLOURS[name], linewidth=1.2, label=label)
            axes.axvline(self.unrolls, color=GRID, linestyle="--", linewidth=1.2, zorder=0)
            axes.set_xscale("log")
            axes.set_xlabel("updates", color=INK)
        grid[0].set_yscale("log")
        grid[0].set_ylabel("mean absolute value of synapses", color=INK)
        grid[1].set_ylabel("test accuracy", color=INK)
        grid[0].legend(frameon=False, loc="upper left")
        figure.suptitle(
            f"{images}, a line each of {self.networks} networks; lines end where synapses "
            f"overflow; dashed: lifetimes of meta-training",
            fontsize=11,
            color=INK,
        )
        return figure
