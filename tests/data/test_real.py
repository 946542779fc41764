"""The real files, where they are."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from hebbax import data

pytestmark = pytest.mark.data


def _need(name):
    found = {row.name: row.found for row in data.available()}[name]
    if found is None:
        pytest.skip(f"{name} is not in {os.environ.get('HEBBAX_DATA')}")
    return Path(found)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_mnist_family(name):
    _need(name)
    got = data.load(name)
    assert got.train_x.shape == (60_000, 28, 28)
    assert got.test_x.shape == (10_000, 28, 28)
    counts = {
        "mnist": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        "fashion_mnist": [1000] * 10,
    }
    np.testing.assert_array_equal(np.bincount(got.test_y), counts[name])


def test_cifar10():
    _need("cifar10")
    got = data.load("cifar10")
    assert got.train_x.shape[0] == 50_000
    np.testing.assert_array_equal(np.bincount(got.test_y), [1000] * 10)


def test_az_letters():
    _need("az_letters")
    got = data.load("az_letters")
    assert len(got.train_x) == 4747
    assert set(got.test_y) == set(range(26))


def test_tiny_imagenet():
    _need("tiny_imagenet")
    got = data.load("tiny_imagenet")
    np.testing.assert_array_equal(np.bincount(got.train_y), [100] * 200)
    np.testing.assert_array_equal(np.bincount(got.test_y), [50] * 200)
    assert len(got.class_names) == 200


@pytest.mark.slow
def test_reviews():
    _need("imdb")
    got = data.load("imdb")
    assert len(got.train_x) + len(got.test_x) == 25_000
    assert 0.15 < len(got.test_x) / 25_000 < 0.25
    # The commonest words are in most reviews, and there are as many good as bad ones.
    assert (got.train_x[:, :2].mean(axis=0) > 0.9).all()
    assert abs(got.train_y.mean() - 0.5) < 0.05


def test_omniglot():
    _need("omniglot")
    got = data.load("omniglot")
    assert got.train_x.shape == (19_280, 105, 105)
    assert got.test_x.shape == (13_180, 105, 105)
    assert len(got.class_names) == 964
    # Strokes are thin: far more paper than ink.
    assert 0.02 < (got.train_x[:500] == 255).mean() < 0.15


@pytest.mark.slow
def test_omniglot_forms_agree(tmp_path):
    folder = _need("omniglot")
    zips = sorted(folder.glob("images_*.zip"))
    if len(zips) < 2 or not (folder / "omniglot_105_bits.npz").is_file():
        pytest.skip(f"{folder} does not hold both forms of Omniglot")
    (tmp_path / "omniglot").mkdir()
    for path in zips:
        (tmp_path / "omniglot" / path.name).symlink_to(path)
    npz, zipped = data.load("omniglot"), data.load("omniglot", tmp_path)
    np.testing.assert_array_equal(npz.train_x, zipped.train_x)
    np.testing.assert_array_equal(npz.test_y, zipped.test_y)
    assert npz.class_names == zipped.class_names


def test_mnist_in_the_fashion_folder_is_refused(tmp_path):
    mnist = _need("mnist")
    shutil.copytree(mnist, tmp_path / "fashion_mnist")
    with pytest.raises(ValueError, match=r"is the MNIST file .*, not Fashion-MNIST"):
        data.load("fashion_mnist", tmp_path)


def test_swapped_files_are_refused(tmp_path):
    mnist = _need("mnist")
    shutil.copytree(mnist, tmp_path / "mnist")
    for kind in ("images-idx3", "labels-idx1"):
        shutil.copy(mnist / f"train-{kind}-ubyte.gz", tmp_path / "mnist" / f"t10k-{kind}-ubyte.gz")
    with pytest.raises(ValueError, match=r"t10k-images.*is the MNIST file train-images"):
        data.load("mnist", tmp_path)


def test_preparing_mnist_is_quick():
    _need("mnist")
    from hebbax.data import images

    x = data.load("mnist").train_x
    start = time.perf_counter()
    got = images.resize(images.crop(x, 20), 10)
    assert got.shape == (60_000, 10, 10)
    assert time.perf_counter() - start < 5
