"""Tasks of random classes of a set of images, in shades of grey."""

import functools
import math
import os
from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, PRNGKeyArray, UInt8

from hebbax._arguments import check_arguments
from hebbax._errors import check_choice
from hebbax._options import Range, check_option
from hebbax.data import images as _images
from hebbax.data import load, stratified
from hebbax.tasks._datasets import IMAGES
from hebbax.tasks._family import (
    AbstractFamily,
    Batches,
    ImageShape,
    check_counts,
    not_drawn,
    one_hot,
)

# Of rare classes more than a sixth is needed, lest labelled batches share many images.
_QUERY_FRACTION = 1 / 2
# How bright the eye sees red, green and blue (ITU-R BT.601).
_BRIGHTNESS = np.asarray((0.299, 0.587, 0.114), np.float32)


class SubsetFamily(AbstractFamily):
    """Tasks of `outputs` random classes of a labelled set of images, numbered anew.

    Half of every class, chosen once and for all, is kept for queries.
    """

    pixels: UInt8[Array, "train in"]
    """Images of the training part, class after class, in each the support rows first."""
    first: Int32[Array, "classes"]
    support: Int32[Array, "classes"]
    query_rows: Int32[Array, "classes"]
    """Where in `pixels` each class begins, and how many support and query rows it has."""
    test_pixels: UInt8[Array, "classes rows in"]
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    classes: Int32[Array, "ways"] | None = None
    """The task's classes, class 0 first; None as long as no task is fixed."""

    @property
    def image(self) -> ImageShape:
        """A square image in shades of grey."""
        side = math.isqrt(self.inputs)
        return side, side, 1

    def draw(self, key: PRNGKeyArray) -> "SubsetFamily":
        """The family with its classes fixed; itself if they are already."""
        if self.classes is not None:
            return self
        classes = jax.random.permutation(key, len(self.first))[: self.outputs]
        return eqx.tree_at(
            lambda f: f.classes, self, classes.astype(jnp.int32), is_leaf=lambda leaf: leaf is None
        )

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Support batches of the task's classes; see `AbstractFamily.stream`."""
        check_counts(steps, batch)
        return self._random(key, (steps, batch), jnp.zeros_like(self.first), self.support)

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Query rows of the task's classes, none of them a support row."""
        check_counts(1, 1, query)
        return self._random(key, (query,), self.support, self.query_rows)

    def test_set(self) -> Batches:
        """Images of the held-out part: as many of each class as the rarest class has."""
        if self.classes is None:
            raise not_drawn(self.name)
        x = self.test_pixels[self.classes].astype(jnp.float32) / 255
        labels = jnp.repeat(jnp.arange(self.outputs, dtype=jnp.int32), x.shape[1])
        return x.reshape(-1, self.inputs), one_hot(labels, self.outputs)

    def _random(self, key: PRNGKeyArray, shape: tuple[int, ...], start, count) -> Batches:
        if self.classes is None:
            raise not_drawn(self.name)
        k_label, k_row = jax.random.split(key)
        labels = jax.random.randint(k_label, shape, 0, self.outputs)
        chosen = self.classes[labels]
        rows = start[chosen] + jax.random.randint(k_row, shape, 0, count[chosen])
        x = self.pixels[self.first[chosen] + rows].astype(jnp.float32) / 255
        return x, one_hot(labels, self.outputs)


def subsets(name: str, ways: int = 10, size: int = 14) -> SubsetFamily:
    """Tasks of `ways` random classes of a set of images, such as `"cifar10"` or `"az_letters"`.

    Images are `size` × `size` shades of grey in [0, 1].

    **Raises:** `ValueError` for an unknown name, an impossible size or number of classes; what
    `hebbax.data.load` raises.
    """
    check_arguments(subsets, locals())
    check_choice("set of images", name, IMAGES)
    check_option("size", size, Annotated[int, Range(1, _images.LARGEST)])
    # The environment is part of the key, for it decides which files are read.
    arrays = _arrays(name, size, os.environ.get("HEBBAX_DATA"))
    classes = len(arrays["first"])
    check_option("ways", ways, Annotated[int, Range(2, classes)])
    return SubsetFamily(
        **arrays, name=f"{name}-{ways},size{size}", inputs=size * size, outputs=ways
    )


@functools.lru_cache(maxsize=4)
def _arrays(name: str, size: int, root: str | None) -> dict[str, Array]:
    dataset = load(name)
    train_y, test_y = dataset.train_y, dataset.test_y
    query = stratified(train_y, _QUERY_FRACTION, seed=0)
    order = np.lexsort((query, train_y))
    counts = np.bincount(train_y)
    for_queries = np.bincount(train_y, query).astype(int)
    kept = np.bincount(test_y, minlength=len(counts)).min()
    rows = np.stack([np.flatnonzero(test_y == c)[:kept] for c in range(len(counts))])
    return {
        "pixels": jnp.asarray(_grey(dataset.train_x, size)[order]),
        "first": jnp.asarray(np.cumsum(counts) - counts, jnp.int32),
        "support": jnp.asarray(counts - for_queries, jnp.int32),
        "query_rows": jnp.asarray(for_queries, jnp.int32),
        "test_pixels": jnp.asarray(_grey(dataset.test_x, size)[rows]),
    }


def _grey(pixels: np.ndarray, size: int) -> UInt8[np.ndarray, "n in"]:
    values = _images.resize(pixels, size)
    if values.ndim == 4:
        values = values @ _BRIGHTNESS
    return np.rint(values).astype(np.uint8).reshape(len(values), -1)
