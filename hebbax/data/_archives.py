"""Zip archives and numpy's npz: members by name, none read further than allowed."""

import ast
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hebbax._errors import shown
from hebbax._foreign import refusing, size_of

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
LARGEST = 2**30
"""Bytes of an array where no register says how many there may be."""


def read_zip(path: Path, members: Sequence[str], limit: int) -> dict[str, bytes]:
    """Return those of `members` that a zip archive holds, checking their checksums.

    **Raises:** `ValueError` for anything but a sound archive whose members are stored or deflated
    in the clear, and for members of more than `limit` bytes, of which nothing is unpacked.
    """
    wanted, found = set(members), {}
    size_of(path)
    with refusing(f"{path} is truncated or not a sound zip file"), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename not in wanted:
                continue
            if info.filename in found:
                raise ValueError(f"it holds {shown(info.filename)} twice")
            if info.file_size > limit:
                raise ValueError(f"{shown(info.filename)} is longer than {limit:,} bytes")
            found[info.filename] = archive.read(info)
    return found


def names_in_zip(path: Path) -> list[str]:
    """Return the names of all members. **Raises:** `ValueError` for no sound archive."""
    size_of(path)
    with refusing(f"{path} is truncated or not a zip file"), zipfile.ZipFile(path) as archive:
        return archive.namelist()


def load_npz(path: Path, keys: tuple[str, ...], limit: int = LARGEST) -> dict[str, np.ndarray]:
    """The arrays called `keys` of an npz file, which may hold no Python objects.

    **Raises:** `ValueError` if the file is damaged, lacks one of them, or holds one of more than
    `limit` bytes.
    """
    with refusing(f"{path} is not a sound npz file of this data set"):
        size_of(path)
        with path.open("rb") as stream:
            if stream.read(len(_MAGIC)) == _MAGIC:
                raise ValueError("it holds one bare array")
        found = read_zip(path, [f"{key}.npy" for key in keys], limit)
        missing = [key for key in keys if f"{key}.npy" not in found]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return {key: _array(found[f"{key}.npy"], key) for key in keys}


def _array(data: bytes, key: str) -> np.ndarray:
    """Read numpy's npy format. The header is believed only where the length confirms it."""
    if data[:6] != _MAGIC or len(data) < 12 or data[6] not in (1, 2, 3):
        raise ValueError(f"{key} is no array")
    start = 10 if data[6] == 1 else 12
    (length,) = struct.unpack("<H" if data[6] == 1 else "<I", data[8:start])
    if length > _LONGEST_HEADER:
        raise ValueError(f"{key} has a header of {length:,} bytes")
    header = ast.literal_eval(data[start : start + length].decode("latin1").strip())
    dtype = np.dtype(header["descr"])
    shape, by_columns = header["shape"], header["fortran_order"]
    if dtype.kind not in "biufSU" or not dtype.itemsize or dtype.subdtype is not None:
        raise ValueError(f"{key} holds neither numbers nor words but {shown(header['descr'])}")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{key} has the shape {shown(shape)}")
    values = np.frombuffer(data, dtype, offset=start + length)
    return values.reshape(shape, order="F" if by_columns else "C")


def names_of(array: np.ndarray, origin: str) -> tuple[str, ...]:
    """Return names. **Raises:** `ValueError` if they are not one row of words."""
    if array.ndim != 1 or array.dtype.kind != "U":
        raise ValueError(f"{origin} is {array.dtype} {list(array.shape)}, not words [n]")
    return tuple(map(str, array))
