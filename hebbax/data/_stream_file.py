"""A stream of one's own: an npz file, or a table of comma-separated values."""

import csv
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int32

from hebbax._foreign import refusing
from hebbax.data._archives import load_npz
from hebbax.data.rows import check_rows

ENDINGS = (".npz", ".csv")
NO_CLASS = ("", "nan", "inf", "-inf", "infinity", "-infinity")
"""What programs write where there is none."""


def read_stream_file(
    path: str | os.PathLike[str],
) -> tuple[Float[np.ndarray, "rows in"], Int32[np.ndarray, " rows"], tuple[str, ...]]:
    """Read rows in the order of time, their classes counted from 0, and the classes' names.

    An npz file holds `x` `[rows, in]` and `y` `[rows]`. A csv file has a row a line, its features
    and, in the last column, its class, which may be a word; a first line in which no feature is a
    number is a header. Classes are numbered in the order of their names. Rows are float32 if the
    file's are, and else in double precision, which times need until they are standardised.

    **Raises:** `FileNotFoundError`; `ValueError` for another ending, or a file that is not such.
    """
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise ValueError(f"{path} must end with {' or '.join(ENDINGS)}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    x, labels = _npz(path) if path.suffix == ".npz" else _csv(path)
    rows = check_rows(f"{path}: x", x)
    if labels.shape != rows.shape[:1]:
        raise ValueError(
            f"{path} must hold a class y for each row of x; got {list(labels.shape)} for "
            f"{len(rows)} rows."
        )
    names, y = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"{path} must hold at least two classes; got {len(names)}.")
    return rows, y.astype(np.int32), tuple(map(str, names))


def _npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    arrays = load_npz(path, ("x", "y"))
    y = arrays["y"]
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{path} must hold a class y for each row; got NaN or infinity.")
    return arrays["x"], y


def _csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    # What programs for tables write begins with a mark of the encoding.
    with (
        refusing(f"{path} is no table of comma-separated values"),
        path.open(newline="", encoding="utf-8-sig") as file,
    ):
        lines = [line for line in csv.reader(file, strict=True) if line]
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
        if line[-1].strip().lower() in NO_CLASS:
            raise ValueError(
                f"{path} must hold a class in each row; row {index}, counted from 0, has "
                f"{line[-1]!r}."
            )
        rows.append([float(value) for value in line[:-1]])
    labels = [line[-1].strip() for line in lines]
    if all(map(_number, labels)):
        return np.asarray(rows), np.asarray(labels, float)
    return np.asarray(rows), np.asarray(labels)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
