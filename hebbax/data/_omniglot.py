"""Omniglot: the background characters are the training part, the evaluation ones the test part.

Rows are sorted by character and then by drawer, 20 to a character, so that
`train_x.reshape(characters, 20, 105, 105)` separates them. 255 is ink.
"""

import io
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from hebbax.data._dataset import Dataset
from hebbax.data._readers import load_npz
from hebbax.data._sources import Source

SIDE = 105
DRAWERS = 20

_MEMBER = re.compile(r"images_(?:background|evaluation)/([^/]+/[^/]+)/\d+_(\d+)\.png")
_Images = UInt8[np.ndarray, "_ side side"]
_Part = tuple[_Images, Int32[np.ndarray, "_"], tuple[str, ...]]


def read_omniglot_npz(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """Bit-packed images: per split `bits` [n, 1379], `labels`, `drawer` (1-20) and `names`."""
    (path,) = paths
    train, test = (_npz_part(path, split) for split in ("background", "evaluation"))
    return _dataset(entry, train, test, path.parent)


def _npz_part(path: Path, split: str) -> _Part:
    fields = ("bits", "labels", "drawer", "names")
    arrays = load_npz(path, tuple(f"{split}_{field}" for field in fields))
    bits, labels, drawer, names = (arrays[f"{split}_{field}"] for field in fields)
    width = -(-SIDE * SIDE // 8)
    if bits.dtype != np.uint8 or bits.ndim != 2 or bits.shape[1] != width:
        raise ValueError(
            f"{path} holds {split}_bits as {bits.dtype} {list(bits.shape)}, not uint8 [n, {width}]"
        )
    if not len(bits) == len(labels) == len(drawer):
        raise ValueError(
            f"{path} holds {len(bits)} images, {len(labels)} labels and {len(drawer)} drawers in "
            f"its {split} part"
        )
    order = np.lexsort((drawer, labels))
    labels = labels[order].astype(np.int32)
    _check_complete(labels, drawer[order], len(names), f"{path} ({split} part)")
    x = np.unpackbits(bits[order], axis=1, count=SIDE * SIDE)
    x *= 255
    return x.reshape(-1, SIDE, SIDE), labels, tuple(str(name) for name in names)


def read_omniglot_zip(entry: Source, paths: tuple[Path, ...]) -> Dataset:
    """The official archives of PNG files, `<alphabet>/<character>/<code>_<drawer>.png`."""
    train, test = (_zip_part(path) for path in paths)
    return _dataset(entry, train, test, paths[0].parent)


def _zip_part(path: Path) -> _Part:
    from PIL import Image, UnidentifiedImageError

    try:
        with zipfile.ZipFile(path) as archive:
            matches = [m for m in map(_MEMBER.fullmatch, archive.namelist()) if m]
            found = sorted((m.group(1), int(m.group(2)), m.group(0)) for m in matches)
            if not found:
                raise ValueError(f"{path} holds no Omniglot image")
            names = sorted({name for name, _, _ in found})
            index = {name: i for i, name in enumerate(names)}
            labels = np.array([index[name] for name, _, _ in found], np.int32)
            drawer = np.array([number for _, number, _ in found])
            _check_complete(labels, drawer, len(names), str(path))
            x = np.empty((len(found), SIDE, SIDE), np.uint8)
            for row, (_, _, member) in enumerate(found):
                try:
                    image = np.asarray(Image.open(io.BytesIO(archive.read(member))).convert("L"))
                except (UnidentifiedImageError, OSError) as error:
                    raise ValueError(f"{path}:{member} is not a sound PNG: {error}") from None
                if image.shape != (SIDE, SIDE):
                    raise ValueError(
                        f"{path}:{member} has {image.shape} pixels, not {(SIDE, SIDE)}"
                    )
                x[row] = image
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is truncated or not a zip file: {error}") from None
    # In the PNG files ink is black.
    return np.subtract(255, x, out=x), labels, tuple(names)


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
