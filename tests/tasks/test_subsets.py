import jax
import numpy as np
import pytest
from equinox import filter_jit

from hebbax import tasks
from hebbax.data import load


@pytest.fixture(scope="module")
def family():
    return tasks.subsets("digits", 4, 8)


def _rows(x):
    return {row.tobytes() for row in np.rint(255 * np.asarray(x).reshape(-1, 64)).astype(np.uint8)}


def test_rows_belong_to_the_classes_of_the_task(family, key):
    dataset = load("digits")
    of_class = {
        c: _rows(dataset.train_x[dataset.train_y == c].astype(np.float32) / 255) for c in range(10)
    }
    task = filter_jit(family.draw)(key)
    assert len(set(np.asarray(task.classes).tolist())) == 4
    x, y = filter_jit(task.stream)(key, 10, 20)
    q, r = filter_jit(task.query)(key, 300)
    for rows, targets in ((x.reshape(-1, 64), y.reshape(-1, 4)), (q, r)):
        for row, target in zip(np.asarray(rows), np.asarray(targets), strict=True):
            assert _rows(row) <= of_class[int(task.classes[target.argmax()])]
    assert not _rows(x) & _rows(q)


def test_test_set(family, key):
    task = filter_jit(family.draw)(key)
    x, y = filter_jit(task.test_set)()
    counts = np.asarray(y).sum(axis=0)
    assert counts.min() == counts.max() > 20
    dataset = load("digits")
    assert _rows(x) <= _rows(dataset.test_x.astype(np.float32) / 255)


def test_colours_become_grey():
    from hebbax.tasks import _subsets

    colours = np.zeros((3, 4, 4, 3), np.uint8)
    for channel in range(3):
        colours[channel, ..., channel] = 200
    grey = _subsets._grey(colours, 2)
    assert grey.shape == (3, 4)
    np.testing.assert_array_equal(grey[:, 0], [60, 117, 23])


def test_tasks_differ(family):
    keys = jax.random.split(jax.random.key(0), 8)
    classes = jax.jit(jax.vmap(lambda k: family.draw(k).classes))(keys)
    assert len({tuple(c) for c in np.asarray(classes).tolist()}) > 4
    with pytest.raises(ValueError, match="fix one with family"):
        family.query(jax.random.key(0), 3)
    with pytest.raises(ValueError, match="fix one with family"):
        family.test_set()


@pytest.mark.data
def test_photographs_and_letters(key):
    for name in ("cifar10", "az_letters"):
        family = tasks.subsets(name, 10, 14)
        x, y = filter_jit(family.draw(key).query)(key, 100)
        assert x.shape == (100, 196)
        assert 0 <= float(x.min()) < float(x.max()) <= 1
        assert np.asarray(y).sum() == 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing",), "set of images"),
        (("digits", 11), r"ways must be a whole number in \[2, 10\]; got 11"),
        (("digits", 3, 0), r"size must be a whole number in \[1, 256\]; got 0"),
    ],
)
def test_bad_settings(words, message):
    with pytest.raises(ValueError, match=message):
        tasks.subsets(*words)
