"""A family made harder to learn from: noise on what is seen, wrong answers among the right ones."""

import math
from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from hebbax._arguments import check_arguments
from hebbax._options import NOT_NEGATIVE, SHARE, check_option
from hebbax.losses import AbstractGoal, check_classes
from hebbax.tasks._family import AbstractFamily, Batches, ImageShape, one_hot


class NoisyFamily(AbstractFamily):
    """Another family whose support batches are noisy; queries and the test set are as they were.

    A rule that is meta-trained on clean tasks alone takes steps that are too large for hard ones.
    """

    family: AbstractFamily
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    pixels: float = eqx.field(static=True)
    labels: float = eqx.field(static=True)

    @property
    def image(self) -> ImageShape:
        """The image of the family inside."""
        return self.family.image

    @property
    def goal(self) -> AbstractGoal:
        """The goal of the family inside."""
        return self.family.goal

    def draw(self, key: PRNGKeyArray) -> "NoisyFamily":
        """Fix the task of the family inside."""
        return NoisyFamily(
            family=self.family.draw(key), name=self.name, inputs=self.inputs,
            outputs=self.outputs, pixels=self.pixels, labels=self.labels,
        )  # fmt: skip

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Support batches with fresh noise; see `AbstractFamily.stream`."""
        k_rows, k_pixels, k_labels, k_which = jax.random.split(key, 4)
        x, y = self.family.stream(k_rows, steps, batch)
        if self.pixels:
            noise = jax.random.normal(k_pixels, x.shape, x.dtype)
            # As large as before, on average, where inputs are standardised.
            x = (x + self.pixels * noise) / math.sqrt(1 + self.pixels**2)
        if self.labels:
            drawn = jax.random.randint(k_labels, y.shape[:-1], 0, max(2, self.outputs))
            wrong = jax.random.bernoulli(k_which, self.labels, (*y.shape[:-1], 1))
            y = jnp.where(wrong, one_hot(drawn, self.outputs), y)
        return x, y

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Query rows of the family inside."""
        return self.family.query(key, query)

    def test_set(self) -> Batches:
        """The held-out rows of the family inside."""
        return self.family.test_set()


def noisy(family: AbstractFamily, pixels: float = 0.0, labels: float = 0.0) -> NoisyFamily:
    """Return a family with noise on its support batches, drawn anew for every batch.

    **Arguments:**

    - `pixels`: deviation of the normal noise that is added to each input; the sum is divided by
      √(1 + pixels²).
    - `labels`: share of targets, in [0, 1], that are replaced by classes drawn uniformly, the
      right one among them.

    **Raises:** `ValueError` for values out of range, or noise on labels where targets are none.
    """
    check_arguments(noisy, {"family": family})
    check_option("pixels", pixels, Annotated[float, NOT_NEGATIVE])
    check_option("labels", labels, Annotated[float, SHARE])
    if labels:
        check_classes("noise on labels", family.goal, family.name)
    name = f"{family.name},pixel_noise{pixels:g},label_noise{labels:g}"
    return NoisyFamily(
        family=family,
        name=name,
        inputs=family.inputs,
        outputs=family.outputs,
        pixels=float(pixels),
        labels=float(labels),
    )
