"""Images whose pixels change places, or that turn, with time."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._arguments import check_arguments
from hebbax._errors import check_choice
from hebbax.tasks._arrays import ArrayFamily
from hebbax.tasks._drift import Choices, DriftingFamily, Rows, Times, epochs

CHANGES = ("permuted", "rotated")


class DriftingImageFamily(DriftingFamily):
    """A family of square grey images whose pixels are permuted, or which are turned, with time.

    Permutations jump, come back or stay; angles do so too, or move. Classes are renumbered in each
    task.
    """

    images: ArrayFamily
    change: str = eqx.field(static=True)
    side: int = eqx.field(static=True)
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    task_key: PRNGKeyArray | None = None

    def with_task(self, key: PRNGKeyArray) -> "DriftingImageFamily":
        """The family with the history that `key` decides."""
        return DriftingImageFamily(
            images=self.images, change=self.change, side=self.side, name=self.name,
            inputs=self.inputs, outputs=self.outputs, task_key=key,
        )  # fmt: skip

    def rows(
        self, choices: Choices, task: PRNGKeyArray, key: PRNGKeyArray, times: Times, batch: int
    ) -> Rows:
        """Images of the family inside, as they are seen at the time."""
        k_how, k_names = jax.random.split(task)
        x, y = self.images.stream(key, len(times), batch)
        labels = jax.random.permutation(k_names, self.outputs)[jnp.argmax(y, axis=-1)]
        when = epochs(choices, times)
        if self.change == "permuted":

            def seen(number: Array, x: Array) -> Array:
                order = jax.random.permutation(jax.random.fold_in(k_how, number), self.inputs)
                return x[:, order]

            return jax.vmap(seen)(when.number, x), labels
        angles = 2 * jnp.pi * when.between(k_how, ())
        return jax.vmap(self._turned)(x, angles), labels

    def _turned(self, x: Float[Array, "batch in"], angle: Float[Array, ""]) -> Array:
        middle = (self.side - 1) / 2
        grid = jnp.arange(self.side, dtype=float) - middle
        down, across = jnp.meshgrid(grid, grid, indexing="ij")
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        places = [cosine * down - sine * across + middle, sine * down + cosine * across + middle]

        def turn(image: Array) -> Array:
            square = image.reshape(self.side, self.side)
            return jax.scipy.ndimage.map_coordinates(square, places, 1, mode="nearest").ravel()

        return jax.vmap(turn)(x)


def drifting_images(images: ArrayFamily, change: str = "permuted") -> DriftingImageFamily:
    """Return a family of images that change with time.

    **Arguments:**

    - `images`: square grey images with an output for each class, such as `digits()`.
    - `change`: pixels are `permuted`, or images `rotated`.

    **Raises:** `ValueError` for another change, or images that are not square.
    """
    check_arguments(drifting_images, locals())
    check_choice("change", change, CHANGES)
    side = round(images.inputs**0.5)
    if side**2 != images.inputs:
        raise ValueError(f"images must be square and grey; got rows of {images.inputs} values.")
    return DriftingImageFamily(
        images=images, change=change, side=side, name=f"{images.name},{change}",
        inputs=images.inputs, outputs=images.outputs,
    )  # fmt: skip
