"""Who else wants to know how a run goes."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Callback(Protocol):
    """What `meta_train(..., callbacks=[...])` calls; all in the process that writes files."""

    def start(self, step: int) -> None:
        """Begin, at meta-step `step`: 0, or where an earlier process was interrupted.

        Lines of later steps that have been logged before will come again, the same.
        """
        ...

    def log(self, line: Mapping[str, Any]) -> None:
        """Take a line of `metrics.jsonl`: `step`, and for each run a list of every metric."""
        ...

    def close(self) -> None:
        """End: the run is over, interrupted, or has failed."""
        ...
