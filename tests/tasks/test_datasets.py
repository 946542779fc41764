import time

import jax
import numpy as np
import pytest
import tiny_files as files
from equinox import filter_jit

import hebbax.data
from hebbax import tasks
from hebbax.tasks import _datasets


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A tiny MNIST; returns its arrays."""
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    return files.write_mnist(tmp_path / "mnist", train=120, test=20)


def test_images(mnist, key):
    family = tasks.images("mnist")
    assert (family.name, family.inputs, family.outputs) == ("mnist", 784, 10)
    np.testing.assert_allclose(family.train_x.mean(), 0, atol=1e-5)
    np.testing.assert_allclose(family.train_x.std(), 1, rtol=1e-5)
    assert tasks.images("mnist") is family
    x, y = family.test_set()
    assert x.shape == (20, 784)
    np.testing.assert_array_equal(np.argmax(y, axis=1), mnist[3])
    raw = tasks.images("mnist", standardize=False)
    np.testing.assert_allclose(raw.test_set()[0], mnist[2].reshape(20, -1) / 255, rtol=1e-6)


def test_crop_and_size(mnist):
    family = tasks.images("mnist", size=10, crop=20, standardize=False)
    assert family.inputs == 100
    assert family.name == "mnist,crop20,size10"
    blocks = mnist[2][:, 4:24, 4:24].reshape(20, 10, 2, 10, 2).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(family.test_set()[0], blocks.reshape(20, 100), rtol=1e-4)


def test_class_subset_is_relabelled(mnist):
    family = tasks.images("mnist", classes=(5, 6, 7, 8, 9), standardize=False)
    assert family.outputs == 5
    x, y = family.test_set()
    keep = mnist[3] >= 5
    np.testing.assert_array_equal(np.argmax(y, axis=1), mnist[3][keep] - 5)
    np.testing.assert_allclose(x, mnist[2][keep].reshape(-1, 784) / 255, rtol=1e-6)
    turned = tasks.images("mnist", classes=(9, 8), standardize=False)
    assert turned.outputs == 2
    kept = mnist[3][(mnist[3] == 8) | (mnist[3] == 9)]
    np.testing.assert_array_equal(np.argmax(turned.test_set()[1], axis=1), 9 - kept)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop": 29}, "crop must be from 1 to 28 .* got 29"),
        ({"crop": 0}, "crop must be from 1 .* got 0"),
        ({"size": 0}, r"size must be a whole number in \[1, 256\]; got 0"),
        ({"size": 1000}, r"size must be .* in \[1, 256\]; got 1000"),
        ({"classes": (3,)}, "two or more different numbers"),
        ({"classes": (3, 3)}, "two or more different numbers"),
        ({"classes": (3, 10)}, r"classes must be a tuple, each item a whole number in \[0, 9\]"),
        ({"classes": (-1, 3)}, r"in \[0, 9\]; got \(-1, 3\)"),
        ({"classes": (1, 2.9)}, r"each item a whole number in \[0, 9\]; got \(1, 2\.9\)"),
    ],
)
def test_bad_options(mnist, unchecked, arguments, message):
    with pytest.raises(ValueError, match=message):
        tasks.images("mnist", **arguments)


def test_unknown_names():
    with pytest.raises(ValueError, match="Did you mean 'mnist'"):
        tasks.images("mnsit")
    with pytest.raises(ValueError, match=r"table must be one of iris, wine, breast_cancer"):
        tasks.tabular("titanic")
    with pytest.raises(ValueError, match=r"task must be one of .*Did you mean 'two_moons'"):
        tasks.by_name("two_moon")


@pytest.mark.parametrize(
    ("make", "inputs", "outputs"),
    [
        (tasks.digits, 64, 10),
        (tasks.iris, 4, 3),
        (tasks.wine, 13, 3),
        (tasks.breast_cancer, 30, 2),
        (lambda: tasks.digits(size=4), 16, 10),
    ],
)
def test_bundled(make, inputs, outputs, key):
    family = make()
    assert (family.inputs, family.outputs) == (inputs, outputs)
    episode = filter_jit(family.sample)(key, 2, 3, query=4)
    assert episode.x.shape == (2, 3, inputs)
    assert episode.query_y.shape == (4, outputs)
    assert np.isfinite(family.test_set()[0]).all()
    assert make() is family


def test_table_columns_are_standardized():
    train = tasks.wine().train_x
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["xor", "wine", "digits", "blobs5", "mnist"])
def test_by_name(mnist, name, key):
    family = tasks.by_name(name)
    assert isinstance(family, tasks.AbstractFamily)
    assert filter_jit(family.sample)(key, 1, 2).x.shape == (1, 2, family.inputs)
    assert name in tasks.names()


def test_by_name_options(mnist):
    assert tasks.by_name("mnist", size=7, crop=14).inputs == 49
    with pytest.raises(ValueError, match=r"size must be left out, for xor has no pixels .* got 8"):
        tasks.by_name("xor", size=8)
    with pytest.raises(ValueError, match="crop must be left out, for wine cannot"):
        tasks.by_name("wine", crop=8)
    with pytest.raises(ValueError, match="crop must be left out, for omniglot"):
        tasks.by_name("omniglot", crop=8)


def test_all_names_are_different():
    assert len(set(tasks.names())) == len(tasks.names())
    assert set(hebbax.data.names()) <= set(tasks.names())


@pytest.mark.data
def test_real_mnist_is_quick(key):
    if not (_found := {r.name: r.found for r in hebbax.data.available()})["mnist"]:
        pytest.skip(f"no MNIST among {_found}")
    _datasets._images_cached.cache_clear()
    start = time.perf_counter()
    family = tasks.images("mnist", size=10, crop=20)
    assert time.perf_counter() - start < 6
    x, y = family.test_set()
    assert x.shape == (10_000, 100)
    # The nearest class mean gets three digits of four right: the labels belong to the images.
    means = jax.nn.one_hot(family.train_y, 10).T @ family.train_x
    means = means / jax.nn.one_hot(family.train_y, 10).sum(axis=0)[:, None]
    guess = np.argmax(x @ means.T - 0.5 * (means**2).sum(axis=1)[None, :], axis=1)
    assert (guess == np.argmax(y, axis=1)).mean() > 0.75
