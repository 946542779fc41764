"""Asynchronous meta-training: how much more workers do, and what becomes of a lost one."""

import contextlib
import dataclasses
import os
import signal
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import hebbax as hx
from hebbax.cluster import Ray
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers.unsupervised._curves import OURS, RANDOM
from hebbax.papers.unsupervised._snapshots import ShortTraining
from hebbax.plots import INK, tidy

NEAR = 0.7
"""Of the linear speed-up that is as good as linear."""
MOST = 1_000_000
"""Meta-steps that the run does not come to, for it is ended as soon as enough has been seen."""


@dataclasses.dataclass(frozen=True)
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

    def _watch(self, seed: int) -> "_Watcher":
        recipe = ShortTraining(
            families=self.families, size=self.size, channels=self.channels, query=self.query,
            steps=MOST, seed=seed,
        )  # fmt: skip
        ray = _Watched(workers=self.workers[-1], batch=self.batch, cpus=1.0)
        watcher = _Watcher(ray, self.workers * self.rounds, self.lines)
        with contextlib.suppress(_EnoughError):
            hx.meta_train(
                recipe.rule(),
                recipe.task_families(),
                recipe.objective(),
                recipe.method(),
                steps=MOST,
                key=jax.random.key(seed),
                validation=1,
                log_every=self.log_every,
                checkpoint_every=MOST,
                workers=ray,
                callbacks=[watcher],
            )
        return watcher

    def _draw(
        self, rates: Mapping[int, float], alone: float, cores: int | None, seen: "_Watcher"
    ) -> Figure:
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes in (left, right):
            tidy(axes)
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
        left.set_xlabel("workers at work", color=INK)
        left.set_ylabel("meta-steps a second", color=INK)
        left.legend(frameon=False, fontsize=8)
        left.set_title(
            f"{self.rounds} turns each; estimates in a meta-step: {self.batch}",
            fontsize=10,
            color=INK,
        )
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
        right.set_xlabel("seconds after a worker is killed", color=INK)
        right.set_ylabel("meta-steps made", color=OURS)
        right.set_title(f"one of {self.workers[-1]} workers is killed", fontsize=10, color=INK)
        figure.suptitle(
            "Asynchronous meta-training of the unsupervised rule on one machine",
            fontsize=11,
            color=INK,
        )
        return figure


class _EnoughError(Exception):
    """Ends a run that has been watched for long enough."""


@dataclasses.dataclass(frozen=True)
class _Watched(Ray):
    """Workers whose processes can be found."""

    engines: list[Any] = dataclasses.field(default_factory=list, compare=False)

    def engine(self, setup: Any) -> Any:
        made = super().engine(setup)
        self.engines.append(made)
        return made

    @property
    def processes(self) -> list[int]:
        """The workers' process ids."""
        return list(self.engines[-1].pool.pids.values())


class _Turn(NamedTuple):
    """How fast the run was with so many workers at work.

    **Fields:**

    - `workers`, `rate`: how many, and meta-steps a second.
    - `cores`: that they got of the machine, all together; None if it does not tell.
    """

    workers: int
    rate: float
    cores: float | None


class _Watcher:
    """Notes how fast a run is by turns with fewer and more workers; kills one, and ends the run.

    **Arguments:**

    - `ray`: all workers; those whose turn it is not are stopped by a signal.
    - `turns`: how many are at work, turn after turn.
    - `lines`: logged lines in a turn, after a first one that still knows the turn before.
    """

    def __init__(self, ray: _Watched, turns: Sequence[int], lines: int):
        self._ray, self._todo, self._count = ray, list(turns), lines
        self.lines: list[dict[str, Any]] = []
        self.turns: list[_Turn] = []
        self.lost, self.killed_at = 0, 0
        self._of_turn: list[float] = []
        self._since: tuple[float, float | None] = 0.0, None
        self._active: int | None = None
        self._begin = 0.0

    def rates(self) -> dict[int, float]:
        """Return the median rate of all turns with each number of workers."""
        return {
            n: statistics.median(turn.rate for turn in self.turns if turn.workers == n)
            for n in sorted({turn.workers for turn in self.turns})
        }

    def cores(self) -> dict[int, float]:
        """Return how many cores each number of workers got, nothing if the machine tells none."""
        told = [(turn.workers, turn.cores) for turn in self.turns if turn.cores is not None]
        return {
            n: statistics.median(cores for workers, cores in told if workers == n)
            for n in sorted({workers for workers, _ in told})
        }

    def start(self, step: int, history: Sequence[Mapping[str, Any]]) -> None:
        """Nothing has been seen yet."""

    def log(self, line: Mapping[str, Any]) -> None:
        """Take a line, and do what is next."""
        self._begin = self._begin or time.perf_counter()
        workers, lost = (int(line[name][0]) for name in ("workers", "lost"))
        self.lost += lost
        self.lines.append(
            {
                "seconds": round(time.perf_counter() - self._begin, 3),
                "meta_steps": line["step"],
                "meta_steps_a_second": round(1 / line["step_seconds"], 4),
                "workers": workers,
                "active": self._active or workers,
                "lost": lost,
                "age": round(float(line["age"][0]), 3),
            }
        )
        if self.killed_at:
            if self.lost and workers == self._ray.workers:
                raise _EnoughError
        elif self._active is None:
            if workers == self._ray.workers:
                self._next()
        else:
            self._of_turn.append(line["step_seconds"])
            now = time.perf_counter(), _cpu_seconds(self._ray.processes)
            if len(self._of_turn) == 1:
                self._since = now
            elif len(self._of_turn) > self._count:
                seconds = statistics.fmean(self._of_turn[1:])
                (begin, before), (end, after) = self._since, now
                cores = None
                if before is not None and after is not None and end > begin:
                    cores = (after - before) / (end - begin)
                self.turns.append(_Turn(self._active, 1 / seconds, cores))
                self._next()

    def _next(self) -> None:
        self._of_turn = []
        if self._todo:
            self._active = self._todo.pop(0)
            self._signal(self._active)
            return
        self._active = None
        self._signal(self._ray.workers)
        self.killed_at = self.lines[-1]["meta_steps"]
        os.kill(self._ray.processes[0], signal.SIGKILL)

    def _signal(self, active: int) -> None:
        """Let the first `active` workers work, and stop the others."""
        for place, process in enumerate(self._ray.processes):
            os.kill(process, signal.SIGCONT if place < active else signal.SIGSTOP)

    def close(self) -> None:
        """Stop nobody any longer, whatever has happened."""
        # Without a line there may be no workers either.
        for process in self._ray.processes if self.lines else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _cpu_seconds(processes: Sequence[int]) -> float | None:
    """Return the time that processes have computed for, together; None where nothing tells it."""
    try:
        # User and system time in ticks; the name in brackets may hold blanks.
        fields = [Path(f"/proc/{p}/stat").read_text().rpartition(")")[2].split() for p in processes]
        return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
