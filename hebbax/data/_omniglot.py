"""Omniglot: the background characters are the training part, the evaluation ones the test part.

Rows are sorted by character and then by drawer, 20 to a character, so that
`train_x.reshape(characters, 20, 105, 105)` separates them. 255 is ink.
"""

import io
import re
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from hebbax._foreign import refusing
from hebbax.data._archives import load_npz, names_in_zip, names_of, read_zip
from hebbax.data._dataset import Dataset, whole_labels
from hebbax.data._sources import Source

SIDE = 105
DRAWERS = 20

_SPLITS = ("background", "evaluation")
# No picture of 105 by 105 pixels is longer, compressed or not.
_LONGEST_PNG = 2**17
_Images = UInt8[np.ndarray, "_ side side"]
_Part = tuple[_Images, Int32[np.ndarray, "_"], tuple[str, ...]]


def read_omniglot_npz(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Bit-packed images: per split `bits` [n, 1379], `labels`, `drawer` (1-20) and `names`."""
    (path,) = paths
    train, test = (
        _npz_part(path, split, rows) for split, rows in zip(_SPLITS, entry.rows, strict=True)
    )
    return _dataset(entry, train, test, path.parent)


def _npz_part(path: Path, split: str, rows: int) -> _Part:
    fields = ("bits", "labels", "drawer", "names")
    width = -(-SIDE * SIDE // 8)
    arrays = load_npz(path, tuple(f"{split}_{field}" for field in fields), rows * width + 2**20)
    bits, labels, drawer, names = (arrays[f"{split}_{field}"] for field in fields)
    if bits.dtype != np.uint8 or bits.ndim != 2 or bits.shape[1] != width:
        raise ValueError(
            f"{path} holds {split}_bits as {bits.dtype} {list(bits.shape)}, not uint8 [n, {width}]"
        )
    if not len(bits) == len(labels) == len(drawer):
        raise ValueError(
            f"{path} holds {len(bits)} images, {len(labels)} labels and {len(drawer)} drawers in "
            f"its {split} part"
        )
    labels = whole_labels(labels, f"{split}_labels of {path}")
    drawer = whole_labels(drawer, f"{split}_drawer of {path}")
    words = names_of(names, f"{split}_names of {path}")
    order = np.lexsort((drawer, labels))
    labels = labels[order]
    _check_complete(labels, drawer[order], len(words), f"{path} ({split} part)")
    labels = labels.astype(np.int32)
    x = np.unpackbits(bits[order], axis=1, count=SIDE * SIDE)
    x *= 255
    return x.reshape(-1, SIDE, SIDE), labels, words


def read_omniglot_zip(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """The official archives of PNG files, `<alphabet>/<character>/<code>_<drawer>.png`."""
    train, test = (
        _zip_part(path, split, rows)
        for path, split, rows in zip(paths, _SPLITS, entry.rows, strict=True)
    )
    return _dataset(entry, train, test, paths[0].parent)


def _zip_part(path: Path, split: str, rows: int) -> _Part:
    # In the other part's place a file has none of these members.
    pattern = re.compile(rf"images_{split}/([^/]+/[^/]+)/[0-9]+_([0-9]{{1,9}})\.png")
    matches = [m for m in map(pattern.fullmatch, names_in_zip(path)) if m]
    found = sorted((m.group(1), int(m.group(2)), m.group(0)) for m in matches)
    if not found:
        raise ValueError(f"{path} holds no Omniglot image of the {split} part")
    if len(found) > rows:
        raise ValueError(f"{path} holds {len(found):,} images, more than the {rows:,} of its part")
    names = sorted({name for name, _, _ in found})
    index = {name: i for i, name in enumerate(names)}
    labels = np.array([index[name] for name, _, _ in found], np.int32)
    drawer = np.array([number for _, number, _ in found])
    _check_complete(labels, drawer, len(names), str(path))
    members = [member for _, _, member in found]
    pictures = read_zip(path, members, _LONGEST_PNG)
    x = np.stack([_picture(pictures[member], f"{path}:{member}") for member in members])
    # In the PNG files ink is black.
    return np.subtract(255, x, out=x), labels, tuple(names)


def _picture(data: bytes, origin: str) -> UInt8[np.ndarray, "side side"]:
    """Read a PNG file, whose size is looked at before it is unpacked."""
    from PIL import Image

    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 24:
        raise ValueError(f"{origin} is not a sound PNG: it has no header of one")
    width, height = struct.unpack(">II", data[16:24])
    if (height, width) != (SIDE, SIDE):
        raise ValueError(f"{origin} has {(height, width)} pixels, not {(SIDE, SIDE)}")
    with refusing(f"{origin} is not a sound PNG"):
        return np.asarray(Image.open(io.BytesIO(data), formats=("PNG",)).convert("L"))


def _check_complete(labels: np.ndarray, drawer: np.ndarray, characters: int, origin: str) -> None:
    expected_labels = np.repeat(np.arange(characters), DRAWERS)
    expected_drawers = np.tile(np.arange(1, DRAWERS + 1), characters)
    if not (np.array_equal(labels, expected_labels) and np.array_equal(drawer, expected_drawers)):
        raise ValueError(
            f"{origin} does not hold each of its {characters} characters exactly once from each "
            f"of {DRAWERS} drawers"
        )


def _dataset(entry: Source, train: _Part, test: _Part, folder: Path) -> Dataset:
    (train_x, train_y, train_names), (test_x, test_y, test_names) = train, test
    return Dataset(
        entry.name, train_x, train_y, test_x, test_y, train_names, test_names, path=folder
    )
