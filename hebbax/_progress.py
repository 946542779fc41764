"""A progress bar with the time left, or nothing."""

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress


class Progress:
    """Shows how far something is on standard error, if `shown`; a context manager."""

    def __init__(self, what: str, total: int, done: int = 0, *, shown: bool):
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            disable=not shown,
        )
        self._task = self._bar.add_task(what, total=total, completed=done, note="")

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` of the total are done."""
        self._bar.update(self._task, completed=done, note=note)
