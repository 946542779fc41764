"""Tiny files in the official formats, for tests."""

import bz2
import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np

IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def idx(array: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def write_idx(folder: Path, name: str, array: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(gzip.compress(idx(array)))
    return folder / name


def write_mnist(folder: Path, train: int = 20, test: int = 10) -> tuple[np.ndarray, ...]:
    arrays = (
        pixels(train, 28, 28),
        np.arange(train) % 10,
        pixels(test, 28, 28, seed=1),
        np.arange(test) % 10,
    )
    for name, array in zip(IDX, arrays, strict=True):
        write_idx(folder, name, array)
    return arrays


def usps_text(images: np.ndarray, labels: np.ndarray) -> bytes:
    lines = []
    for image, label in zip(images, labels, strict=True):
        values = " ".join(f"{i}:{v:.6f}" for i, v in enumerate(image.ravel() / 127.5 - 1, 1))
        lines.append(f"{label + 1} {values}\n")
    return bz2.compress("".join(lines).encode())


def write_cifar(path: Path, batches: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in batches.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_omniglot_zip(path: Path, split: str, images: np.ndarray) -> None:
    """`images` [characters, drawers, 105, 105] boolean, True where there is ink."""
    from PIL import Image

    with zipfile.ZipFile(path, "w") as archive:
        for character, drawn in enumerate(images):
            for drawer, image in enumerate(drawn, 1):
                stream = io.BytesIO()
                Image.fromarray(np.where(image, 0, 255).astype(np.uint8)).convert("1").save(
                    stream, "PNG"
                )
                name = f"images_{split}/Alphabet/character{character + 1:02d}/0001_{drawer:02d}.png"
                archive.writestr(name, stream.getvalue())


def omniglot_arrays(split: str, images: np.ndarray) -> dict[str, np.ndarray]:
    characters, drawers = images.shape[:2]
    return {
        f"{split}_bits": np.packbits(images.reshape(characters * drawers, -1), axis=1),
        f"{split}_labels": np.repeat(np.arange(characters), drawers).astype(np.int16),
        f"{split}_drawer": np.tile(np.arange(1, drawers + 1), characters).astype(np.uint8),
        f"{split}_names": np.array([f"Alphabet/character{i + 1:02d}" for i in range(characters)]),
    }
