"""Tables of measurements in numpy's format, without an official split."""

from pathlib import Path

import numpy as np

from hebbax.data._archives import load_npz
from hebbax.data._bundled import DEFAULT_TEST_FRACTION, stratified
from hebbax.data._dataset import Dataset, check_pair, whole_labels
from hebbax.data._sources import Source


def read_table(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Read `x` float32 `[rows, in]` and `y` `[rows]`; 30 per cent of each class are for testing."""
    (path,) = paths
    arrays = load_npz(path, ("x", "y"))
    x, y = arrays["x"], whole_labels(arrays["y"], f"y of {path}")
    if x.dtype != np.float32 or x.shape[1:] != entry.shape:
        raise ValueError(
            f"{path} holds x as {x.dtype} {list(x.shape)}, not float32 [rows, {entry.shape[0]}]"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"{path} holds what is not a finite number")
    check_pair(x, y, len(entry.class_names), str(path), str(path))
    y = y.astype(np.int32)
    test = stratified(y, DEFAULT_TEST_FRACTION, seed=0)
    return Dataset(
        entry.name, x[~test], y[~test], x[test], y[test], entry.class_names, path=path.parent
    )
