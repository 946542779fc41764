"""Streams: rows in the order of time, in numpy's format."""

from pathlib import Path

import numpy as np

from hebbax.data._dataset import Dataset, check_pair, whole_labels
from hebbax.data._readers import load_npz
from hebbax.data._sources import Source


def read_stream(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Read `x` float32 `[rows, in]` and `y` `[rows]`, in the order of time; no row is for testing.

    Every row is predicted before it is learnt from, so none need be held out.
    """
    (path,) = paths
    arrays = load_npz(path, ("x", "y"))
    x, y = arrays["x"], arrays["y"]
    if x.dtype != np.float32 or x.shape[1:] != entry.shape:
        raise ValueError(
            f"{path} holds x as {x.dtype} {list(x.shape)}, not float32 [rows, {entry.shape[0]}]"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"{path} holds what is not finite")
    y = whole_labels(y, str(path))
    check_pair(x, y, len(entry.class_names), str(path), str(path))
    y = y.astype(np.int32)
    return Dataset(entry.name, x, y, x[:0], y[:0], entry.class_names, path=path.parent)
