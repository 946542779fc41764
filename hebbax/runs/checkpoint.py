"""Checkpoints: whole or not at all, of one run only, the last few kept."""

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import safe_open

from hebbax._files import check_digest, write_arrays
from hebbax._foreign import is_count, parse_json, refusing, size_of

KEPT = 3
State = TypeVar("State")


class CheckpointError(ValueError):
    """A run directory that cannot be gone on with; the message says why."""


def run_digest(config: dict[str, Any]) -> str:
    """Return what tells the checkpoints of the run with these settings from those of others."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def _paths(directory: Path) -> list[Path]:
    return sorted((directory / "checkpoints").glob("step-*.safetensors"))


def _path(directory: Path, step: int) -> Path:
    return directory / "checkpoints" / f"step-{step:010d}.safetensors"


def save(
    directory: Path,
    step: int,
    arrays: dict[str, np.ndarray],
    about: dict[str, Any],
    run: str = "",
) -> None:
    """Write the checkpoint of `step` of a run and remove all but the last `KEPT`.

    Those of later steps were passed over when the run was gone on with, and are removed too.

    **Raises:** `OSError` if it cannot be written; those before are left as they are.
    """
    metadata = {"step": str(step), "about": json.dumps(about), "run": run}
    path = _path(directory, step)
    write_arrays(path, arrays, metadata)
    paths = _paths(directory)
    for old in (*paths[paths.index(path) + 1 :], *paths[: paths.index(path) + 1][:-KEPT]):
        old.unlink(missing_ok=True)


def load(
    directory: Path, restore: Callable[[dict[str, np.ndarray]], State], run: str | None = None
) -> tuple[int, State, dict[str, Any]] | None:
    """Return step, state and the JSON kept beside it of the newest readable checkpoint, or None.

    `restore` makes the state of the arrays, and raises `ValueError` if it cannot. `run` is the
    `run_digest` of the run that they must belong to, None for any. A checkpoint
    that is damaged or cannot be opened is passed over with a warning for the one before it. One
    written before checkpoints had digests is read, with a warning.

    **Raises:** `CheckpointError` if the folder holds checkpoints and none can be read, or the
    newest whole one is of another run.
    """
    paths = _paths(directory)
    problems: list[str] = []
    for path in reversed(paths):
        try:
            with refusing("it cannot be used"):
                sealed, metadata, arrays = _read(path)
                step, about = int(metadata["step"]), parse_json(metadata["about"])
                _check_about(about)
                if path != _path(directory, step):
                    raise ValueError(f"it is the checkpoint of step {step}")
            if sealed and run is not None and metadata.get("run") != run:
                raise CheckpointError(
                    f"{path} is a checkpoint of another run, with other settings than those of "
                    f"{directory / 'config.json'}; remove it, or give another directory."
                )
            state = restore(arrays)
        except CheckpointError:
            raise
        except ValueError as error:
            problems.append(f"{path.name}: {str(error).removesuffix('.')}")
            continue
        if problems:
            _warn(
                f"{len(problems)} of the checkpoints in {path.parent} cannot be read "
                f"({'; '.join(problems)}); the run goes on from step {step}."
            )
        if not sealed:
            _warn(
                f"{path} was written by an older version of hebbax, without a digest of its "
                f"content or of its run: whether it is whole and belongs here cannot be told."
            )
        return step, state, about
    if paths:
        raise CheckpointError(
            f"none of the checkpoints in {directory / 'checkpoints'} can be read "
            f"({'; '.join(problems)}); give another directory or remove them."
        )
    return None


def _read(path: Path) -> tuple[bool, dict[str, str], dict[str, np.ndarray]]:
    """Return whether a checkpoint holds its digest, its metadata and its arrays."""
    size_of(path)
    sealed = check_digest(path.read_bytes())
    with safe_open(path, framework="numpy") as file:
        return sealed, file.metadata() or {}, {n: file.get_tensor(n) for n in file.keys()}


def _check_about(about: dict[str, Any]) -> None:
    """Refuse what is kept beside a state where it is not what `save` is given by a run.

    **Raises:** `ValueError`, or whatever Python says of things of other types.
    """
    best, log = about["best"], about.get("log", {"bytes": 0, "lines": 0})
    counts = about.get("stage", 0), best["run"], best["step"], log["bytes"], log["lines"]
    if not all(is_count(count, least=0) for count in counts):
        raise ValueError("it does not say where the run was")
    if not all(isinstance(loss, (float, int)) for loss in (best["loss"], *about.get("judged", ()))):
        raise ValueError("it does not say how the run was judged")


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)
