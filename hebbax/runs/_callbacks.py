"""Who else wants to know how a run goes."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Callback(Protocol):
    """What `meta_train(..., callbacks=[...])` calls; all in the process that writes files.

    `start` comes first, then `log` for every line, and `close` last, whatever happens between.
    What a callback raises ends the run, which can be gone on with as after any other end.
    """

    def start(self, step: int, history: Sequence[Mapping[str, Any]]) -> None:
        """Begin, at meta-step `step`: 0, or that of the checkpoint that is gone on from.

        `history` holds all lines up to there, of earlier processes. They may have logged more:
        lines of later steps will come again, with the same numbers but for times.
        """
        ...

    def log(self, line: Mapping[str, Any]) -> None:
        """Take a line of `metrics.jsonl`, before it is known to be part of a checkpoint.

        It holds `step`; for each metric a list with a number for each run, which may be NaN or
        infinite; numbers about all runs together, such as `meta_steps_per_s`; and where that
        happened `diverged` and `synchronized_on`, see `meta_train`.
        """
        ...

    def close(self) -> None:
        """End: the run is over, interrupted, or has failed."""
        ...
