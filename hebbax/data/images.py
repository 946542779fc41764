"""Preparing images: crop, resize, scale to [0, 1], standardize. All deterministic, in numpy."""

import numpy as np
from jaxtyping import Float, Float32, UInt8

LARGEST = 256
"""The largest side `resize` makes, in pixels: beyond it only memory grows, not information."""

_CHUNK = 4096

_Images = UInt8[np.ndarray, "n height width *channels"]
_Values = Float32[np.ndarray, "n height width *channels"]


def crop(images: _Images | _Values, size: int) -> UInt8[np.ndarray, "..."] | _Values:
    """Cut the central `size` x `size` pixels out of images [n, height, width] or [..., channels].

    **Raises:** `ValueError` if `size` is below 1 or larger than the image.
    """
    height, width = images.shape[1:3]
    if not 1 <= size <= min(height, width):
        raise ValueError(
            f"crop must be from 1 to {min(height, width)} for images of {height} x {width} "
            f"pixels; got {size}."
        )
    top, left = (height - size) // 2, (width - size) // 2
    return images[:, top : top + size, left : left + size]


def to_unit(images: _Images) -> Float32[np.ndarray, "..."]:
    """Bring pixels from 0..255 to float32 in [0, 1]."""
    values = images.astype(np.float32)
    values /= 255
    return values


def resize(images: _Images | _Values, size: int) -> Float32[np.ndarray, "..."]:
    """Resize to `size` x `size`; the result is float32 in the same units as `images`.

    Each new pixel is the mean of the area it covers when an axis shrinks (so there is no aliasing,
    and whole factors keep an image's mean), and a linear interpolation when it grows.

    **Raises:** `ValueError` if `size` is below 1 or above `LARGEST`.
    """
    if not 1 <= size <= LARGEST:
        raise ValueError(f"size must be from 1 to {LARGEST} pixels; got {size}.")
    count, height, width, *channels = images.shape
    if (height, width) == (size, size):
        return images.astype(np.float32)
    rows, columns = _weights(height, size), _weights(width, size)
    result = np.empty((count, size, size, *channels), np.float32)
    # In chunks: all of EMNIST as float32 at its old size would take gigabytes.
    for start in range(0, count, _CHUNK):
        part = images[start : start + _CHUNK].astype(np.float32)
        part = np.matmul(rows, part.reshape(len(part), height, -1))
        part = part.reshape(len(part), size, width, -1)
        if channels:
            part = np.matmul(columns, part)
        else:
            part = np.matmul(part[..., 0], columns.T)
        result[start : start + _CHUNK] = part.reshape(len(part), size, size, *channels)
    return result


def _weights(old: int, new: int) -> Float32[np.ndarray, "new old"]:
    """The resizing of one axis as a matrix whose rows sum to one."""
    scale = old / new
    if scale >= 1:
        edges = np.arange(new + 1) * scale
        pixels = np.arange(old)
        upper = np.minimum(edges[1:, None], pixels[None, :] + 1)
        lower = np.maximum(edges[:-1, None], pixels[None, :])
        weights = np.clip(upper - lower, 0, None)
    else:
        centres = np.clip((np.arange(new) + 0.5) * scale - 0.5, 0, old - 1)
        weights = np.clip(1 - np.abs(centres[:, None] - np.arange(old)[None, :]), 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def standardize(
    train: Float[np.ndarray, "train *shape"],
    test: Float[np.ndarray, "test *shape"],
    per_feature: bool = False,
) -> tuple[Float32[np.ndarray, "train *shape"], Float32[np.ndarray, "test *shape"]]:
    """Bring both parts to mean 0 and standard deviation 1, as measured on the training part.

    One mean and one deviation for all pixels, or one for each feature with `per_feature` (for
    tables, whose columns have different units). What is constant becomes 0. Numbers that need
    double precision, such as times in seconds, are to come in it.
    """
    mean, deviation = _moments(train, per_feature)
    # Rounding leaves a constant feature a deviation near its numbers' resolution, not exactly 0.
    least = 1e-6 if train.dtype == np.float32 else 8 * np.finfo(np.float64).eps
    constant = deviation <= least * np.maximum(np.abs(mean), 1e-30)
    scale = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation)).astype(train.dtype)
    shift = mean.astype(train.dtype)
    results = []
    for part in (train, test):
        result = part - shift
        result *= scale
        with np.errstate(over="ignore"):
            results.append(result.astype(np.float32, copy=False))
    return results[0], results[1]


def _moments(
    values: Float[np.ndarray, "n *shape"], per_feature: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, in float64 sums of chunks: float32 sums lose digits."""
    axis = 0 if per_feature else None
    per_row = 1 if per_feature else values[0].size
    count = len(values) * per_row
    chunks = [values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK)]
    mean = sum(chunk.sum(axis=axis, dtype=np.float64) for chunk in chunks) / count
    squares = sum(np.square(chunk - mean).sum(axis=axis) for chunk in chunks) / count
    return np.asarray(mean), np.asarray(np.sqrt(squares))
