"""Whatever a data file holds, it is read or refused by one clear error, and never read wrongly."""

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mutations import damaged, forged_text

from hebbax import data

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from tiny_files import (
    IDX,
    idx,
    omniglot_arrays,
    pixels,
    usps_text,
    write_cifar,
    write_idx,
    write_mnist,
    write_omniglot_zip,
)


def npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _batches():
    batches = {}
    for index in range(1, 7):
        rows = pixels(2, 3073, seed=index)
        rows[:, 0] %= 10
        batches["test_batch.bin" if index == 6 else f"data_batch_{index}.bin"] = rows.tobytes()
    return batches


def _write_everything(root):
    write_mnist(root / "mnist")
    for name in (
        "az_letters",
        "cifar10",
        "imdb",
        "omniglot",
        "tiny",
        "usps",
        "emnist",
        "omniglotz",
    ):
        (root / name).mkdir()
    y = np.arange(30) % 26
    (root / "az_letters" / "az_letters_28x28.npz").write_bytes(
        npz(images=pixels(30, 28, 28), labels=y.astype(np.uint8))
    )
    write_cifar(root / "cifar10" / "cifar-10-binary.tar.gz", _batches())
    rows = [{"text": f"good {i}", "label": i % 2, "movie": f"m{i}"} for i in range(10)]
    text = "\n".join(map(json.dumps, rows))
    (root / "imdb" / "imdb_train.jsonl.xz").write_bytes(lzma.compress(text.encode()))
    ink = np.random.default_rng(0).random((1, 20, 105, 105)) < 0.1
    (root / "omniglot" / "omniglot_105_bits.npz").write_bytes(
        npz(**omniglot_arrays("background", ink), **omniglot_arrays("evaluation", ~ink))
    )
    for split in ("background", "evaluation"):
        write_omniglot_zip(root / "omniglotz" / f"images_{split}.zip", split, ink)
    for name, n in (("usps.bz2", 8), ("usps.t.bz2", 3)):
        (root / "usps" / name).write_bytes(usps_text(pixels(n, 16, 16, seed=n), np.arange(n)))
    with zipfile.ZipFile(root / "emnist" / "gzip.zip", "w") as archive:
        for n, part in ((5, "train"), (4, "test")):
            name = f"gzip/emnist-letters-{part}"
            x, y = idx(pixels(n, 28, 28)), idx(np.arange(n) + 1)
            archive.writestr(f"{name}-images-idx3-ubyte.gz", gzip.compress(x))
            archive.writestr(f"{name}-labels-idx1-ubyte.gz", gzip.compress(y))
    return (
        ("mnist", "mnist", IDX[0]),
        ("mnist", "mnist", IDX[3]),
        ("az_letters", "az_letters", "az_letters_28x28.npz"),
        ("cifar10", "cifar10", "cifar-10-binary.tar.gz"),
        ("imdb", "imdb", "imdb_train.jsonl.xz"),
        ("omniglot", "omniglot", "omniglot_105_bits.npz"),
        ("omniglot", "omniglotz", "images_background.zip"),
        ("usps", "usps", "usps.bz2"),
        ("emnist_letters", "emnist", "gzip.zip"),
    )


def inside(rng, content, name):
    """Return a file whose container is sound and whose content is damaged or forged."""
    if name.endswith(".tar.gz") or name.startswith(("train-", "t10k-")):
        return gzip.compress(damaged(rng, gzip.decompress(content)), 1)
    if name.endswith(".bz2"):
        return bz2.compress(damaged(rng, bz2.decompress(content)))
    if name.endswith(".xz"):
        lines = lzma.decompress(content).decode().split("\n")
        at = int(rng.integers(len(lines)))
        lines[at] = forged_text(rng, lines[at])
        return lzma.compress("\n".join(lines).encode("utf-8", "surrogatepass"), preset=0)
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        names = old.namelist()
        chosen = names[int(rng.integers(len(names)))]
        for member in names:
            held = old.read(member)
            new.writestr(member, damaged(rng, held) if member == chosen else held)
    return stream.getvalue()


def same(a, b):
    return all(
        np.array_equal(getattr(a, field), getattr(b, field))
        for field in ("train_x", "train_y", "test_x", "test_y")
    )


