import bz2
import io
import json
import lzma
import tarfile
import zipfile

import numpy as np
import pytest
from tiny_files import (
    idx,
    omniglot_arrays,
    pixels,
    usps_text,
    write_cifar,
    write_idx,
    write_omniglot_zip,
)

from hebbax import data


@pytest.fixture
def folder(tmp_path):
    def make(name):
        (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path / name

    return make


def _refused(name, root, message):
    with pytest.raises(ValueError, match=message) as error:
        data.load(name, root)
    assert "\n" not in str(error.value)
    assert str(root) in str(error.value)


def test_emnist_archive(folder, tmp_path):
    x, y = pixels(124, 28, 28), np.arange(124) % 62
    import gzip

    with zipfile.ZipFile(folder("emnist") / "gzip.zip", "w") as archive:
        for part in ("train", "test"):
            prefix = f"gzip/emnist-byclass-{part}"
            archive.writestr(f"{prefix}-images-idx3-ubyte.gz", gzip.compress(idx(x)))
            archive.writestr(f"{prefix}-labels-idx1-ubyte.gz", gzip.compress(idx(y)))
    got = data.load("emnist_byclass", tmp_path)
    np.testing.assert_array_equal(got.train_x, x.transpose(0, 2, 1))
    np.testing.assert_array_equal(got.train_y, y)
    assert len(got.class_names) == 62
    _refused("emnist_letters", tmp_path, "has no member gzip/emnist-letters-train-images")
    (tmp_path / "emnist" / "gzip.zip").write_bytes(b"PK not a zip")
    _refused("emnist_byclass", tmp_path, "not a sound zip")


def test_usps(folder, tmp_path):
    x, y = pixels(20, 16, 16), np.arange(20) % 10
    (folder("usps") / "usps.bz2").write_bytes(usps_text(x, y))
    (folder("usps") / "usps.t.bz2").write_bytes(usps_text(x[:5], y[:5]))
    got = data.load("usps", tmp_path)
    np.testing.assert_array_equal(got.train_x, x)
    np.testing.assert_array_equal(got.train_y, y)
    assert got.test_x.shape == (5, 16, 16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (usps_text(pixels(5, 16, 16), np.arange(5))[:-30], "truncated"),
        (b"no bzip2 at all", "truncated or not a bzip2 file"),
        (bz2.compress(b"1 1:0.5 300:0.5\n"), "not a LIBSVM file of 256 pixels"),
        (bz2.compress(b"hello world\n"), "not a LIBSVM file"),
        (bz2.compress(b"11 1:0.5\n"), "row 0 is 10 when counted from 0"),
        (bz2.compress(b"1 1:7.5\n"), r"outside \[-1, 1\]"),
        (bz2.compress(b"1 1:nan\n"), r"outside \[-1, 1\]"),
    ],
)
def test_usps_refusals(folder, tmp_path, content, message):
    (folder("usps") / "usps.bz2").write_bytes(content)
    (folder("usps") / "usps.t.bz2").write_bytes(usps_text(pixels(5, 16, 16), np.arange(5)))
    _refused("usps", tmp_path, message)


def _cifar_batches(x, y):
    rows = np.concatenate([y[:, None].astype(np.uint8), x.reshape(len(x), -1)], axis=1)
    batches = {f"data_batch_{i}.bin": rows[2 * i - 2 : 2 * i].tobytes() for i in range(1, 6)}
    return batches | {"test_batch.bin": rows.tobytes()}


