"""One reader a file format: files in, `Dataset` out, malformed files refused."""

import bz2
import io
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from hebbax.data._dataset import Dataset, check_pair
from hebbax.data._idx import parse_idx, unzip
from hebbax.data._sources import Source

_Images = UInt8[np.ndarray, "_ ..."]
_Labels = Int32[np.ndarray, "_"]
_Part = tuple[_Images, _Labels]

_CIFAR_ROW = 1 + 3 * 32 * 32


def read_idx(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """The four gzip'ed IDX files of MNIST, Fashion-MNIST and KMNIST."""
    blobs = [(str(path), path.read_bytes()) for path in paths]
    train_x, train_y, test_x, test_y = blobs
    train, test = _idx_part(entry, train_x, train_y), _idx_part(entry, test_x, test_y)
    return _dataset(entry, train, test, paths[0].parent)


def read_emnist(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Four EMNIST files, unpacked from the official archive."""
    blobs = [(str(path), path.read_bytes()) for path in paths]
    return _emnist(entry, blobs, paths[0].parent)


def read_emnist_zip(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """The official EMNIST archive of all splits, `gzip.zip`."""
    (path,) = paths
    blobs = []
    try:
        with zipfile.ZipFile(path) as archive:
            for file in entry.layouts[0].files:
                member = f"gzip/{file.name}"
                if member not in archive.namelist():
                    raise ValueError(f"{path} has no member {member}: it is not the EMNIST archive")
                blobs.append((f"{path}:{member}", archive.read(member)))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is not a sound zip file: {error}") from None
    return _emnist(entry, blobs, path.parent)


def _emnist(entry: Source, blobs: list[tuple[str, bytes]], folder: Path) -> Dataset:
    letters = entry.name != "emnist_byclass"
    parts = []
    for images, labels in (blobs[:2], blobs[2:]):
        # The letters are numbered from 1 in the official files.
        x, y = _idx_part(
            entry, images, labels, first_label=1 if letters else 0, classes=26 if letters else 62
        )
        # EMNIST stores its images column by column.
        x = np.ascontiguousarray(x.transpose(0, 2, 1))
        keep = y < len(entry.class_names)
        parts.append((x[keep], y[keep]))
    return _dataset(entry, parts[0], parts[1], folder)


def _idx_part(
    entry: Source,
    images: tuple[str, bytes],
    labels: tuple[str, bytes],
    first_label: int = 0,
    classes: int | None = None,
) -> _Part:
    x = parse_idx(unzip(images[1], images[0]), images[0], 3)
    y = parse_idx(unzip(labels[1], labels[0]), labels[0], 1).astype(np.int32) - first_label
    if x.shape[1:] != entry.shape:
        raise ValueError(f"{images[0]} holds images of {x.shape[1:]} pixels, not {entry.shape}")
    check_pair(x, y, classes or len(entry.class_names), images[0], labels[0])
    return x, y


def read_usps(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """USPS in bzip2'ed LIBSVM format: labels from 1, pixels in [-1, 1]."""
    train, test = (_usps_part(path, len(entry.class_names)) for path in paths)
    return _dataset(entry, train, test, paths[0].parent)


def _usps_part(path: Path, classes: int) -> _Part:
    # Importing scikit-learn takes about a second, so only those who need it pay.
    from sklearn.datasets import load_svmlight_file

    try:
        text = bz2.decompress(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is truncated or not a bzip2 file: {error}") from None
    try:
        # scikit-learn's defaults hide the types it takes from a type checker.
        rows, y = load_svmlight_file(io.BytesIO(text), n_features=256, zero_based=False)  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        raise ValueError(f"{path} is not a LIBSVM file of 256 pixels a row: {error}") from None
    values = rows.toarray()
    if len(values) and not (values.min() >= -1 and values.max() <= 1):
        raise ValueError(f"{path} holds pixels outside [-1, 1]")
    x = np.rint((values + 1) * 127.5).astype(np.uint8).reshape(-1, 16, 16)
    labels = y.astype(np.int32) - 1
    check_pair(x, labels, classes, str(path), str(path))
    return x, labels


def read_cifar_binary(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """The official binary archive: rows of one label byte and 3 x 32 x 32 colour planes."""
    (path,) = paths
    members = [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)]
    try:
        with tarfile.open(path, "r:gz") as archive:
            rows = [_cifar_rows(archive, member, path) for member in members]
            test = _cifar_rows(archive, "cifar-10-batches-bin/test_batch.bin", path)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is truncated or not a tar.gz file: {error}") from None
    parts = []
    for part in (np.concatenate(rows), test):
        x = np.ascontiguousarray(part[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        y = part[:, 0].astype(np.int32)
        check_pair(x, y, len(entry.class_names), str(path), str(path))
        parts.append((x, y))
    return _dataset(entry, parts[0], parts[1], path.parent)


def _cifar_rows(archive: tarfile.TarFile, member: str, path: Path) -> UInt8[np.ndarray, "n row"]:
    try:
        stream = archive.extractfile(member)
    except KeyError:
        stream = None
    if stream is None:
        raise ValueError(f"{path} has no member {member}: it is not the CIFAR-10 binary archive")
    data = stream.read()
    if len(data) % _CIFAR_ROW:
        raise ValueError(f"{path}:{member} holds {len(data)} bytes, no multiple of {_CIFAR_ROW}")
    return np.frombuffer(data, np.uint8).reshape(-1, _CIFAR_ROW)


def read_cifar_npz(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """CIFAR-10 reduced to 16 x 16 pixels, in numpy's format."""
    (path,) = paths
    arrays = load_npz(path, ("train_images", "train_labels", "test_images", "test_labels"))
    train, test = (
        _npz_part(entry, path, arrays, prefix, (16, 16, 3)) for prefix in ("train_", "test_")
    )
    return _dataset(entry, train, test, path.parent)


def read_tiny_imagenet(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Photographs of 200 classes reduced to 16 x 16 pixels; the validation part is for testing."""
    (path,) = paths
    parts = ("train_", "val_")
    keys = tuple(part + kind for part in parts for kind in ("images", "labels"))
    arrays = load_npz(path, (*keys, "class_names"))
    train, test = (_npz_part(entry, path, arrays, part, entry.shape) for part in parts)
    names = tuple(map(str, arrays["class_names"]))
    return Dataset(entry.name, *train, *test, names, path=path.parent)


def read_az_letters(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Handwritten capitals. There is no official split: one fifth, fixed for ever, is for testing.

    The test rows are every fifth row of the permutation that numpy's `RandomState(0)` gives.
    """
    (path,) = paths
    x, y = _npz_part(entry, path, load_npz(path, ("images", "labels")), "", (28, 28))
    # RandomState's stream is frozen by numpy's compatibility policy; default_rng's is not.
    order = np.random.RandomState(0).permutation(len(x))
    test = np.zeros(len(x), bool)
    test[order[::5]] = True
    return _dataset(entry, (x[~test], y[~test]), (x[test], y[test]), path.parent)


def _npz_part(
    entry: Source, path: Path, arrays: dict[str, np.ndarray], prefix: str, shape: tuple[int, ...]
) -> _Part:
    x, y = arrays[prefix + "images"], arrays[prefix + "labels"]
    if x.dtype != np.uint8 or x.shape[1:] != shape:
        raise ValueError(
            f"{path} holds {prefix}images as {x.dtype} {list(x.shape)}, not uint8 [n, "
            f"{', '.join(map(str, shape))}]"
        )
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"{path} holds {prefix}labels as {y.dtype} {list(y.shape)}, not int [n]")
    y = y.astype(np.int32)
    check_pair(x, y, len(entry.class_names), str(path), str(path))
    return x, y


def load_npz(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays called `keys` of an npz file, which may hold no Python objects.

    **Raises:** `ValueError` if the file is damaged or lacks one of them.
    """
    try:
        # Opened here, for numpy leaves a damaged file open when it opens it itself.
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds one bare array")
            missing = [key for key in keys if key not in archive.files]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}")
            return {key: archive[key] for key in keys}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a sound npz file of this data set: {error}") from None


def _dataset(entry: Source, train: _Part, test: _Part, folder: Path) -> Dataset:
    return Dataset(entry.name, *train, *test, entry.class_names, path=folder)
