"""`read_log`: what a run directory says of the run's course, also while it still goes on."""

import dataclasses
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from hebbax._errors import shown
from hebbax._foreign import is_count, parse_json, read_at_most
from hebbax.runs._metrics_log import LARGEST
from hebbax.runs._run_directory import read_config

NOT_METRICS = ("step", "diverged", "synchronized_on")


@dataclasses.dataclass(frozen=True)
class Lowest:
    """A validation loss, and which run (from 0) had it when."""

    loss: float
    run: int
    step: int


@dataclasses.dataclass(frozen=True)
class RunLog:
    """The logged lines and the settings of a run.

    **Fields:**

    - `path`: its folder.
    - `lines`: those of `metrics.jsonl`, at least one.
    - `config`: what `config.json` holds; nothing if there is none.
    """

    path: Path
    lines: tuple[dict[str, Any], ...]
    config: dict[str, Any]

    @property
    def runs(self) -> int:
        """Runs that are trained side by side."""
        return len(self.lines[-1]["loss"])

    @property
    def step(self) -> int:
        """The last meta-step that was logged."""
        return self.lines[-1]["step"]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics."""
        names = dict.fromkeys(name for line in self.lines for name in line)
        return tuple(name for name in names if name not in NOT_METRICS)

    @property
    def title(self) -> str | None:
        """What the run's card is titled."""
        return (self.config.get("card") or {}).get("title")

    @property
    def objective(self) -> dict[str, Any]:
        """The settings of the meta-objective, inside of a curriculum too; or nothing."""
        found = self.config.get("objective", {})
        return found.get("objective", found)

    def series(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps `[points]` and values `[runs, points]` of a metric where it was logged.

        There is a single row for what concerns all runs; what was not finite is NaN.
        """
        lines = [line for line in self.lines if metric in line]
        values = np.asarray([np.atleast_1d(np.asarray(line[metric], float)) for line in lines])
        return np.asarray([line["step"] for line in lines]), values.T

    def stages(self) -> dict[int, str]:
        """Return at which steps a curriculum went on, and to lifetimes of how many updates.

        Without a configuration, only where runs were synchronised is known.
        """
        objective = self.config.get("objective", {})
        ends = {line["step"]: "" for line in self.lines if "synchronized_on" in line}
        for stage, updates in enumerate(objective.get("unrolls", ())[1:], 1):
            ends[stage * objective["every"]] = f"{updates} updates"
        return {step: text for step, text in sorted(ends.items()) if step <= self.step}

    def diverged(self) -> list[dict[str, Any]]:
        """Return all divergences: `run` (from 0), `step`, `key` and `back_to`."""
        return [event for line in self.lines for event in line.get("diverged", ())]

    def lowest(self) -> Lowest | None:
        """Return the lowest validation loss of the last stage that has any; None without one.

        Losses of different stages are about lifetimes of different lengths.
        """
        if "validation_loss" not in self.metrics:
            return None
        steps, losses = self.series("validation_loss")
        judged = steps[np.isfinite(losses).any(axis=0)]
        if not len(judged):
            return None
        # What is judged at a stage's end still belongs to it.
        begin = max((end for end in self.stages() if end < judged[-1]), default=0)
        losses = np.where(np.isfinite(losses) & (steps > begin)[None], losses, np.inf)
        run, index = np.unravel_index(np.argmin(losses), losses.shape)
        return Lowest(float(losses[run, index]), int(run), int(steps[index]))

    def best_run(self) -> int:
        """Return the run (from 0) with the lowest validation loss, or else training loss."""
        found = self.lowest()
        if found is not None:
            return found.run
        losses = self.series("loss")[1]
        return int(np.argmin(np.where(np.isfinite(losses), losses, np.inf).min(axis=1)))


def read_log(directory: str | Path) -> RunLog:
    """Read the log of a run, which may be going on: a last line that is half written is left out.

    **Raises:** `ValueError` if the folder holds no run, or none that has logged anything.
    """
    path = Path(directory)
    file = path / "metrics.jsonl"
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}.")
    if not file.is_file():
        inside = sorted(str(found.parent) for found in path.glob("*/metrics.jsonl"))
        hint = f" Did you mean {' '.join(inside)}?" if inside else ""
        raise ValueError(f"{path} is no run directory: it holds no metrics.jsonl.{hint}")
    rows = read_at_most(file, LARGEST).split(b"\n")
    lines: list[dict[str, Any]] = []
    widths: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        try:
            line = parse_json(row)
            _check_line(line, widths)
            lines.append(line)
        except ValueError:
            # What follows the last line's end is nothing, or not yet a whole line.
            if number < len(rows):
                raise ValueError(f"line {number} of {file} is not one that a run logs.") from None
    if not lines:
        raise ValueError(f"the run in {path} has logged nothing yet.")
    config = read_config(path) if (path / "config.json").exists() else {}
    _check_config(path / "config.json", config)
    return RunLog(path, tuple(lines), config)


def _check_line(line: Any, widths: dict[str, int]) -> None:
    """Refuse what is no line of a log, or does not go with those before it.

    **Arguments:** `widths`: how many numbers each metric has had so far, 0 for one that is no list.

    **Raises:** `ValueError`.
    """
    if not isinstance(line, dict) or not is_count(line.get("step"), least=0):
        raise ValueError
    if not isinstance(line.get("loss"), list) or not line["loss"]:
        raise ValueError
    events = line.get("diverged", [])
    if not isinstance(events, list) or not all(map(_is_event, events)):
        raise ValueError
    for name, value in line.items():
        if name in NOT_METRICS:
            continue
        numbers = value if isinstance(value, list) else [value]
        width = len(value) if isinstance(value, list) else 0
        if widths.setdefault(name, width) != width or not all(map(_is_number, numbers)):
            raise ValueError


def _is_event(value: Any) -> bool:
    counts = ("run", "step", "back_to")
    return isinstance(value, dict) and all(is_count(value.get(n), least=0) for n in counts)


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return value is None or isinstance(value, float)


def _check_config(file: Path, config: dict[str, Any]) -> None:
    """Refuse settings that cannot be what a run was made with. **Raises:** `ValueError`."""
    card, outer = config.get("card") or {}, config.get("objective", {})
    inner = outer.get("objective", outer) if isinstance(outer, dict) else None
    words = [card.get("title")]
    words += [inner.get(n) for n in ("name", "reduction")] if isinstance(inner, dict) else [0]
    if not all(isinstance(word, (str, NoneType)) for word in words):
        raise ValueError(
            f"{file} is not the configuration of a run: its title is {shown(card.get('title'))}, "
            f"its objective {shown(outer)}."
        )
    unrolls = outer.get("unrolls", [])
    if not isinstance(unrolls, list) or not all(map(is_count, unrolls)):
        raise ValueError(f"{file} is not the configuration of a run: unrolls {shown(unrolls)}.")
    if len(unrolls) > 1 and not is_count(outer.get("every")):
        raise ValueError(f"{file} is not the configuration of a run: unrolls without every.")
