"""Checkpoints: whole or not at all, the last few kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from hebbax._files import write_arrays

KEPT = 3
State = TypeVar("State")


class CheckpointError(ValueError):
    """A run directory that cannot be gone on with; the message says why."""


def _paths(directory: Path) -> list[Path]:
    return sorted((directory / "checkpoints").glob("step-*.safetensors"))


def save(directory: Path, step: int, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write the checkpoint of `step` and remove all but the last `KEPT`.

    **Raises:** `OSError` if it cannot be written; those before are left as they are.
    """
    metadata = {"step": str(step), "about": json.dumps(about)}
    path = directory / "checkpoints" / f"step-{step:010d}.safetensors"
    write_arrays(path, arrays, metadata)
    for old in _paths(directory)[:-KEPT]:
        old.unlink(missing_ok=True)


def load(
    directory: Path, restore: Callable[[dict[str, np.ndarray]], State]
) -> tuple[int, State, dict[str, Any]] | None:
    """Return step, state and the JSON kept beside it of the newest readable checkpoint, or None.

    `restore` makes the state of the arrays, and raises `ValueError` if it cannot. A checkpoint
    cut short is passed over for the one before it.

    **Raises:** `CheckpointError` if the folder holds checkpoints and none can be read.
    """
    paths = _paths(directory)
    problems = []
    for path in reversed(paths):
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}
            return int(metadata["step"]), restore(arrays), json.loads(metadata["about"])
        except (SafetensorError, KeyError, ValueError) as error:
            problems.append(f"{path.name}: {error}")
    if paths:
        raise CheckpointError(
            f"none of the checkpoints in {directory / 'checkpoints'} can be read "
            f"({'; '.join(problems)}); give another directory or remove them."
        )
    return None
