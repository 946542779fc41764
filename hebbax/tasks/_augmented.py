"""A family whose images are masked, permuted, shifted or inverted, task by task."""

import math
from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from hebbax._arguments import check_arguments
from hebbax._options import NOT_NEGATIVE, SHARE, Range, check_option
from hebbax.losses import AbstractGoal
from hebbax.tasks._family import AbstractFamily, Batches, ImageShape, not_drawn


class Look(eqx.Module):
    """How a task's images look.

    **Fields:**

    - `seen` `[in]`: pixels that are not masked, the same in all examples.
    - `order` `[in]`: where each pixel is taken from.
    - `masked`: share of the pixels that each example loses by a mask of its own.
    - `faded`: largest share of its brightness that an example loses.
    - `reach`: largest shift in pixels.
    - `inverted`: whether dark and light change places.
    """

    seen: Bool[Array, " in"]
    order: Int[Array, " in"]
    masked: Float[Array, ""]
    faded: Float[Array, ""]
    reach: Int[Array, ""]
    inverted: Bool[Array, ""]


class AugmentedFamily(AbstractFamily):
    """Another family with images, in [0, 1], that look different in each task.

    Metz et al. (ICLR 2019, appendix "Meta-training data") augment their tasks so, since features
    have to be learnt anew from every task's data: no pixel means the same in two tasks. Support,
    queries and test set of a task look alike; targets stay.
    """

    family: AbstractFamily
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    permute: bool = eqx.field(static=True)
    mask: float = eqx.field(static=True)
    example_mask: float = eqx.field(static=True)
    fade: float = eqx.field(static=True)
    shift: int = eqx.field(static=True)
    invert: float = eqx.field(static=True)
    look: Look | None = None
    """Of the task; None as long as no task is fixed."""

    @property
    def image(self) -> ImageShape:
        """The image of the family inside, unless its pixels are permuted."""
        return None if self.permute else self.family.image

    @property
    def goal(self) -> AbstractGoal:
        """The goal of the family inside."""
        return self.family.goal

    def draw(self, key: PRNGKeyArray) -> "AugmentedFamily":
        """The family with the task inside and its look fixed; itself if they are already."""
        if self.look is not None:
            return self
        k_family, k_order, k_seen, k_shares, k_shift, k_invert = jax.random.split(key, 6)
        # Half of the tasks keep all pixels.
        shares = jnp.maximum(jax.random.uniform(k_shares, (3,), minval=-1, maxval=1), 0)
        order = jnp.arange(self.inputs)
        look = Look(
            seen=jax.random.bernoulli(k_seen, 1 - self.mask * shares[0], (self.inputs,)),
            order=jax.random.permutation(k_order, order) if self.permute else order,
            masked=self.example_mask * shares[1],
            faded=self.fade * shares[2],
            reach=jax.random.randint(k_shift, (), 0, self.shift + 1),
            inverted=jax.random.bernoulli(k_invert, self.invert),
        )
        return eqx.tree_at(
            lambda f: (f.family, f.look),
            self,
            (self.family.draw(k_family), look),
            is_leaf=lambda leaf: leaf is None,
        )

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Support batches as the task shows them; see `AbstractFamily.stream`."""
        k_family, k_look = jax.random.split(key)
        x, y = self.family.stream(k_family, steps, batch)
        return self._show(k_look, x), y

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Query rows of the family inside as the task shows them."""
        k_family, k_look = jax.random.split(key)
        x, y = self.family.query(k_family, query)
        return self._show(k_look, x), y

    def test_set(self) -> Batches:
        """The held-out rows of the family inside; masks and shifts of examples never differ."""
        x, y = self.family.test_set()
        return self._show(jax.random.key(0), x), y

    def _show(self, key: PRNGKeyArray, x: Float[Array, "*lead in"]) -> Float[Array, "*lead in"]:
        look = self.look
        if look is None:
            raise not_drawn(self.name)
        k_mask, k_fade, k_shift = jax.random.split(key, 3)
        if self.shift:
            x = _shifted(k_shift, x, look.reach, self.shift)
        x = jnp.where(look.inverted, 1 - x, x)
        if self.fade:
            x = x * (1 - look.faded * jax.random.uniform(k_fade, (*x.shape[:-1], 1)))
        if self.example_mask:
            x = x * jax.random.bernoulli(k_mask, 1 - look.masked, x.shape).astype(x.dtype)
        return (x * jnp.broadcast_to(look.seen, x.shape).astype(x.dtype))[..., look.order]


def _shifted(
    key: PRNGKeyArray, x: Float[Array, "*lead in"], reach: Int[Array, ""], most: int
) -> Float[Array, "*lead in"]:
    """Move each image by up to `reach` pixels each way; what comes in from outside is zero."""
    side = math.isqrt(x.shape[-1])
    images = x.reshape(-1, side, side)
    moves = jax.random.randint(key, (len(images), 2), most - reach, most + reach + 1)
    wide = jnp.pad(images, ((0, 0), (most, most), (most, most)))
    cut = jax.vmap(lambda image, m: jax.lax.dynamic_slice(image, (m[0], m[1]), (side, side)))
    return cut(wide, moves).reshape(x.shape)


def augmented(
    family: AbstractFamily,
    *,
    permute: bool = True,
    mask: float = 0.0,
    example_mask: float = 0.0,
    fade: float = 0.0,
    shift: int = 0,
    invert: float = 0.0,
) -> AugmentedFamily:
    """Return a family of images that look different in each task; rows hold square images.

    **Arguments:**

    - `permute`: whether every task has its pixels in a random order of its own.
    - `mask`: largest share of pixels, in [0, 1), that are 0 in all examples of a task. Half of
      the tasks keep all; the share of the others is drawn uniformly.
    - `example_mask`: likewise for a mask that is drawn anew for every example.
    - `fade`: largest share of its brightness, in [0, 1), that an example loses, another share for
      each; again, half of the tasks lose none.
    - `shift`: largest shift of an image in pixels; a task's own is drawn uniformly from 0 on.
    - `invert`: probability, in [0, 1], that a task's images are inverted, 1 − x.

    **Raises:** `ValueError` for settings out of range, or images to be shifted that are not square.
    """
    check_arguments(augmented, {"family": family, "permute": permute})
    for name, value in (("mask", mask), ("example_mask", example_mask), ("fade", fade)):
        check_option(name, value, Annotated[float, Range(0, 1, open_high=True)])
    check_option("invert", invert, Annotated[float, SHARE])
    side = math.isqrt(family.inputs)
    check_option("shift", shift, Annotated[int, NOT_NEGATIVE])
    if shift and (side * side != family.inputs or shift > side):
        raise ValueError(
            f"shift must be 0 where rows of {family.name}, {family.inputs} pixels, are no square "
            f"images, or smaller ones; got {shift}."
        )
    settings = (
        f"mask{mask:g},example_mask{example_mask:g},fade{fade:g},shift{shift},invert{invert:g}"
    )
    return AugmentedFamily(
        family=family,
        name=f"{family.name},{'permuted,' * permute}{settings}",
        inputs=family.inputs,
        outputs=family.outputs,
        permute=bool(permute),
        mask=float(mask),
        example_mask=float(example_mask),
        fade=float(fade),
        shift=int(shift),
        invert=float(invert),
    )
