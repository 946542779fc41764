"""`TensorBoard`: what a run logs, as event files."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hebbax._options import check_option

MISSING = "TensorBoard event files need tensorboardX: pip install 'hebbax[tensorboard]'."
FLUSH_SECONDS = 10
"""How far behind the run a viewer may be."""


class TensorBoard:
    """A `Callback` that writes event files, for `tensorboard --logdir DIRECTORY`.

    Every metric is a series of scalars. Where several runs are trained side by side, each has a
    folder `run-1`, `run-2`, … of its own, so that TensorBoard draws them on top of each other;
    what concerns all of them, such as `meta_steps_per_s`, lies in `directory` itself. A value
    that is not finite leaves a gap. A run that diverged says so under "Text".

    A run that goes on is told anew from its beginning, and what was in `directory` before is
    purged: TensorBoard then shows neither the steps that were lost with the last process nor a
    gap, whether or not earlier processes wrote event files.

    **Arguments:**

    - `directory`: where event files go; for one training only, such as `runs/xor/tensorboard`.

    **Raises:** `ImportError` if tensorboardX is not installed, `ValueError` for another kind of
    `directory`.
    """

    def __init__(self, directory: str | Path):
        check_option("directory", directory, str | Path)
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError(MISSING) from error
        self._make = tensorboardX.SummaryWriter
        self.directory = Path(directory)
        self._writers: dict[str, Any] = {}

    def start(self, step: int, history: Sequence[Mapping[str, Any]]) -> None:
        """Write what was logged before. **Raises:** `OSError` if the folder cannot be written."""
        for line, moment in zip(history, moments(history, time.time()), strict=True):
            self._write(line, moment)

    def log(self, line: Mapping[str, Any]) -> None:
        """Write a line."""
        self._write(line, time.time())

    def close(self) -> None:
        """Finish the event files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(self, line: Mapping[str, Any], moment: float) -> None:
        step, runs = line["step"], len(line["loss"])
        for run, name, value in series(line):
            self._writer(run, runs).add_scalar(name, value, step, walltime=moment)
        for event in line.get("diverged", ()):
            text = (
                f"step {event['step']}, key {event['key']}; back to where it was at step "
                f"{event['back_to']}"
            )
            self._writer(event["run"], runs).add_text("diverged", text, step, walltime=moment)

    def _writer(self, run: int | None, runs: int) -> Any:
        name = "" if run is None or runs == 1 else f"run-{run + 1}"
        if name not in self._writers:
            folder = self.directory / name
            # tensorboardX counts in seconds, and would overwrite the file of the same second.
            before = len(list(folder.glob("events.out.tfevents.*")))
            self._writers[name] = self._make(
                str(folder),
                purge_step=0,
                flush_secs=FLUSH_SECONDS,
                filename_suffix=f".{before:04d}",
            )
        return self._writers[name]


def series(line: Mapping[str, Any]) -> Iterator[tuple[int | None, str, float]]:
    """Return run, metric and value of all finite numbers in a line; no run for those of all."""
    for name, value in line.items():
        if name in ("step", "diverged"):
            continue
        values = enumerate(value) if isinstance(value, list) else [(None, value)]
        for run, number in values:
            if number is not None and math.isfinite(number):
                yield run, name, float(number)


def moments(history: Sequence[Mapping[str, Any]], now: float) -> list[float]:
    """Return when lines would have been logged if the run had never paused, in seconds."""
    steps = [0, *(line["step"] for line in history)]
    took = [
        line["step_seconds"] * (step - before)
        for line, before, step in zip(history, steps, steps[1:], strict=False)
    ]
    return [now - sum(took[index + 1 :]) for index in range(len(took))]
