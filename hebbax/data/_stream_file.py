"""A stream of one's own: an npz file, or a table of comma-separated values."""

import csv
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from hebbax.data._readers import load_npz

ENDINGS = (".npz", ".csv")


def read_stream_file(
    path: str | os.PathLike[str],
) -> tuple[Float32[np.ndarray, "rows in"], Int32[np.ndarray, " rows"], tuple[str, ...]]:
    """Read rows in the order of time, their classes counted from 0, and the classes' names.

    An npz file holds `x` `[rows, in]` and `y` `[rows]`. A csv file has a row a line, its features
    and, in the last column, its class, which may be a word; a first line in which no feature is a
    number is a header. Classes are numbered in the order of their names.

    **Raises:** `FileNotFoundError`; `ValueError` for another ending, or a file that is not such.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(f"{path} must end with {' or '.join(ENDINGS)}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    x, labels = _npz(path) if path.suffix == ".npz" else _csv(path)
    if not np.isfinite(x).all():
        row = int(np.argmax(~np.isfinite(x).all(axis=1)))
        raise ValueError(f"{path} holds what is not a finite number in row {row}, counted from 0.")
    names, y = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{path} must hold at least two classes; got {len(names)}.")
    return x, y.astype(np.int32), tuple(map(str, names))


def _npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    arrays = load_npz(path, ("x", "y"))
    x, y = arrays["x"], arrays["y"]
    if x.ndim != 2 or y.shape != x.shape[:1] or not np.issubdtype(x.dtype, np.number):
        raise ValueError(
            f"{path} must hold numbers x [rows, in] and y [rows]; got {list(x.shape)} and "
            f"{list(y.shape)}."
        )
    return x.astype(np.float32), y


def _csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.reader(file) if line]
    if lines and not any(map(_number, lines[0][:-1])):
        lines = lines[1:]
    if not lines or len(lines[0]) < 2:
        raise ValueError(f"{path} must hold rows of at least one feature and a class.")
    rows = []
    for index, line in enumerate(lines):
        if len(line) != len(lines[0]) or not all(map(_number, line[:-1])):
            raise ValueError(
                f"{path} must hold {len(lines[0]) - 1} numbers and a class in each row; "
                f"row {index}, counted from 0, does not."
            )
        rows.append([float(value) for value in line[:-1]])
    labels = [line[-1] for line in lines]
    if all(map(_number, labels)):
        return np.asarray(rows, np.float32), np.asarray(labels, float)
    return np.asarray(rows, np.float32), np.asarray(labels)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
