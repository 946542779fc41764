"""`metrics.jsonl`: the history of a run, of which a checkpoint says how much belongs to it."""

import hashlib
import json
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hebbax._files import write_whole
from hebbax._foreign import parse_json, read_at_most

LARGEST = 2**30
"""Bytes of a log."""


class MetricsLog:
    """The lines of a run's `metrics.jsonl`, NaN as null, the only place where they are kept.

    **Arguments:**

    - `path`: the file.
    - `writes`: whether this process writes; another one only reads.
    """

    def __init__(self, path: Path, writes: bool):
        self.path, self._writes = path, writes
        self._written = 0, 0, hashlib.sha256()  # lines, bytes, and their digest

    def write(self, history: Sequence[dict[str, Any]]) -> None:
        """Append what of `history` has not been written yet.

        Called again after an interruption, it overwrites what that left.

        **Raises:** `OSError` if it cannot be written.
        """
        lines, size, digest = self._written
        text = "".join(map(_jsonl, history[lines:])).encode()
        if not text or not self._writes:
            return
        with open(self.path, "r+b" if self.path.exists() else "w+b") as file:
            file.seek(size)
            file.truncate()
            file.write(text)
        digest = digest.copy()
        digest.update(text)
        self._written = len(history), size + len(text), digest

    def flush(self) -> dict[str, Any]:
        """Have all on the disk; return what a checkpoint holds to find the lines of its past.

        **Raises:** `OSError` if it cannot be written.
        """
        lines, size, digest = self._written
        if lines:
            with open(self.path, "rb") as file:
                os.fsync(file.fileno())
        return {"lines": lines, "bytes": size, "sha256": digest.hexdigest()}

    def begin(self) -> None:
        """Begin a new log, without what may be there."""
        self._written = 0, 0, hashlib.sha256()
        if self._writes:
            write_whole(self.path, lambda p: p.write_bytes(b""))

    def resume(self, mark: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the history that belongs to a checkpoint and leave out what follows it.

        If the file does not hold it any more, those of its lines that can be read begin the log
        anew, with a warning: only the past is lost with it, the run is not.
        """
        try:
            content = read_at_most(self.path, LARGEST)
        except (OSError, ValueError):
            content = b""
        kept = content[: mark["bytes"]]
        digest = hashlib.sha256(kept)
        if digest.hexdigest() != mark["sha256"]:
            history = _readable(content, mark["lines"])
            warnings.warn(
                f"{self.path} has been changed, and {len(history)} of the {mark['lines']} lines "
                f"that the run had logged can be read; they are kept and the run goes on.",
                RuntimeWarning,
                stacklevel=2,
            )
            self.rewrite(history)
            return history
        if self._writes and len(content) > len(kept):
            write_whole(self.path, lambda p: p.write_bytes(kept))
        history = [_line(row) for row in kept.splitlines()]
        self._written = len(history), len(kept), digest
        return history

    def rewrite(self, history: Sequence[dict[str, Any]]) -> None:
        """Begin the log anew with `history`."""
        self.begin()
        self.write(history)


def finite_or_nan(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line whose numbers come back from a file as they are: infinity becomes NaN."""
    return {name: _replaced(value, math.nan) for name, value in line.items()}


def _jsonl(line: dict[str, Any]) -> str:
    return json.dumps({name: _replaced(value, None) for name, value in line.items()}) + "\n"


def _replaced(value: Any, by: float | None) -> Any:
    """Replace what JSON has no word for."""
    if isinstance(value, list):
        return [_replaced(each, by) for each in value]
    return by if isinstance(value, float) and not math.isfinite(value) else value


def _line(row: bytes) -> dict[str, Any]:
    def number(value: Any) -> Any:
        if isinstance(value, list):
            return [number(each) for each in value]
        return math.nan if value is None else value

    return {name: number(value) for name, value in parse_json(row).items()}


def _readable(content: bytes, lines: int) -> list[dict[str, Any]]:
    """Return the first `lines` lines that are whole and those of a run."""
    found: list[dict[str, Any]] = []
    for row in content.splitlines():
        try:
            line = _line(row)
        except (ValueError, AttributeError):
            continue
        if isinstance(line.get("step"), int) and isinstance(line.get("loss"), list):
            found.append(line)
    return found[:lines]
