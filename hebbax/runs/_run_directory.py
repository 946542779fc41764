"""The folder of a run: `config.json`, `metrics.jsonl`, `checkpoints/`, `rule.safetensors`."""

import json
from pathlib import Path
from types import NoneType
from typing import Any

from filelock import FileLock, Timeout

from hebbax._errors import shown
from hebbax._files import remove_temporary, write_whole
from hebbax._foreign import parse_json, read_at_most
from hebbax.runs._metrics_log import MetricsLog
from hebbax.runs.checkpoint import CheckpointError, run_digest

LARGEST = 2**26
"""Bytes of a configuration: the settings of a run, and its card."""
PACKAGES = ("hebbax", "jax")
"""Settings that are versions of packages."""


class RunDirectory:
    """Opens a run's folder, making it or checking that it holds the same run.

    It is locked against other processes until `close`, or the end of this one. `run` tells its
    checkpoints from those of other runs, and `log` is its `metrics.jsonl`.

    **Arguments:**

    - `directory`: the folder.
    - `config`: the settings that decide every bit of the run.
    - `card`: what else is worth keeping beside them; not compared.
    - `writes`: whether this process is the one that writes; another one may read beside it.

    **Raises:** `CheckpointError` if it holds a run with another configuration, naming
    the settings that differ, or if another process works in it; `OSError` if it cannot be written.
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
        self.run = run_digest(config)
        self.log = MetricsLog(self.path / "metrics.jsonl", writes)
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
        if (self.path / "config.json").exists():
            compare(self.path, read_config(self.path), config)
        elif self.writes:
            self._write({**config, "card": card})
        if self.writes:
            # What a process left that was killed while it wrote.
            for folder in (self.path, self.path / "checkpoints"):
                remove_temporary(folder)

    def note(self, card: dict[str, Any]) -> None:
        """Keep this card in the place of what was kept beside the settings, such as fewer steps."""
        found = read_config(self.path)
        if self.writes and card and found.get("card") != json.loads(_as_json(card)):
            self._write({**found, "card": card})

    def _write(self, config: dict[str, Any]) -> None:
        text = _as_json(config) + "\n"
        write_whole(self.path / "config.json", lambda p: p.write_text(text))

    def close(self) -> None:
        """Let other processes in."""
        if self.writes:
            self._lock.release()


def _as_json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, default=str)


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


def digest_of(directory: Path) -> str:
    """Return the digest of the settings of the run in a folder, as its checkpoints and rule have.

    **Raises:** `CheckpointError` if they cannot be read.
    """
    return run_digest(settings(read_config(directory)))


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without what is only kept beside it."""
    return {name: value for name, value in config.items() if name != "card"}


def compare(path: Path, found: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse settings that are not those of the run.

    **Raises:** `CheckpointError` that names all that differ.
    """
    found = settings(found)
    differ = [name for name in sorted({*found, *config}) if found.get(name) != config.get(name)]
    versions = [name for name in differ if name in PACKAGES]
    if versions:
        old = ", ".join(f"{name} {found.get(name)}" for name in versions)
        new = ", ".join(f"{name} {config.get(name)}" for name in versions)
        wanted = " ".join(f"{name}=={found.get(name)}" for name in versions)
        raise CheckpointError(
            f"{path} holds a run of {old}, this is {new}, whose numbers may differ; install "
            f"{wanted} to go on with that run, or give another directory (meta_train's theta can "
            f"start there from the θ of its rule.safetensors)."
        )
    if differ:
        pairs = [f"{n} = {found.get(n)!r} (this one has {config.get(n)!r})" for n in differ]
        raise CheckpointError(
            f"{path} holds a run with {', '.join(pairs)}; give another directory, or the same "
            f"settings to go on with that run."
        )
