"""Few-shot classification of Omniglot's characters: every task has characters of its own."""

import functools
import math
import os
from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, PRNGKeyArray

from hebbax._arguments import check_arguments
from hebbax._errors import check_choice
from hebbax._options import Range, check_option
from hebbax.data import DRAWERS, SIDE, load
from hebbax.data import images as _images
from hebbax.tasks._datasets import prepare
from hebbax.tasks._family import (
    AbstractFamily,
    Batches,
    ImageShape,
    check_counts,
    not_drawn,
    one_hot,
)

SUPPORT_DRAWERS = 15
"""Support images come from this many of the 20 drawers of a character; queries from the others."""


class OmniglotFamily(AbstractFamily):
    """Tasks of `outputs` random characters, numbered anew.

    In every task the drawers are shuffled; 15 give the support images and 5 the queries and the
    test set. BLUR sec. 4.5 meta-trains on such tasks with ten characters.
    """

    pixels: Float32[Array, "characters drawers in"]
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    characters: Int32[Array, "ways"] | None = None
    """The task's characters, class 0 first; None as long as no task is fixed."""
    drawers: Int32[Array, "drawers"] | None = None
    """The task's order of the drawers, those of the support first."""

    @property
    def image(self) -> ImageShape:
        """A square image in shades of grey."""
        side = math.isqrt(self.inputs)
        return side, side, 1

    def draw(self, key: PRNGKeyArray) -> "OmniglotFamily":
        """The family with characters and order of drawers fixed; itself if they are already."""
        if self.characters is not None:
            return self
        character_key, drawer_key = jax.random.split(key)
        count, drawers = self.pixels.shape[-3:-1]
        return OmniglotFamily(
            pixels=self.pixels,
            name=self.name,
            inputs=self.inputs,
            outputs=self.outputs,
            characters=jax.random.permutation(character_key, count)[: self.outputs],
            drawers=jax.random.permutation(drawer_key, drawers),
        )

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Support batches of the task's characters; see `AbstractFamily.stream`."""
        check_counts(steps, batch)
        return self._random(key, (steps, batch), 0, SUPPORT_DRAWERS)

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Images of the task's characters by the drawers kept for queries."""
        check_counts(1, 1, query)
        return self._random(key, (query,), SUPPORT_DRAWERS, self.pixels.shape[-2])

    def test_set(self) -> Batches:
        """All images of the task's characters by the drawers kept for queries: 5 a character."""
        drawers = self.pixels.shape[-2] - SUPPORT_DRAWERS
        labels = jnp.repeat(jnp.arange(self.outputs, dtype=jnp.int32), drawers)
        return self._rows(labels, jnp.tile(jnp.arange(SUPPORT_DRAWERS, DRAWERS), self.outputs))

    def _random(self, key: PRNGKeyArray, shape: tuple[int, ...], first: int, end: int) -> Batches:
        label_key, drawer_key = jax.random.split(key)
        labels = jax.random.randint(label_key, shape, 0, self.outputs)
        return self._rows(labels, jax.random.randint(drawer_key, shape, first, end))

    def _rows(self, labels: Int32[Array, "*lead"], drawers: Int32[Array, "*lead"]) -> Batches:
        if self.characters is None or self.drawers is None:
            raise not_drawn(self.name)
        x = self.pixels[self.characters[labels], self.drawers[drawers]]
        return x, one_hot(labels, self.outputs)


def omniglot(
    ways: int = 10, size: int = 28, split: str = "background", standardize: bool = True
) -> OmniglotFamily:
    """Tasks of `ways` random characters of Omniglot, 20 images each.

    **Arguments:**

    - `ways`: characters a task, which is the number of outputs.
    - `size`: side of the images in pixels, at most 105, the official one.
    - `split`: `"background"` (964 characters, for meta-training) or `"evaluation"` (659 others,
      of other alphabets, for meta-testing).
    - `standardize`: mean 0 and deviation 1 over all background pixels; otherwise ink is 1.

    **Raises:** `ValueError` for impossible arguments; what `hebbax.data.load` raises.
    """
    check_arguments(omniglot, locals())
    check_choice("split", split, ("background", "evaluation"))
    check_option("size", size, Annotated[int, Range(1, SIDE)])
    background, evaluation = _pixels(size, standardize, os.environ.get("HEBBAX_DATA"))
    pixels = background if split == "background" else evaluation
    check_option("ways", ways, Annotated[int, Range(2, len(pixels))])
    return OmniglotFamily(
        pixels=pixels, name=f"omniglot-{split}-{ways}", inputs=size * size, outputs=ways
    )


@functools.lru_cache(maxsize=2)
def _pixels(
    size: int, standardize: bool, root: str | None
) -> tuple[Float32[Array, "background drawers in"], Float32[Array, "evaluation drawers in"]]:
    dataset = load("omniglot")
    parts = [prepare(part, size, None) for part in (dataset.train_x, dataset.test_x)]
    if standardize:
        parts = _images.standardize(parts[0], parts[1])
    background, evaluation = (jnp.asarray(p.reshape(-1, DRAWERS, size * size)) for p in parts)
    return background, evaluation
