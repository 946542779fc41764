"""Watching an asynchronous run whose workers take turns, and one of which is killed in the end."""

import contextlib
import dataclasses
import os
import signal
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hebbax.cluster import Ray


class EnoughError(Exception):
    """Ends a run that has been watched for long enough."""


@dataclasses.dataclass(frozen=True)
class WatchedRay(Ray):
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


class Turn(NamedTuple):
    """How fast the run was with so many workers at work.

    **Fields:**

    - `workers`, `rate`: how many, and meta-steps a second.
    - `cores`: that they got of the machine, all together; None if it does not tell.
    """

    workers: int
    rate: float
    cores: float | None


class Watcher:
    """Notes how fast a run is by turns with fewer and more workers; kills one, and ends the run.

    **Arguments:**

    - `ray`: all workers; those whose turn it is not are stopped by a signal.
    - `turns`: how many are at work, turn after turn.
    - `lines`: logged lines in a turn, after a first one that still knows the turn before.
    """

    def __init__(self, ray: WatchedRay, turns: Sequence[int], lines: int):
        self._ray, self._todo, self._count = ray, list(turns), lines
        self.lines: list[dict[str, Any]] = []
        self.turns: list[Turn] = []
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
                raise EnoughError
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
                self.turns.append(Turn(self._active, 1 / seconds, cores))
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
