"""Asynchronous meta-training: how much more workers do, and what becomes of a lost one."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import jax
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import headline, label, sheet
from hebbax.papers.unsupervised._curves import OURS, RANDOM
from hebbax.papers.unsupervised._snapshots import ShortTraining
from hebbax.papers.unsupervised._turns import EnoughError, WatchedRay, Watcher
from hebbax.plots import INK

NEAR = 0.7
"""Of the linear speed-up that is as good as linear."""
MOST = 1_000_000
"""Meta-steps that the run does not come to, for it is ended as soon as enough has been seen."""


class Asynchronous(Experiment):
    """Workers that send truncated meta-gradients of lifetimes of their own."""

    name: ClassVar = "unsupervised/async"
    source: ClassVar = "Metz et al. app. on the distributed implementation"
    claim: ClassVar = (
        "Asynchronous workers make meta-steps faster the more there are, nearly in proportion "
        "until there are no more cores; when one is lost, meta-training goes on."
    )
    criterion: ClassVar = (
        f"for every number of workers up to that of cores, meta-steps a second are at least "
        f"{NEAR:g} times those of one worker times their number; and after a worker is killed "
        f"meta-steps go on, and a new worker comes in its place"
    )
    smoke: ClassVar = {
        "workers": (1,), "rounds": 1, "lines": 1, "size": 6, "channels": 2, "log_every": 2,
        "query": 40,
    }  # fmt: skip
    paper: ClassVar = {
        "workers": (1, 8, 64, 512), "channels": 64, "batch": 256, "log_every": 100,
        "families": ("glyphs", "tiny_imagenet", "cifar10"),
    }  # fmt: skip

    workers: tuple[int, ...] = (1, 2, 3)
    """Numbers of workers, ascending; one of the last is killed in the end."""
    rounds: int = 5
    """How often each number has its turn: by turns, so that other work on the machine is fair."""
    lines: int = 5
    """Logged lines in a turn, besides one in which the number changes."""
    log_every: int = 5
    batch: int = 1
    """Estimates of the meta-gradient in a meta-step, however many workers there are."""
    families: tuple[str, ...] = ("glyphs",)
    size: int = 14
    channels: int = 8
    query: int = 200

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with as many workers as there may be, most of them held up by turns."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        seen = self._watch(seed)
        rates = seen.rates()
        alone = rates[self.workers[0]] / self.workers[0]
        linear = {w: rate / (alone * w) for w, rate in rates.items()}
        got = seen.cores()
        after = seen.lines[-1]["meta_steps"] - seen.killed_at
        numbers = {
            "cores": cores,
            "load_before": load,
            "meta_steps_a_second": {str(w): rate for w, rate in rates.items()},
            "share_of_linear": {str(w): share for w, share in linear.items()},
            "cores_that_workers_got": {str(w): c for w, c in got.items()},
            "meta_steps_a_second_and_core": {str(w): rates[w] / c for w, c in got.items() if c},
            "killed": {
                "workers": self.workers[-1],
                "lost": seen.lost,
                "at_meta_step": seen.killed_at,
                "meta_steps_after": after,
                "workers_at_the_end": seen.lines[-1]["workers"],
            },
        }
        shows = (
            "Meta-steps a second are "
            + ", ".join(
                f"{rate:.2f} with {w} worker{'s' * (w > 1)} ({linear[w]:.0%} of linear)"
                for w, rate in rates.items()
            )
            + f" on {cores} cores"
            + (
                "".join(
                    f", {rates[w] / c:.1f} for each of the {c:.2f} cores that {w} got"
                    for w, c in got.items()
                    if c
                )
            )
            + f"; after one of {self.workers[-1]} was killed the run went on for {after} "
            f"meta-steps, until {seen.lines[-1]['workers']} were at work again."
        )
        holds = (
            all(share >= NEAR for w, share in linear.items() if w <= (cores or 1))
            and seen.lost > 0
            and after > 0
            and seen.lines[-1]["workers"] == self.workers[-1]
        )
        return Finding(seen.lines, numbers, holds, shows, self._draw(rates, alone, cores, seen))

    def _watch(self, seed: int) -> Watcher:
        recipe = ShortTraining(
            families=self.families, size=self.size, channels=self.channels, query=self.query,
            steps=MOST, seed=seed,
        )  # fmt: skip
        ray = WatchedRay(workers=self.workers[-1], batch=self.batch, cpus=1.0)
        watcher = Watcher(ray, self.workers * self.rounds, self.lines)
        with contextlib.suppress(EnoughError):
            hx.meta_train(
                recipe.rule(), recipe.task_families(), recipe.objective(), recipe.method(),
                steps=MOST, key=jax.random.key(seed), validation=1, log_every=self.log_every,
                checkpoint_every=MOST, workers=ray, callbacks=[watcher],
            )  # fmt: skip
        return watcher

    def _draw(
        self, rates: Mapping[int, float], alone: float, cores: int | None, seen: Watcher
    ) -> Figure:
        figure, [[left, right]] = sheet(11, 4.4, columns=2)
        for workers in rates:
            turns = [turn for turn in seen.turns if turn.workers == workers]
            left.scatter([workers] * len(turns), [t.rate for t in turns], color=RANDOM, s=14)
        left.scatter([], [], color=RANDOM, s=14, label="a turn")
        left.plot(list(rates), list(rates.values()), "o-", color=OURS, lw=1.8, label="all turns")
        left.plot([0, *rates], [0, *(alone * w for w in rates)], "--", color=INK, label="linear")
        if cores:
            left.axvline(cores, color=INK, lw=0.8, ls=":", label=f"{cores} cores")
        left.set_ylim(0, None)
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        label(
            left,
            "workers at work",
            "meta-steps a second",
            f"{self.rounds} turns each; estimates in a meta-step: {self.batch}",
        )
        left.legend(frameon=False, fontsize=8)
        last = [line for line in seen.lines if line["meta_steps"] >= seen.killed_at]
        seconds = [line["seconds"] - last[0]["seconds"] for line in last]
        right.plot(seconds, [line["meta_steps"] for line in last], color=OURS, lw=1.8)
        alive = right.twinx()
        alive.step(seconds, [line["workers"] for line in last], where="post", color="#0072B2")
        alive.set_ylim(0, self.workers[-1] + 0.6)
        alive.yaxis.set_major_locator(MaxNLocator(integer=True))
        alive.set_ylabel("workers alive", color="#0072B2")
        alive.spines[["top", "left"]].set_visible(False)
        alive.tick_params(labelsize=8, length=2)
        label(
            right,
            "seconds after a worker is killed",
            "meta-steps made",
            f"one of {self.workers[-1]} workers is killed",
        )
        right.yaxis.label.set_color(OURS)
        return headline(
            figure, "Asynchronous meta-training of the unsupervised rule on one machine"
        )
