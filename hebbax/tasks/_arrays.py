"""A family with a single task: to classify the rows of given arrays."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, PRNGKeyArray
from numpy.typing import ArrayLike

from hebbax._arguments import check_arguments
from hebbax.data import images as _images
from hebbax.data import stratified
from hebbax.data.rows import check_class_numbers, check_finite, check_rows
from hebbax.tasks._family import AbstractFamily, Batches, ImageShape, check_counts, one_hot

QUERY_FRACTION = 1 / 6
"""The share of the training part that is set aside for queries, the same in every class."""


class ArrayFamily(AbstractFamily):
    """Classification of the rows of arrays that lie on the device.

    One sixth of the training part, chosen once and for all within each class, is kept for
    queries; support batches come from the rest.
    """

    train_x: Float32[Array, "train in"]
    """The support rows first, then the query rows."""
    train_y: Int32[Array, "train"]
    test_x: Float32[Array, "test in"]
    test_y: Int32[Array, "test"]
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    support: int = eqx.field(static=True)
    """The number of support rows."""
    seen_as: ImageShape = eqx.field(static=True, default=None)
    """Height, width and channels of the image that a row is."""

    @property
    def image(self) -> ImageShape:
        """The image that a row is, as it was said."""
        return self.seen_as

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Support batches; see `AbstractFamily.stream`."""
        check_counts(steps, batch)
        return self._rows(jax.random.randint(key, (steps, batch), 0, self.support))

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Query rows, none of them a support row. **Raises:** `ValueError` if there are none."""
        check_counts(1, 1, query)
        rows = self.train_x.shape[-2]
        if self.support == rows:
            raise ValueError(
                f"the family {self.name!r} has no class with two training rows, so none is left "
                "over for queries"
            )
        return self._rows(jax.random.randint(key, (query,), self.support, rows))

    def test_set(self) -> Batches:
        """The held-out rows, in the order they were given."""
        return self.test_x, one_hot(self.test_y, self.outputs)

    def _rows(self, rows: Int32[Array, "*lead"]) -> Batches:
        return self.train_x[rows], one_hot(self.train_y[rows], self.outputs)


def build(
    name: str,
    train_x: Float32[np.ndarray, "train in"],
    train_y: Int32[np.ndarray, "train"],
    test_x: Float32[np.ndarray, "test in"],
    test_y: Int32[np.ndarray, "test"],
    classes: int,
    image: ImageShape = None,
) -> ArrayFamily:
    """Put prepared arrays on the device, support rows before query rows."""
    query = stratified(train_y, QUERY_FRACTION, seed=0)
    order = np.argsort(query, kind="stable")
    return ArrayFamily(
        train_x=jnp.asarray(train_x[order]),
        train_y=jnp.asarray(train_y[order]),
        test_x=jnp.asarray(test_x),
        test_y=jnp.asarray(test_y),
        name=name,
        inputs=train_x.shape[1],
        outputs=classes,
        support=int((~query).sum()),
        seen_as=image,
    )


def from_arrays(
    x: ArrayLike,
    y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    name: str = "arrays",
    standardize: bool = True,
    image: ImageShape = None,
) -> ArrayFamily:
    """A family from your own data.

    **Arguments:**

    - `x`, `test_x`: `[n, in]`, anything numpy takes as real numbers; used as float32, after they
      have been standardised.
    - `y`, `test_y`: `[n]` whole numbers, classes counted from 0; every class occurs in `y`.
    - `standardize`: bring each column to mean 0 and deviation 1, as measured on `x`.
    - `image`: height, width and channels of the image that a row is, if it is one.

    **Returns:** an `ArrayFamily`, as many outputs as classes.

    **Raises:** `ValueError` if an array has the wrong shape, is empty, holds NaN, infinity or
    masked values, if lengths differ, or if the labels are not 0..C-1; it says which array and what
    was found.
    """
    check_arguments(from_arrays, locals())
    train_x, held_x = check_rows("x", x), check_rows("test_x", test_x)
    train_y, held_y = check_class_numbers("y", y), check_class_numbers("test_y", test_y)
    for (x_name, rows), (y_name, labels) in (
        (("x", train_x), ("y", train_y)),
        (("test_x", held_x), ("test_y", held_y)),
    ):
        if len(rows) != len(labels):
            raise ValueError(
                f"{y_name} must have a label for each row of {x_name}; got {len(rows)} rows and "
                f"{len(labels)} labels."
            )
    if train_x.shape[1] != held_x.shape[1]:
        raise ValueError(
            f"test_x must have the columns of x, {train_x.shape[1]}; got {held_x.shape[1]}."
        )
    if image is not None and math.prod(image) != train_x.shape[1]:
        raise ValueError(
            f"image must have as many numbers as x has columns, {train_x.shape[1]}; got {image}."
        )
    classes = int(train_y.max()) + 1
    absent = sorted(set(range(classes)) - set(train_y.tolist()))
    if absent:
        raise ValueError(
            f"y must hold every class from 0 to {classes - 1}, its largest label; got none of "
            f"{', '.join(map(str, absent[:10]))}{' ...' if len(absent) > 10 else ''}."
        )
    if classes < 2:
        raise ValueError("y must hold at least two classes; got class 0 only.")
    if held_y.max() >= classes:
        raise ValueError(
            f"test_y must hold classes of y, up to {classes - 1}; got the label "
            f"{int(held_y.max())}."
        )
    if standardize:
        train_x, held_x = _images.standardize(train_x, held_x, per_feature=True)
        check_finite("x", train_x)
        check_finite("test_x", held_x)
    train_x, held_x = train_x.astype(np.float32, copy=False), held_x.astype(np.float32, copy=False)
    return build(name, train_x, train_y, held_x, held_y, classes, image)