@pytest.mark.parametrize(
    "number", [270, pytest.param(4_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_mutated_data_files(tmp_path, number):
    assert run(tmp_path, number) > 0


def run(root, number, seen=None):
    """Load mutated files; return how many were read."""
    rng = np.random.default_rng(number)
    files = _write_everything(root)
    work, read = root / "work", 0
    originals = {}
    for name, _, _ in files:
        (work / name).mkdir(parents=True, exist_ok=True)
    for index in range(number):
        name, folder, file = files[index % len(files)]
        shutil.rmtree(work / name)
        shutil.copytree(root / folder, work / name)
        path = work / name / file
        content = path.read_bytes()
        if folder not in originals:
            originals[folder] = data.load(name, work)
        outside = rng.random() < 0.5
        new = damaged(rng, content) if outside else inside(rng, content, file)
        path.write_bytes(new)
        try:
            found = data.load(name, work)
        except Exception as error:
            if type(error) is ValueError and "\n" not in str(error) and str(work) in str(error):
                continue
            if seen is None:
                raise
            seen(error, new)
            continue
        read += 1
        # A container that is damaged has its checksums; what is forged inside has none.
        assert not outside or same(found, originals[folder]), file
        for y, names in (
            (found.train_y, found.class_names),
            (found.test_y, found.test_class_names or found.class_names),
        ):
            assert y.dtype == np.int32
            assert y.min() >= 0
            assert y.max() < len(names)
    return read


def test_every_flipped_bit_of_a_colour_archive_is_met(tmp_path):
    """A bit is refused, or, in the header of gzip, changes nothing that is read."""
    folder = tmp_path / "cifar10"
    folder.mkdir()
    path = folder / "cifar-10-binary.tar.gz"
    write_cifar(path, _batches())
    content, whole = path.read_bytes(), data.load("cifar10", tmp_path)
    accepted = 0
    for at in np.linspace(0, len(content) - 1, 100).astype(int):
        flipped = bytearray(content)
        flipped[at] ^= 4
        path.write_bytes(flipped)
        try:
            found = data.load("cifar10", tmp_path)
        except ValueError:
            continue
        accepted += 1
        assert same(found, whole)
    assert accepted <= 2


def test_a_damaged_official_file_is_refused(tmp_path, monkeypatch):
    """Also where its own checksum does not see it: in the name that gzip keeps."""
    import dataclasses

    from hebbax.data import _find, _sources

    write_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist" / IDX[0]
    mnist = _sources.SOURCES["mnist"]
    official = dataclasses.replace(
        mnist.layouts[0].files[0], size=path.stat().st_size, sha256=_find.sha256(path)
    )
    layout = dataclasses.replace(mnist.layouts[0], files=(official, *mnist.layouts[0].files[1:]))
    entry = dataclasses.replace(mnist, layouts=(layout,), download=layout)
    monkeypatch.setitem(_sources.SOURCES, "mnist", entry)
    assert data.load("mnist", tmp_path).train_x.shape == (20, 28, 28)
    content = bytearray(path.read_bytes())
    content[4] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged: it is as long as the official file"):
        data.load("mnist", tmp_path)


def test_nothing_is_unpacked_beyond_the_register(tmp_path, monkeypatch):
    write_mnist(tmp_path / "mnist")
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**20, 28, 28)
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=9) as file:
        file.write(header)
        for _ in range(60):
            file.write(bytes(2**20))
    path = tmp_path / "mnist" / IDX[0]
    path.write_bytes(stream.getvalue())
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="holds more than the 47,040,016 bytes"):
        data.load("mnist", tmp_path)
    with open(path, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="is longer than the"):
        data.load("mnist", tmp_path)


def test_a_huge_array_of_few_bytes(tmp_path):
    (tmp_path / "az_letters").mkdir()
    path = tmp_path / "az_letters" / "az_letters_28x28.npz"
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 28, 28)}\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", member)
        archive.writestr("labels.npy", member)
    with pytest.raises(ValueError, match="is not a sound npz file"):
        data.load("az_letters", tmp_path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(2**24))
        archive.writestr("labels.npy", member)
    with pytest.raises(ValueError, match="longer than"):
        data.load("az_letters", tmp_path)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2**32 + 7] * 30),
        np.array([2**63 + 1] * 30, np.uint64),
        np.array([2.9] * 30),
        np.array([2.0] * 30),
        np.array([-1] * 30),
        np.array(["a"] * 30),
        np.array([[1]] * 30),
        np.array([True] * 30),
    ],
)
def test_labels_that_would_change_when_cast(tmp_path, labels):
    (tmp_path / "az_letters").mkdir()
    path = tmp_path / "az_letters" / "az_letters_28x28.npz"
    path.write_bytes(npz(images=pixels(30, 28, 28), labels=labels))
    with pytest.raises(ValueError, match=r"labels as|label outside the 26 classes"):
        data.load("az_letters", tmp_path)


