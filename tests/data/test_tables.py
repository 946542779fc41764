"""Tables of the UCI repository, as they are registered."""

import numpy as np
import pytest

import hebbax as hx
from hebbax import data


@pytest.fixture
def seeds(tmp_path, monkeypatch):
    """Return what writes a file of the table of seeds."""
    (tmp_path / "tabular").mkdir()
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    x, y = np.random.default_rng(0).normal(size=(30, 7)).astype(np.float32), np.arange(30) % 3

    def write(**changes):
        np.savez(tmp_path / "tabular" / "wheat_seeds.npz", **{"x": x, "y": y, **changes})

    return write


def test_a_table_is_split_by_class(seeds):
    seeds()
    found = data.load("wheat_seeds")
    assert np.bincount(found.train_y).tolist() == [7, 7, 7]
    assert np.bincount(found.test_y).tolist() == [3, 3, 3]
    assert found.train_x.shape == (21, 7)
    family = hx.tasks.by_name("wheat_seeds")
    assert (family.inputs, family.outputs) == (7, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": np.ones((30, 6), np.float32)}, r"not float32 \[rows, 7\]"),
        ({"x": np.full((30, 7), np.nan, np.float32)}, "not a finite number"),
        ({"y": np.arange(30)}, "outside the 3 classes"),
        ({"y": np.arange(29) % 3}, "30 images but .* 29 labels"),
    ],
)
def test_a_foreign_table_is_refused(seeds, changes, words):
    seeds(**changes)
    with pytest.raises(ValueError, match=words):
        data.load("wheat_seeds")


def test_the_register_is_what_the_files_hold():
    for entry in (e for e in data.available() if e.name in hx.tasks.UCI and e.found):
        found = data.load(entry.name)
        assert len(np.unique(found.train_y)) == entry.classes
