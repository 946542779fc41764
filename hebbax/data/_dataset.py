"""The arrays of one data set, and the checks every reader shares."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Int32, UInt8


@dataclass(frozen=True)
class Dataset:
    """A labelled data set, as numpy arrays.

    Images are uint8 `[n, height, width]` or `[n, height, width, channels]` in 0..255; tables of
    measurements are float32 `[n, features]` in their own units. Labels are int32 from 0.
    """

    name: str
    train_x: UInt8[np.ndarray, "train ..."] | Float32[np.ndarray, "train features"]
    train_y: Int32[np.ndarray, "train"]
    test_x: UInt8[np.ndarray, "test ..."] | Float32[np.ndarray, "test features"]
    test_y: Int32[np.ndarray, "test"]
    class_names: tuple[str, ...]
    test_class_names: tuple[str, ...] | None = None
    """Set only where the test part has classes of its own (Omniglot): names for `test_y`."""
    path: Path | None = None
    """The folder the files were read from; None for data bundled with scikit-learn."""

    @property
    def is_image(self) -> bool:
        """Whether a row is an image (uint8) rather than a vector of measurements."""
        return self.train_x.dtype == np.uint8


def check_pair(x: np.ndarray, y: np.ndarray, classes: int, x_file: str, y_file: str) -> None:
    """Refuse images and labels that cannot belong together.

    **Raises:** `ValueError` if there are no rows, the numbers of rows differ, or a label lies
    outside `0..classes-1`.
    """
    if len(x) == 0:
        raise ValueError(f"{x_file} holds no examples")
    if len(x) != len(y):
        raise ValueError(f"{x_file} holds {len(x)} images but {y_file} holds {len(y)} labels")
    wrong = (y < 0) | (y >= classes)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{y_file} holds a label outside the {classes} classes of this data set: "
            f"row {row} is {int(y[row])} when counted from 0"
        )


def whole_labels(y: np.ndarray, origin: str) -> Int[np.ndarray, "n"]:
    """Return labels as whole numbers of 64 bits, so that none changes before it is checked.

    **Raises:** `ValueError` if they are not one row of whole numbers.
    """
    if y.ndim != 1 or y.dtype.kind not in "iuf":
        raise ValueError(f"{origin} holds labels as {y.dtype} {list(y.shape)}, not int [n]")
    if y.dtype.kind == "f":
        if not (np.isfinite(y).all() and np.array_equal(y, np.rint(y))):
            raise ValueError(f"{origin} holds labels that are no whole numbers")
        y = np.clip(y.astype(float), -(2.0**62), 2.0**62)
    elif y.dtype == np.uint64:
        y = np.minimum(y, np.uint64(2**62))
    return y.astype(np.int64)


def check_apart(train_x: np.ndarray, test_x: np.ndarray, train: str, test: str) -> None:
    """Raise `ValueError` if the examples to test on are those to train on."""
    if np.array_equal(train_x, test_x):
        raise ValueError(f"{test} holds the examples of {train}, not others to test on")
