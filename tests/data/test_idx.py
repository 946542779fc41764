import gzip

import numpy as np
import pytest
from tiny_files import IDX, idx, pixels, write_idx, write_mnist

from hebbax import data

TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = IDX


def test_reads_what_was_written(tmp_path):
    train_x, train_y, test_x, test_y = write_mnist(tmp_path / "mnist")
    got = data.load("mnist", tmp_path)
    assert got.name == "mnist"
    assert got.path == tmp_path / "mnist"
    assert got.is_image
    assert got.train_y.dtype == np.int32
    for mine, theirs in (
        (got.train_x, train_x),
        (got.train_y, train_y),
        (got.test_x, test_x),
        (got.test_y, test_y),
    ):
        np.testing.assert_array_equal(mine, theirs)


def _truncate(folder):
    path = folder / TRAIN_X
    path.write_bytes(path.read_bytes()[:-40])


def _not_gzip(folder):
    (folder / TRAIN_X).write_bytes(b"<html>404 not found</html>")


def _bit_flip(folder):
    path = folder / TRAIN_Y
    blob = bytearray(path.read_bytes())
    blob[-6] ^= 0xFF
    path.write_bytes(bytes(blob))


def _empty_file(folder):
    (folder / TRAIN_X).write_bytes(b"")


def _labels_as_images(folder):
    write_idx(folder, TRAIN_X, np.arange(20) % 10)


def _short(folder):
    (folder / TEST_X).write_bytes(gzip.compress(idx(pixels(10, 28, 28))[:-5]))


def _long(folder):
    (folder / TEST_X).write_bytes(gzip.compress(idx(pixels(10, 28, 28)) + b"xx"))


def _huge_header(folder):
    header = bytes((0, 0, 8, 3)) + b"\xff" * 12
    (folder / TEST_X).write_bytes(gzip.compress(header))


def _wrong_count(folder):
    write_idx(folder, TRAIN_Y, np.arange(19) % 10)


def _wrong_label(folder):
    write_idx(folder, TEST_Y, np.array([0, 1, 2, 3, 4, 5, 6, 10, 8, 9]))


def _wrong_pixels(folder):
    write_idx(folder, TRAIN_X, pixels(20, 16, 16))


def _no_rows(folder):
    write_idx(folder, TEST_X, pixels(0, 28, 28))


@pytest.mark.parametrize(
    ("damage", "file", "message"),
    [
        (_truncate, TRAIN_X, "truncated"),
        (_not_gzip, TRAIN_X, "not a sound gzip file"),
        (_bit_flip, TRAIN_Y, "not a sound gzip file"),
        (_empty_file, TRAIN_X, "magic number"),
        (_labels_as_images, TRAIN_X, "0x00000803 but with 0x00000801"),
        (_short, TEST_X, "promises 10 x 28 x 28 = 7840 bytes in its header but holds 7835"),
        (_long, TEST_X, "but holds 7842"),
        (_huge_header, TEST_X, "promises"),
        (_wrong_count, TRAIN_Y, "holds 20 images but .* holds 19 labels"),
        (_wrong_label, TEST_Y, "outside the 10 classes .* row 7 is 10"),
        (_wrong_pixels, TRAIN_X, r"\(16, 16\) pixels, not \(28, 28\)"),
        (_no_rows, TEST_X, "holds no examples"),
    ],
)
def test_refuses_damaged_files(tmp_path, damage, file, message):
    write_mnist(tmp_path / "mnist")
    damage(tmp_path / "mnist")
    with pytest.raises(ValueError, match=message) as error:
        data.load("mnist", tmp_path)
    assert file in str(error.value)
    assert "\n" not in str(error.value)


def test_emnist_is_transposed_and_counted_from_zero(tmp_path):
    folder = tmp_path / "emnist_letters"
    x, y = pixels(52, 28, 28), np.arange(52) % 26 + 1
    for part in ("train", "test"):
        write_idx(folder, f"emnist-letters-{part}-images-idx3-ubyte.gz", x)
        write_idx(folder, f"emnist-letters-{part}-labels-idx1-ubyte.gz", y)
    got = data.load("emnist_letters", tmp_path)
    np.testing.assert_array_equal(got.train_x, x.transpose(0, 2, 1))
    np.testing.assert_array_equal(got.test_y, y - 1)
    assert got.class_names[0] == "A"
    ten = data.load("emnist_letters10", tmp_path)
    assert ten.class_names == tuple("ABCDEFGHIJ")
    np.testing.assert_array_equal(np.bincount(ten.train_y), np.full(10, 2))
    np.testing.assert_array_equal(ten.train_x, x.transpose(0, 2, 1)[(y - 1) < 10])


def test_emnist_letters_refuses_label_zero(tmp_path):
    folder = tmp_path / "emnist"
    for part in ("train", "test"):
        write_idx(folder, f"emnist-letters-{part}-images-idx3-ubyte.gz", pixels(2, 28, 28))
        write_idx(folder, f"emnist-letters-{part}-labels-idx1-ubyte.gz", np.array([0, 1]))
    with pytest.raises(ValueError, match="row 0 is -1 when counted from 0"):
        data.load("emnist_letters", tmp_path)
