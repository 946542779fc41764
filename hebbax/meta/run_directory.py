"""The folder of a run: `config.json`, `metrics.jsonl`, `checkpoints/`, `rule.safetensors`."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hebbax._files import write_whole
from hebbax.meta.checkpoint import CheckpointError


class RunDirectory:
    """Opens a run's folder, making it or checking that it holds the same run.

    **Raises:** `CheckpointError` if it holds a run with another configuration, naming the first
    setting that differs; `OSError` if it cannot be written.
    """

    def __init__(self, directory: str | Path, config: dict[str, Any]):
        self.path = Path(directory)
        config = json.loads(json.dumps(config))
        file = self.path / "config.json"
        if file.exists():
            found = _read(file)
            for name in sorted({*found, *config}):
                if found.get(name) != config.get(name):
                    raise CheckpointError(
                        f"{self.path} holds a run with {name} = {found.get(name)!r}, this one has "
                        f"{config.get(name)!r}; give another directory, or the same settings to "
                        f"go on with that run."
                    )
        else:
            text = json.dumps(config, indent=2)
            write_whole(file, lambda p: p.write_text(text + "\n"))

    def restart_log(self, history: Sequence[dict[str, Any]]) -> None:
        """Write `metrics.jsonl` anew, without what a resumed run will write again."""
        text = "".join(map(_jsonl, history))
        write_whole(self.path / "metrics.jsonl", lambda p: p.write_text(text))

    def log(self, line: dict[str, Any]) -> None:
        """Append one line to `metrics.jsonl`; NaN and infinity become null."""
        with open(self.path / "metrics.jsonl", "a") as file:
            file.write(_jsonl(line))


def _jsonl(line: dict[str, Any]) -> str:
    return json.dumps({name: _strict(value) for name, value in line.items()}) + "\n"


def _strict(value: Any) -> Any:
    """Replace what JSON has no word for."""
    if isinstance(value, list):
        return [*map(_strict, value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise CheckpointError(f"{file} is not the configuration of a run: {error}.") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{file} is not the configuration of a run: it holds no settings.")
    return found
