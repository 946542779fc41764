import jax
import numpy as np
import pytest
from equinox import filter_jit

from hebbax import tasks


@pytest.fixture
def family(key):
    x = np.asarray(jax.random.normal(key, (600, 5)))
    y = np.arange(600) % 4
    return tasks.from_arrays(x, y, x[:40], y[:40], standardize=False)


def test_no_noise_changes_nothing_but_the_key(family, key):
    same = filter_jit(tasks.noisy(family).draw)(key)
    first = jax.random.split(key, 4)[0]
    for a, b in zip(
        filter_jit(same.stream)(key, 3, 7),
        filter_jit(family.stream)(first, 3, 7),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(filter_jit(same.query)(key, 9), filter_jit(family.query)(key, 9), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(same.test_set()[0], family.test_set()[0])
    assert (same.inputs, same.outputs) == (5, 4)


def test_amount_of_noise(family, key):
    first = jax.random.split(key, 4)[0]
    clean_x, clean_y = filter_jit(family.stream)(first, 100, 50)
    x, y = filter_jit(tasks.noisy(family, pixels=2.0, labels=0.4).stream)(key, 100, 50)
    noise = (np.asarray(x) * np.sqrt(5) - clean_x) / 2
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert np.asarray(x).std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(np.asarray(y).sum(axis=-1), 1)
    # A quarter of those drawn anew are right.
    wrong = np.mean(np.any(np.asarray(y) != clean_y, axis=-1))
    assert wrong == pytest.approx(0.3, abs=0.03)


def test_one_column_of_targets(key):
    family = tasks.noisy(tasks.toy("xor", outputs=1), labels=1.0)
    _, y = filter_jit(family.draw(key).stream)(key, 10, 100)
    assert y.shape == (10, 100, 1)
    assert np.asarray(y).mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pixels": -1.0}, "pixels must be a finite number of at least 0; got -1.0"),
        ({"pixels": float("nan")}, "pixels must be a finite number .* got nan"),
        ({"labels": 1.2}, r"labels must be a finite number in \[0, 1\]; got 1.2"),
    ],
)
def test_bad_settings(family, settings, message):
    with pytest.raises(ValueError, match=message):
        tasks.noisy(family, **settings)


def test_names_tell_noise_apart(family):
    names = {tasks.noisy(family, *noise).name for noise in ((0.0, 0.0), (1.0, 0.0), (0.0, 0.5))}
    assert len(names) == 3
