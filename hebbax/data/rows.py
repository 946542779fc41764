"""Rows and labels of one's own: what arrays must be before anything is made of them."""

import numpy as np
from jaxtyping import Float, Float32, Int32
from numpy.typing import ArrayLike


def check_rows(name: str, values: ArrayLike) -> Float[np.ndarray, "n in"]:
    """Return real numbers `[n, in]`, in double precision where single would round them.

    **Raises:** `ValueError`, which calls them `name`, for another shape, nothing at all, masked
    values, what are no real numbers, and numbers that single precision cannot hold.
    """
    array = check_unmasked(name, values)
    if array.ndim != 2:
        raise ValueError(f"{name} must have two axes [n, in]; got the shape {array.shape}.")
    if 0 in array.shape:
        raise ValueError(f"{name} must not be empty; got the shape {array.shape}.")
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name} must hold real numbers; got {array.dtype}.")
    # What single precision holds exactly does not need double.
    exact = array.dtype == np.float32 or array.dtype.itemsize <= 2
    array = array.astype(np.float32 if exact else np.float64)
    with np.errstate(over="ignore"):
        check_finite(name, array.astype(np.float32, copy=False))
    return array


def check_finite(name: str, array: Float32[np.ndarray, "n in"]) -> None:
    """Raise `ValueError` naming the first row that is not finite."""
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        column = int(np.argmax(~np.isfinite(array[row])))
        raise ValueError(
            f"{name} must be finite as float32; got {array[row, column]} in row {row}, column "
            f"{column}."
        )


def check_class_numbers(name: str, values: ArrayLike) -> Int32[np.ndarray, "n"]:
    """Return classes `[n]`, whole numbers from 0.

    **Raises:** `ValueError`, which calls them `name`, for all else.
    """
    array = check_unmasked(name, values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one axis [n]; got the shape {array.shape}.")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} must hold whole numbers; got {array.dtype}.")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty; got no labels.")
    if array.min() < 0:
        row = int(np.argmax(array < 0))
        raise ValueError(f"{name} must count classes from 0; got {int(array[row])} in row {row}.")
    if array.max() > np.iinfo(np.int32).max:
        raise ValueError(f"{name} must hold class numbers below 2³¹; got {int(array.max())}.")
    return array.astype(np.int32)


def check_unmasked(name: str, values: ArrayLike) -> np.ndarray:
    """Return an array. **Raises:** `ValueError` if some of its values are masked."""
    parts = values if isinstance(values, list | tuple) else [values]
    if any(np.ma.is_masked(part) for part in parts):
        raise ValueError(f"{name} must have a value everywhere; got an array with masked values.")
    return np.asarray(values)
