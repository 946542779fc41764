"""Families made from the data sets of `hebbax.data`: images and tables of measurements."""

import functools
import os
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32

from hebbax._arguments import check_arguments
from hebbax._errors import check_choice
from hebbax._options import Range, as_tuple, check_option
from hebbax.data import images as _images
from hebbax.data import load, source
from hebbax.data import names as data_names
from hebbax.tasks._arrays import ArrayFamily, build

BUNDLED = ("iris", "wine", "breast_cancer")
"""Tables that come with scikit-learn."""
UCI = (
    "banknote_authentication", "ecoli", "ionosphere", "mammography", "phoneme", "pima_diabetes",
    "sonar", "wheat_seeds", "winequality_red",
)  # fmt: skip
TABULAR = (*BUNDLED, *UCI, "imdb")
STREAMS = ("elec2", "sea", "keystroke", "interchanging_rbf")
IMAGES = tuple(n for n in data_names() if n not in (*TABULAR, *STREAMS, "omniglot"))


def images(
    name: str,
    size: int | None = None,
    crop: int | None = None,
    classes: Sequence[int] | None = None,
    standardize: bool | Literal["pixels"] = True,
) -> ArrayFamily:
    """Classification of images, one row an image with its pixels (and channels) in a line.

    **Arguments:**

    - `name`: a data set of images, such as `"mnist"`.
    - `size`: resize to `size` x `size` pixels, after cropping.
    - `crop`: keep the central `crop` x `crop` pixels.
    - `classes`: keep these classes only, relabelled 0, 1, ... in the order given.
    - `standardize`: mean 0 and deviation 1 over all training pixels, or `"pixels"`: each pixel by
      itself; with False pixels in [0, 1].

    BLUR sec. 4.2 meta-trains on `images("mnist", size=10, crop=20)`. The arrays of the families
    made last are kept, so the same call again costs nothing.

    **Raises:** `ValueError` for an unknown name, an impossible size, crop or choice of classes;
    what `hebbax.data.load` raises.
    """
    given = {"name": name, "size": size, "crop": crop, "standardize": standardize}
    check_arguments(images, given)
    check_choice("set of images", name, IMAGES)
    if not isinstance(standardize, bool):
        check_choice("standardize", standardize, ("pixels",))
    if size is not None:
        check_option("size", size, Annotated[int, Range(1, _images.LARGEST)])
    chosen = None if classes is None else _check_classes(name, as_tuple(classes))
    # The environment is part of the key, for it decides which files are read.
    return _images_cached(name, size, crop, chosen, standardize, os.environ.get("HEBBAX_DATA"))


def _check_classes(name: str, classes: tuple[int, ...]) -> tuple[int, ...]:
    count = len(source(name).class_names)
    check_option("classes", classes, Annotated[tuple[int, ...], Range(0, count - 1)])
    if len(classes) < 2 or len(set(classes)) != len(classes):
        raise ValueError(f"classes must be two or more different numbers; got {classes}.")
    return tuple(int(label) for label in classes)


@functools.lru_cache(maxsize=8)
def _images_cached(
    name: str,
    size: int | None,
    crop: int | None,
    classes: tuple[int, ...] | None,
    standardize: bool | str,
    root: str | None,
) -> ArrayFamily:
    dataset = load(name)
    train_x, train_y, test_x, test_y = (
        dataset.train_x,
        dataset.train_y,
        dataset.test_x,
        dataset.test_y,
    )
    count = len(dataset.class_names)
    if classes is not None:
        relabel = np.full(count, -1, np.int32)
        relabel[list(classes)] = np.arange(len(classes))
        train_y, test_y = relabel[train_y], relabel[test_y]
        train_x, train_y = train_x[train_y >= 0], train_y[train_y >= 0]
        test_x, test_y = test_x[test_y >= 0], test_y[test_y >= 0]
        count = len(classes)
        if len(train_x) == 0 or len(test_x) == 0:
            raise ValueError(f"{name} as found on this machine has no images of classes {classes}")
    channels = train_x.shape[3] if train_x.ndim == 4 else 1
    height, width = _sides(train_x.shape[1:3], size, crop)
    train_x, test_x = (prepare(part, size, crop) for part in (train_x, test_x))
    if standardize:
        train_x, test_x = _images.standardize(train_x, test_x, per_feature=standardize == "pixels")
    label = _label(name, size, crop, classes) + (",by_pixel" if standardize == "pixels" else "")
    image = height, width, channels
    return build(label, train_x, train_y, test_x, test_y, count, image)


def _sides(sides: tuple[int, ...], size: int | None, crop: int | None) -> tuple[int, ...]:
    """Return the height and width that `prepare` gives images."""
    if size is not None:
        return size, size
    return sides if crop is None else (crop, crop)


def prepare(pixels: np.ndarray, size: int | None, crop: int | None) -> Float32[np.ndarray, "n in"]:
    """Crop, resize, bring to [0, 1] and flatten images [n, height, width, ...] in 0..255."""
    if crop is not None:
        pixels = _images.crop(pixels, crop)
    if size is None:
        values = _images.to_unit(pixels)
    else:
        values = _images.resize(pixels, size)
        values /= 255
    return values.reshape(len(values), -1)


def _label(name: str, size: int | None, crop: int | None, classes: tuple[int, ...] | None) -> str:
    parts = [name]
    if crop is not None:
        parts.append(f"crop{crop}")
    if size is not None:
        parts.append(f"size{size}")
    if classes is not None:
        parts.append("classes" + "-".join(map(str, classes)))
    return ",".join(parts)


def digits(size: int | None = None, crop: int | None = None) -> ArrayFamily:
    """The 8 x 8 digits that come with scikit-learn; needs no download."""
    check_arguments(digits, locals())
    return images("digits", size=size, crop=crop)


def tabular(name: str) -> ArrayFamily:
    """A table of measurements, each column with mean 0 and deviation 1.

    A table that has no official split keeps 30 per cent of each class for testing.

    **Raises:** `ValueError` if `name` is not one of iris, wine, breast_cancer, imdb,
    banknote_authentication, ecoli, ionosphere, mammography, phoneme, pima_diabetes, sonar,
    wheat_seeds and winequality_red; what `hebbax.data.load` raises.
    """
    check_arguments(tabular, locals())
    return _tabular(name, os.environ.get("HEBBAX_DATA"))


@functools.lru_cache(maxsize=8)
def _tabular(name: str, folder: str | None) -> ArrayFamily:
    check_choice("table", name, TABULAR)
    dataset = load(name)
    train_x, test_x = _images.standardize(dataset.train_x, dataset.test_x, per_feature=True)
    count = len(dataset.class_names)
    return build(name, train_x, dataset.train_y, test_x, dataset.test_y, count)


def iris() -> ArrayFamily:
    """Three kinds of iris by four measurements."""
    return tabular("iris")


def wine() -> ArrayFamily:
    """Three kinds of wine by thirteen measurements."""
    return tabular("wine")


def breast_cancer() -> ArrayFamily:
    """Malignant or benign tumours by thirty measurements."""
    return tabular("breast_cancer")
