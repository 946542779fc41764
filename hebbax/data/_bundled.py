"""The small data sets that come with scikit-learn, with a split that is fixed for ever."""

import importlib

import numpy as np
from jaxtyping import Bool, Int, Int32

from hebbax.data._dataset import Dataset
from hebbax.data._sources import Source

_TEST_FRACTION = {"digits": 797 / 1797}
DEFAULT_TEST_FRACTION = 0.3


def stratified(labels: Int[np.ndarray, "n"], fraction: float, seed: int) -> Bool[np.ndarray, "n"]:
    """Choose about `fraction` of the rows of every class; True where a row is chosen.

    The choice depends on `labels`, `fraction` and `seed` only. A class with two rows or more has
    at least one row on either side; the only row of a class is not chosen.
    """
    # RandomState's stream is frozen by numpy's compatibility policy; default_rng's is not.
    order = np.random.RandomState(seed).permutation(len(labels))
    # A stable sort by class keeps the random order within each class.
    order = order[np.argsort(labels[order], kind="stable")]
    _, counts = np.unique(labels, return_counts=True)
    chosen = np.zeros(len(labels), bool)
    start = 0
    for count in counts:
        share = min(max(round(count * fraction), 1), count - 1)
        chosen[order[start : start + share]] = True
        start += count
    return chosen


def read_bundled(entry: Source) -> Dataset:
    """Read digits, iris, wine or breast_cancer; the test part is stratified.

    Digits become images in 0..255 and keep 797 or so of 1,797 rows for testing; the tables keep
    30 per cent.
    """
    datasets = importlib.import_module("sklearn.datasets")
    x, y = getattr(datasets, f"load_{entry.name}")(return_X_y=True)
    labels: Int32[np.ndarray, "n"] = y.astype(np.int32)
    if entry.name == "digits":
        # scikit-learn's digits have 17 grey levels, 0..16.
        x = np.rint(x.reshape(-1, *entry.shape) * (255 / 16)).astype(np.uint8)
    else:
        x = x.astype(np.float32)
    test = stratified(labels, _TEST_FRACTION.get(entry.name, DEFAULT_TEST_FRACTION), seed=0)
    return Dataset(entry.name, x[~test], labels[~test], x[test], labels[test], entry.class_names)