def test_cifar_binary(folder, tmp_path):
    x, y = pixels(10, 3, 32, 32), np.arange(10)
    path = folder("cifar10") / "cifar-10-binary.tar.gz"
    write_cifar(path, _cifar_batches(x, y))
    got = data.load("cifar10", tmp_path)
    np.testing.assert_array_equal(got.train_x, x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(got.test_y, y)

    write_cifar(path, _cifar_batches(x, np.full(10, 77)))
    _refused("cifar10", tmp_path, "outside the 10 classes")
    write_cifar(path, {"data_batch_1.bin": b""})
    _refused("cifar10", tmp_path, "has no member")
    write_cifar(path, _cifar_batches(x, y) | {"test_batch.bin": b"12345"})
    _refused("cifar10", tmp_path, "holds 5 bytes, no multiple of 3073")
    write_cifar(path, _cifar_batches(x, y))
    path.write_bytes(path.read_bytes()[:5000])
    _refused("cifar10", tmp_path, "truncated or not a tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        info.type = tarfile.SYMTYPE
        info.linkname = "/etc/passwd"
        archive.addfile(info)
    _refused("cifar10", tmp_path, "has no member")


def test_cifar_npz_comes_first(folder, tmp_path):
    x, y = pixels(20, 16, 16, 3), (np.arange(20) % 10).astype(np.uint8)
    path = folder("cifar10") / "cifar10_16x16.npz"
    write_cifar(
        path.with_name("cifar-10-binary.tar.gz"), _cifar_batches(pixels(10, 3, 32, 32), y[:10])
    )
    arrays = {"train_images": x, "train_labels": y, "test_images": x[:10], "test_labels": y[:10]}
    np.savez(path, **arrays)
    got = data.load("cifar10", tmp_path)
    np.testing.assert_array_equal(got.train_x, x)
    np.savez(path, **(arrays | {"train_images": x.astype(np.float32)}))
    _refused("cifar10", tmp_path, "train_images as float32")
    np.savez(path, **(arrays | {"train_labels": y[:3]}))
    _refused("cifar10", tmp_path, "holds 20 images but .* holds 3 labels")
    np.savez(path, train_images=x)
    _refused("cifar10", tmp_path, "lacks train_labels, test_images, test_labels")


def test_az_letters_split_is_fixed(folder, tmp_path):
    x, y = pixels(260, 28, 28), (np.arange(260) % 26).astype(np.uint8)
    path = folder("az_letters") / "az_letters_28x28.npz"
    np.savez(path, images=x, labels=y)
    first, second = data.load("az_letters", tmp_path), data.load("az_letters", tmp_path)
    np.testing.assert_array_equal(first.test_x, second.test_x)
    assert first.train_x.shape == (208, 28, 28)
    assert first.test_x.shape == (52, 28, 28)
    together = np.concatenate([first.train_x, first.test_x]).reshape(260, -1)
    assert len(np.unique(together, axis=0)) == len(np.unique(x.reshape(260, -1), axis=0))
    blob = path.read_bytes()
    path.write_bytes(blob[: len(blob) // 2])
    _refused("az_letters", tmp_path, "not a sound npz")
    np.savez(path, images=np.array([{"a": 1}], object), labels=y)
    _refused("az_letters", tmp_path, "not a sound npz")
    stream = io.BytesIO()
    np.save(stream, x)
    path.write_bytes(stream.getvalue())
    _refused("az_letters", tmp_path, "one bare array")
    np.savez(path, images=x, labels=y.astype(float))
    _refused("az_letters", tmp_path, "labels as float64")


def test_tiny_imagenet(folder, tmp_path):
    x, y = pixels(8, 16, 16, 3), np.arange(8)
    path = folder("tiny_imagenet") / "tiny_imagenet_16x16.npz"
    names = np.asarray([f"thing {i}" for i in range(200)])
    arrays = {"train_images": x, "train_labels": y, "val_images": x[:3], "val_labels": y[:3]}
    np.savez(path, class_names=names, **arrays)
    got = data.load("tiny_imagenet", tmp_path)
    np.testing.assert_array_equal(got.train_x, x)
    np.testing.assert_array_equal(got.test_y, y[:3])
    assert got.class_names[7] == "thing 7"
    np.savez(path, **arrays)
    _refused("tiny_imagenet", tmp_path, "lacks class_names")


def _write_reviews(path, rows):
    text = "\n".join(json.dumps(row) for row in rows)
    path.write_bytes(lzma.compress(text.encode()))


def test_reviews_are_bags_of_words_split_by_movies(folder, tmp_path):
    path = folder("imdb") / "imdb_train.jsonl.xz"
    rows = [
        {"text": f"It's<br />GOOD, good w{chr(97 + i)}!", "label": i % 2, "movie": f"m{i % 10}"}
        for i in range(20)
    ]
    _write_reviews(path, rows)
    got = data.load("imdb", tmp_path)
    assert got.train_x.shape == (16, 1000)
    assert got.test_x.shape == (4, 1000)
    assert got.train_x.dtype == np.float32
    # "good" and "it's" are in every review, and counted once in each; then a word of its own.
    assert got.train_x[:, :2].all()
    np.testing.assert_array_equal(got.train_x.sum(axis=1), 3)
    # A movie's reviews are on one side, so the words of the others are unknown.
    np.testing.assert_array_equal(got.test_x.sum(axis=1), 2)
    _write_reviews(path, rows[::-1])
    again = data.load("imdb", tmp_path)
    np.testing.assert_array_equal(again.train_x, got.train_x[::-1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "not an xz file"),
        (lzma.compress(b'{"text": "so', preset=0)[:-8], "truncated"),
        (lzma.compress(b'{"text": "so", "label": 1}'), "no review in line 1.*movie"),
        (lzma.compress(b"[]"), "no review in line 1"),
        (lzma.compress(b'{"text": "so", "label": 2, "movie": "m"}'), "label outside|no examples"),
    ],
)
def test_reviews_refusals(folder, tmp_path, content, message):
    (folder("imdb") / "imdb_train.jsonl.xz").write_bytes(content)
    _refused("imdb", tmp_path, message)


@pytest.fixture
def ink():
    return np.random.default_rng(0).random((2, 20, 105, 105)) < 0.1


def test_omniglot_npz_and_zip_agree(folder, tmp_path, ink):
    path = folder("omniglot") / "omniglot_105_bits.npz"
    evaluation = ink[:1]
    np.savez(
        path, **omniglot_arrays("background", ink), **omniglot_arrays("evaluation", evaluation)
    )
    npz = data.load("omniglot", tmp_path)
    np.testing.assert_array_equal(npz.train_x, ink.reshape(40, 105, 105) * 255)
    np.testing.assert_array_equal(npz.train_y, np.repeat([0, 1], 20))
    assert npz.class_names == ("Alphabet/character01", "Alphabet/character02")
    assert npz.test_class_names == ("Alphabet/character01",)
    path.unlink()
    for split, images in (("background", ink), ("evaluation", evaluation)):
        write_omniglot_zip(path.with_name(f"images_{split}_repacked.zip"), split, images)
    zipped = data.load("omniglot", tmp_path)
    for field in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(npz, field), getattr(zipped, field))
    assert zipped.class_names == npz.class_names


def test_omniglot_sorts_rows(folder, tmp_path, ink):
    arrays = omniglot_arrays("background", ink) | omniglot_arrays("evaluation", ink)
    order = np.random.default_rng(1).permutation(40)
    for field in ("bits", "labels", "drawer"):
        arrays[f"background_{field}"] = arrays[f"background_{field}"][order]
    np.savez(folder("omniglot") / "omniglot_105_bits.npz", **arrays)
    got = data.load("omniglot", tmp_path)
    np.testing.assert_array_equal(got.train_x, got.test_x)


def test_omniglot_refusals(folder, tmp_path, ink):
    path = folder("omniglot") / "omniglot_105_bits.npz"
    arrays = omniglot_arrays("background", ink) | omniglot_arrays("evaluation", ink)
    np.savez(path, **(arrays | {"background_bits": arrays["background_bits"][:, :-1]}))
    _refused("omniglot", tmp_path, "background_bits as uint8")
    np.savez(path, **(arrays | {"background_labels": arrays["background_labels"][:-1]}))
    _refused("omniglot", tmp_path, "40 images, 39 labels")
    np.savez(path, **(arrays | {"evaluation_drawer": np.ones(40, np.uint8)}))
    _refused("omniglot", tmp_path, "exactly once")
    path.unlink()
    for split in ("background", "evaluation"):
        write_omniglot_zip(path.with_name(f"images_{split}.zip"), split, ink)
    write_omniglot_zip(path.with_name("images_background.zip"), "background", ink[:, :19])
    _refused("omniglot", tmp_path, "exactly once")
    write_omniglot_zip(path.with_name("images_background.zip"), "background", ink[..., :50])
    _refused("omniglot", tmp_path, "pixels, not")
    with zipfile.ZipFile(path.with_name("images_background.zip"), "w") as archive:
        archive.writestr("readme.txt", "nothing")
    _refused("omniglot", tmp_path, "holds no Omniglot image")
    path.with_name("images_background.zip").write_bytes(b"nothing")
    _refused("omniglot", tmp_path, "not a zip file")


def test_an_idx_file_needs_its_folder(folder, tmp_path):
    write_idx(folder("kmnist"), "train-images-idx3-ubyte.gz", pixels(2, 28, 28))
    with pytest.raises(FileNotFoundError, match=r"needs train-labels.* in .*kmnist: get it from"):
        data.load("kmnist", tmp_path)