@pytest.mark.parametrize("label", ["1.5", "4294967299", "nan", "1e30"])
def test_labels_of_text_that_would_change_when_cast(tmp_path, label):
    (tmp_path / "usps").mkdir()
    good = usps_text(pixels(3, 16, 16), np.arange(3))
    (tmp_path / "usps" / "usps.t.bz2").write_bytes(good)
    (tmp_path / "usps" / "usps.bz2").write_bytes(bz2.compress(f"{label} 1:0.5\n".encode()))
    with pytest.raises(ValueError, match=r"no whole numbers|label outside|not a LIBSVM"):
        data.load("usps", tmp_path)


@pytest.mark.parametrize("label", [2.9, True, "1", 2**64, None])
def test_labels_of_reviews_that_would_change(tmp_path, label):
    (tmp_path / "imdb").mkdir()
    rows = [{"text": "good", "label": 0, "movie": f"m{i}"} for i in range(10)]
    rows[3]["label"] = label
    text = "\n".join(map(json.dumps, rows)).encode()
    (tmp_path / "imdb" / "imdb_train.jsonl.xz").write_bytes(lzma.compress(text))
    with pytest.raises(ValueError, match=r"no review in line 4.*label"):
        data.load("imdb", tmp_path)


def test_training_files_in_the_place_of_test_files(tmp_path):
    write_mnist(tmp_path / "mnist")
    for train, test in ((IDX[0], IDX[2]), (IDX[1], IDX[3])):
        shutil.copy(tmp_path / "mnist" / train, tmp_path / "mnist" / test)
    with pytest.raises(ValueError, match=r"t10k-images.* holds the examples of .*train-images"):
        data.load("mnist", tmp_path)
    # A test part has at most as many examples as the official one, whatever they are.
    write_mnist(tmp_path / "mnist")
    write_idx(tmp_path / "mnist", IDX[2], np.zeros((10_001, 28, 28)))
    with pytest.raises(ValueError, match=r"t10k-images.* holds more than the 7,840,016 bytes"):
        data.load("mnist", tmp_path)


def test_batches_that_are_empty_or_twice_there(tmp_path):
    (tmp_path / "cifar10").mkdir()
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    batches = _batches()
    write_cifar(path, batches | {"data_batch_3.bin": b""})
    with pytest.raises(ValueError, match=r"data_batch_3.bin holds 0 bytes"):
        data.load("cifar10", tmp_path)
    write_cifar(path, batches | {"test_batch.bin": batches["data_batch_2.bin"]})
    with pytest.raises(ValueError, match=r"test_batch.bin holds the examples of .*data_batch_2"):
        data.load("cifar10", tmp_path)


@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_other_things_than_files(tmp_path, what):
    write_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist" / IDX[2]
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ValueError, match="is not a regular file"):
        data.load("mnist", tmp_path)


def test_zip_members_that_cannot_be_read(tmp_path):
    (tmp_path / "az_letters").mkdir()
    path = tmp_path / "az_letters" / "az_letters_28x28.npz"
    content = npz(images=pixels(30, 28, 28), labels=np.zeros(30, np.uint8))
    at = content.index(b"PK\x01\x02")
    # The flag of encryption, and a way of compression that there is not.
    for offset, byte in ((8, 1), (10, 99)):
        changed = bytearray(content)
        changed[at + offset] = byte
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"not a sound (npz|zip) file"):
            data.load("az_letters", tmp_path)


def test_a_tar_member_before_its_own_start(tmp_path):
    """A size below 0, in which a reader could go round for ever."""
    (tmp_path / "cifar10").mkdir()
    info = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    block = bytearray(info.tobuf())
    block[124:136] = b"\xff" * 11 + b"\x00"
    total = sum(block[:148]) + 8 * 32 + sum(block[156:512])
    block[148:156] = b"%06o\0 " % total
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    path.write_bytes(gzip.compress(bytes(block) + bytes(4096)))
    with pytest.raises(ValueError, match=r"not a tar.gz file|has no member"):
        data.load("cifar10", tmp_path)
