import jax
import numpy as np
import pytest
from equinox import filter_jit

from hebbax import data, tasks

ROWS = np.arange(60, dtype=np.float32).reshape(30, 2)
LABELS = (np.arange(30) // 4 % 3).astype(np.int32)


def test_batches_are_consecutive_and_the_query_comes_next(key):
    family = tasks.stream(ROWS, LABELS)
    assert (family.inputs, family.outputs) == (2, 3)
    episode = filter_jit(family.sample)(key, 4, 5, 3)
    seen = np.concatenate([episode.x.reshape(-1, 2), episode.query_x])
    np.testing.assert_array_equal(np.diff(seen[:, 0]), 2)
    labels = np.concatenate([episode.y.reshape(-1, 3), episode.query_y]).argmax(axis=1)
    np.testing.assert_array_equal(labels, LABELS[(seen[:, 0] // 2).astype(int)])
    np.testing.assert_array_equal(family.test_set()[0], ROWS)


def test_refused():
    with pytest.raises(ValueError, match="31 batches of 1 need 31 rows, but stream has 30"):
        tasks.stream(ROWS, LABELS).sample(jax.random.key(0), 31, 1)
    with pytest.raises(ValueError, match="got 30 rows and 29 classes"):
        tasks.stream(ROWS, LABELS[1:])
    with pytest.raises(ValueError, match="must be finite"):
        tasks.stream(np.full_like(ROWS, np.nan), LABELS)
    with pytest.raises(ValueError, match="must count classes from 0"):
        tasks.stream(ROWS, LABELS - 1)
    with pytest.raises(ValueError, match="above the largest label, 2; got 2"):
        tasks.stream(ROWS, LABELS, outputs=2)
    with pytest.raises(ValueError, match="class for each row"):
        tasks.stream(ROWS)
    with pytest.raises(ValueError, match="left out with the name"):
        tasks.stream("elec2", LABELS)
    with pytest.raises(ValueError, match="digits is no stream"):
        tasks.stream("digits")


def test_a_registered_stream(tmp_path, monkeypatch):
    (tmp_path / "streams").mkdir()
    x = np.ones((6, 3), np.float32)
    np.savez(tmp_path / "streams" / "sea.npz", x=x, y=np.arange(6) % 2)
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    assert filter_jit(tasks.stream("sea").sample)(jax.random.key(0), 2, 3).x.shape == (2, 3, 3)
    assert len(data.load("sea").test_x) == 0
    np.savez(tmp_path / "streams" / "sea.npz", x=x[:, :2], y=np.arange(6) % 2)
    with pytest.raises(ValueError, match=r"not float32 \[rows, 3\]"):
        data.load("sea")
    np.savez(tmp_path / "streams" / "sea.npz", x=x, y=np.arange(6) / 2)
    with pytest.raises(ValueError, match="labels that are no whole numbers"):
        data.load("sea")


def test_labels_of_a_registered_stream_are_checked_before_they_are_cast(tmp_path, monkeypatch):
    (tmp_path / "streams").mkdir()
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    x = np.ones((6, 3), np.float32)
    np.savez(tmp_path / "streams" / "sea.npz", x=x, y=np.arange(6) % 2 + 2**32)
    with pytest.raises(ValueError, match="row 0 is 4294967296"):
        data.load("sea")
    x[2, 1] = np.nan
    np.savez(tmp_path / "streams" / "sea.npz", x=x, y=np.arange(6) % 2)
    with pytest.raises(ValueError, match="not finite"):
        data.load("sea")
