"""The folder of a run: `config.json`, `metrics.jsonl`, `checkpoints/`, `rule.safetensors`."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from filelock import FileLock, Timeout

from hebbax._errors import shown
from hebbax._files import remove_temporary, write_whole
from hebbax._foreign import parse_json, read_at_most
from hebbax.runs.checkpoint import CheckpointError

LARGEST = 2**26
"""Bytes of a configuration: the settings of a run, and its card."""
PACKAGES = ("hebbax", "jax")
"""Settings that are versions of packages."""


class RunDirectory:
    """Opens a run's folder, making it or checking that it holds the same run.

    It is locked against other processes until `close`, or the end of this one.

    **Arguments:**

    - `directory`: the folder.
    - `config`: the settings that decide every bit of the run.
    - `card`: what else is worth keeping beside them; not compared.
    - `writes`: whether this process is the one that writes; another one may read beside it.

    **Raises:** `CheckpointError` if it holds a run with another configuration, naming the first
    setting that differs, or if another process works in it; `OSError` if it cannot be written.
    """

    def __init__(
        self,
        directory: str | Path,
        config: dict[str, Any],
        card: dict[str, Any] | None = None,
        writes: bool = True,
    ):
        self.path = Path(directory)
        self.writes = writes
        config = json.loads(json.dumps(config))
        if writes:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.path / ".lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise CheckpointError(
                    f"another process is at work in {self.path}; wait for its end, or give "
                    f"another directory."
                ) from error
        try:
            self._check(config, card)
        except BaseException:
            self.close()
            raise

    def _check(self, config: dict[str, Any], card: dict[str, Any] | None) -> None:
        file = self.path / "config.json"
        if file.exists():
            compare(self.path, read_config(self.path), config)
        elif self.writes:
            text = json.dumps({**config, "card": card}, indent=2, default=str)
            write_whole(file, lambda p: p.write_text(text + "\n"))
        if self.writes:
            # What a process left that was killed while it wrote.
            for folder in (self.path, self.path / "checkpoints"):
                remove_temporary(folder)

    def close(self) -> None:
        """Let other processes in."""
        if self.writes:
            self._lock.release()

    def restart_log(self, history: Sequence[dict[str, Any]]) -> None:
        """Write `metrics.jsonl` anew, without what a resumed run will write again."""
        text = "".join(map(_jsonl, history))
        write_whole(self.path / "metrics.jsonl", lambda p: p.write_text(text))

    def log(self, line: dict[str, Any]) -> None:
        """Append one line to `metrics.jsonl`; NaN and infinity become null."""
        with open(self.path / "metrics.jsonl", "a") as file:
            file.write(_jsonl(line))


def read_config(directory: Path) -> dict[str, Any]:
    """Return the settings of the run in a folder.

    **Raises:** `CheckpointError` if they cannot be read.
    """
    file = directory / "config.json"
    try:
        found = parse_json(read_at_most(file, LARGEST))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} is not the configuration of a run: {error}.") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file} is not the configuration of a run: it holds no settings.")
    if not isinstance(found.get("card"), (dict, NoneType)):
        raise CheckpointError(
            f"{file} is not the configuration of a run: its card is {shown(found['card'])}."
        )
    return found


def compare(path: Path, found: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse settings that are not those of the run. **Raises:** `CheckpointError`."""
    found = {name: value for name, value in found.items() if name != "card"}
    for name in sorted({*found, *config}):
        old, new = found.get(name), config.get(name)
        if old == new:
            continue
        if name in PACKAGES:
            raise CheckpointError(
                f"{path} holds a run of {name} {old}, this is {name} {new}, whose numbers may "
                f"differ; install {name}=={old} to go on with that run, or give another directory "
                f"(meta_train's theta can start there from the θ of its rule.safetensors)."
            )
        raise CheckpointError(
            f"{path} holds a run with {name} = {old!r}, this one has {new!r}; give another "
            f"directory, or the same settings to go on with that run."
        )


def _jsonl(line: dict[str, Any]) -> str:
    return json.dumps({name: _strict(value) for name, value in line.items()}) + "\n"


def _strict(value: Any) -> Any:
    """Replace what JSON has no word for."""
    if isinstance(value, list):
        return [*map(_strict, value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
