"""`load`: a data set by name."""

import os
from collections.abc import Callable
from pathlib import Path

from hebbax.data import _omniglot, _readers
from hebbax.data._bundled import read_bundled
from hebbax.data._dataset import Dataset
from hebbax.data._find import files_of
from hebbax.data._reviews import read_reviews
from hebbax.data._sources import Source, source
from hebbax.data._streams import read_stream
from hebbax.data._tables import read_table

_READERS: dict[str, Callable[[Source, tuple[Path, ...]], Dataset]] = {
    "idx": _readers.read_idx,
    "emnist": _readers.read_emnist,
    "emnist_zip": _readers.read_emnist_zip,
    "usps": _readers.read_usps,
    "cifar_npz": _readers.read_cifar_npz,
    "cifar_binary": _readers.read_cifar_binary,
    "az_letters": _readers.read_az_letters,
    "tiny_imagenet": _readers.read_tiny_imagenet,
    "reviews": read_reviews,
    "stream": read_stream,
    "table": read_table,
    "omniglot_npz": _omniglot.read_omniglot_npz,
    "omniglot_zip": _omniglot.read_omniglot_zip,
}


def load(name: str, directory: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set by name, as numpy arrays.

    Its files are looked for in `$HEBBAX_DATA/<name>/`, then in the user's cache, and are else
    downloaded from their official place into the cache and checked against a known SHA-256. If
    `directory` is given, only `directory/<name>/` is looked at and nothing is downloaded.

    **Raises:** `ValueError` if no such data set is known, or if a file is truncated, foreign or
    inconsistent; `FileNotFoundError` if a file is missing and cannot be downloaded;
    `NotADirectoryError` if `directory` or `$HEBBAX_DATA` is not a folder.
    """
    entry = source(name)
    if not entry.layouts:
        return read_bundled(entry)
    layout, paths = files_of(entry, directory)
    return _READERS[layout.reader](entry, paths)
