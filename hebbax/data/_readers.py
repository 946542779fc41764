"""One reader a file format: files in, `Dataset` out, malformed files refused."""

import bz2
import io
import itertools
import math
import tarfile
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from hebbax._errors import shown
from hebbax._foreign import read_at_most, refusing
from hebbax.data._archives import load_npz, names_of, read_zip
from hebbax.data._dataset import Dataset, check_apart, check_pair, whole_labels
from hebbax.data._idx import parse_idx, unzip
from hebbax.data._sources import Source

_Images = UInt8[np.ndarray, "_ ..."]
_Labels = Int32[np.ndarray, "_"]
_Part = tuple[_Images, _Labels]

_CIFAR_ROW = 1 + 3 * 32 * 32
_CIFAR_FOLDER = "cifar-10-batches-bin"
_IDX_HEADER = 16
# Bytes of a row of text: 256 pixels, each with its number.
_USPS_ROW = 8 + 256 * 24
# Bytes for headers, labels and names beside the pixels.
_SLACK = 2**21


def read_idx(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """The four gzip'ed IDX files of MNIST, Fashion-MNIST and KMNIST."""
    train_x, train_y, test_x, test_y = _files(entry, paths)
    train = _idx_part(entry, 0, train_x, train_y)
    test = _idx_part(entry, 1, test_x, test_y)
    check_apart(train[0], test[0], train_x[0], test_x[0])
    return _dataset(entry, train, test, paths[0].parent)


def _files(entry: Source, paths: tuple[Path, ...]) -> list[tuple[str, bytes]]:
    limit = max(entry.rows) * math.prod(entry.shape) + _SLACK
    return [(str(path), read_at_most(path, limit)) for path in paths]


def read_emnist(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Four EMNIST files, unpacked from the official archive."""
    return _emnist(entry, _files(entry, paths), paths[0].parent)


def read_emnist_zip(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """The official EMNIST archive of all splits, `gzip.zip`."""
    (path,) = paths
    members = [f"gzip/{file.name}" for file in entry.layouts[0].files]
    limit = max(entry.rows) * math.prod(entry.shape) + _SLACK
    found = read_zip(path, members, limit)
    for member in members:
        if member not in found:
            raise ValueError(f"{path} has no member {member}: it is not the EMNIST archive")
    blobs = [(f"{path}:{member}", found[member]) for member in members]
    return _emnist(entry, blobs, path.parent)


def _emnist(entry: Source, blobs: list[tuple[str, bytes]], folder: Path) -> Dataset:
    letters = entry.name != "emnist_byclass"
    parts = []
    for index, (images, labels) in enumerate((blobs[:2], blobs[2:])):
        # The letters are numbered from 1 in the official files.
        first, classes = (1, 26) if letters else (0, 62)
        x, y = _idx_part(entry, index, images, labels, first, classes)
        # EMNIST stores its images column by column.
        x = np.ascontiguousarray(x.transpose(0, 2, 1))
        keep = y < len(entry.class_names)
        parts.append((x[keep], y[keep]))
    return _dataset(entry, parts[0], parts[1], folder)


def _idx_part(
    entry: Source,
    index: int,
    images: tuple[str, bytes],
    labels: tuple[str, bytes],
    first_label: int = 0,
    classes: int | None = None,
) -> _Part:
    rows = entry.rows[index]
    limit = _IDX_HEADER + rows * math.prod(entry.shape)
    x = parse_idx(unzip(images[1], images[0], limit), images[0], 3)
    labels_limit = _IDX_HEADER + rows
    y = parse_idx(unzip(labels[1], labels[0], labels_limit), labels[0], 1)
    y = y.astype(np.int32) - first_label
    if x.shape[1:] != entry.shape:
        raise ValueError(f"{images[0]} holds images of {x.shape[1:]} pixels, not {entry.shape}")
    check_pair(x, y, classes or len(entry.class_names), images[0], labels[0])
    return x, y


def read_usps(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """USPS in bzip2'ed LIBSVM format: labels from 1, pixels in [-1, 1]."""
    train, test = (_usps_part(entry, index, path) for index, path in enumerate(paths))
    check_apart(train[0], test[0], str(paths[0]), str(paths[1]))
    return _dataset(entry, train, test, paths[0].parent)


def _usps_part(entry: Source, index: int, path: Path) -> _Part:
    # Importing scikit-learn takes about a second, so only those who need it pay.
    from sklearn.datasets import load_svmlight_file

    limit = entry.rows[index] * _USPS_ROW
    data = read_at_most(path, limit)
    with refusing(f"{path} is truncated or not a bzip2 file"):
        stream = bz2.BZ2File(io.BytesIO(data))
        text = stream.read(limit + 1)
    if len(text) > limit:
        raise ValueError(f"{path} holds more than the {limit:,} bytes of this data set's file")
    with refusing(f"{path} is not a LIBSVM file of 256 pixels a row"):
        # scikit-learn's defaults hide the types it takes from a type checker.
        rows, y = load_svmlight_file(io.BytesIO(text), n_features=256, zero_based=False)  # pyright: ignore[reportArgumentType]
    values = rows.toarray()
    if len(values) and not (values.min() >= -1 and values.max() <= 1):
        raise ValueError(f"{path} holds pixels outside [-1, 1]")
    x = np.rint((values + 1) * 127.5).astype(np.uint8).reshape(-1, 16, 16)
    labels = whole_labels(y, str(path)) - 1
    check_pair(x, labels, len(entry.class_names), str(path), str(path))
    return x, labels.astype(np.int32)


def read_cifar_binary(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """The official binary archive: rows of one label byte and 3 x 32 x 32 colour planes."""
    (path,) = paths
    members = [f"{_CIFAR_FOLDER}/data_batch_{i}.bin" for i in range(1, 6)]
    members.append(f"{_CIFAR_FOLDER}/test_batch.bin")
    limit = sum(entry.rows) * _CIFAR_ROW + _SLACK
    packed = read_at_most(path, limit)
    with refusing(f"{path} is truncated or not a tar.gz file"):
        data = unzip(packed, str(path), limit)
    found = _members(data, path, members)
    for member in members:
        if member not in found:
            raise ValueError(
                f"{path} has no member {member}: it is not the CIFAR-10 binary archive"
            )
    batches = [_cifar_rows(entry, found[member], f"{path}:{member}") for member in members]
    for (a, first), (b, second) in itertools.combinations(zip(members, batches, strict=True), 2):
        check_apart(first, second, f"{path}:{a}", f"{path}:{b}")
    parts = []
    for part in (np.concatenate(batches[:-1]), batches[-1]):
        x = np.ascontiguousarray(part[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        y = part[:, 0].astype(np.int32)
        check_pair(x, y, len(entry.class_names), str(path), str(path))
        parts.append((x, y))
    return _dataset(entry, parts[0], parts[1], path.parent)


def _members(data: bytes, path: Path, wanted: list[str]) -> dict[str, bytes]:
    """Return the files called `wanted` of a tar archive, none longer than the archive."""
    found = {}
    with (
        refusing(f"{path} is truncated or not a tar.gz file"),
        tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive,
    ):
        for member in archive:
            # What comes before its own start would be read for ever.
            if member.size < 0 or archive.offset <= member.offset:
                raise ValueError(f"the member {shown(member.name)} has a size below 0")
            if member.name in wanted and member.isreg() and not member.issparse():
                stream = archive.extractfile(member)
                found[member.name] = b"" if stream is None else stream.read()
    return found


def _cifar_rows(entry: Source, data: bytes, origin: str) -> UInt8[np.ndarray, "n row"]:
    if not data or len(data) % _CIFAR_ROW or len(data) > entry.rows[1] * _CIFAR_ROW:
        raise ValueError(
            f"{origin} holds {len(data)} bytes, no multiple of {_CIFAR_ROW} for 1 to "
            f"{entry.rows[1]:,} images"
        )
    return np.frombuffer(data, np.uint8).reshape(-1, _CIFAR_ROW)


def read_cifar_npz(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """CIFAR-10 reduced to 16 x 16 pixels, in numpy's format."""
    (path,) = paths
    keys = ("train_images", "train_labels", "test_images", "test_labels")
    arrays = load_npz(path, keys, _limit(entry))
    train = _npz_part(entry, 0, path, arrays, "train_", (16, 16, 3))
    test = _npz_part(entry, 1, path, arrays, "test_", (16, 16, 3))
    check_apart(train[0], test[0], f"train_images of {path}", "test_images")
    return _dataset(entry, train, test, path.parent)


def read_tiny_imagenet(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Photographs of 200 classes reduced to 16 x 16 pixels; the validation part is for testing."""
    (path,) = paths
    parts = ("train_", "val_")
    keys = tuple(part + kind for part in parts for kind in ("images", "labels"))
    arrays = load_npz(path, (*keys, "class_names"), _limit(entry))
    train, test = (
        _npz_part(entry, index, path, arrays, part, entry.shape) for index, part in enumerate(parts)
    )
    check_apart(train[0], test[0], f"train_images of {path}", "val_images")
    names = names_of(arrays["class_names"], f"class_names of {path}")
    if len(names) != len(entry.class_names):
        raise ValueError(f"{path} holds {len(names)} class_names, not {len(entry.class_names)}")
    return Dataset(entry.name, *train, *test, names, path=path.parent)


def read_az_letters(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Handwritten capitals. There is no official split: one fifth, fixed for ever, is for testing.

    The test rows are every fifth row of the permutation that numpy's `RandomState(0)` gives.
    """
    (path,) = paths
    x, y = _npz_part(
        entry, 0, path, load_npz(path, ("images", "labels"), _limit(entry)), "", entry.shape
    )
    # RandomState's stream is frozen by numpy's compatibility policy; default_rng's is not.
    order = np.random.RandomState(0).permutation(len(x))
    test = np.zeros(len(x), bool)
    test[order[::5]] = True
    return _dataset(entry, (x[~test], y[~test]), (x[test], y[test]), path.parent)


def _limit(entry: Source) -> int:
    return max(entry.rows) * math.prod(entry.shape) + _SLACK


def _npz_part(
    entry: Source,
    index: int,
    path: Path,
    arrays: dict[str, np.ndarray],
    prefix: str,
    shape: tuple[int, ...],
) -> _Part:
    x, y = arrays[prefix + "images"], arrays[prefix + "labels"]
    if x.dtype != np.uint8 or x.shape[1:] != shape:
        raise ValueError(
            f"{path} holds {prefix}images as {x.dtype} {list(x.shape)}, not uint8 [n, "
            f"{', '.join(map(str, shape))}]"
        )
    if len(x) > entry.rows[index]:
        raise ValueError(
            f"{path} holds {len(x):,} {prefix}images, more than the {entry.rows[index]:,} of "
            f"{entry.title}"
        )
    if y.dtype.kind not in "iu":
        raise ValueError(f"{path} holds {prefix}labels as {y.dtype} {list(y.shape)}, not int [n]")
    y = whole_labels(y, f"{prefix}labels of {path}")
    check_pair(x, y, len(entry.class_names), str(path), str(path))
    return x, y.astype(np.int32)


def _dataset(entry: Source, train: _Part, test: _Part, folder: Path) -> Dataset:
    return Dataset(entry.name, *train, *test, entry.class_names, path=folder)
