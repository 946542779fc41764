"""Tasks of printed characters, drawn from the fonts that come with matplotlib."""

import functools
import math
import unicodedata
from pathlib import Path
from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from jaxtyping import Array, Float32, Int32, PRNGKeyArray, UInt8
from PIL import Image, ImageDraw, ImageFont

from hebbax._arguments import check_arguments
from hebbax._options import Range, check_option
from hebbax.tasks._family import (
    AbstractFamily,
    Batches,
    ImageShape,
    check_counts,
    not_drawn,
    one_hot,
)

FACES = tuple(
    f"{family}{style}"
    for family, styles in {
        "DejaVuSans": ("", "-Bold", "-Oblique", "-BoldOblique"),
        "DejaVuSansMono": ("", "-Bold", "-Oblique", "-BoldOblique"),
        "DejaVuSerif": ("", "-Bold", "-Italic", "-BoldItalic"),
        "STIXGeneral": ("", "Bol", "Italic", "BolIta"),
    }.items()
    for style in styles
)
"""The font faces, all of which have all the characters."""
SUPPORT_FACES = 12
"""Support images come from this many of a task's shuffled faces; queries from the others."""
LARGEST = 64
"""The largest side in pixels."""
_CODES = (*range(0x21, 0x500), *range(0x2000, 0x2C00))
_POSE = 4


class GlyphFamily(AbstractFamily):
    """Tasks of random characters, printed in several faces, sizes, places and directions.

    Metz et al. (ICLR 2019, appendix "Meta-training data") meta-train on such tasks. Targets are
    one-hot; with `pose` four columns follow, sine and cosine of the rotation and the shift in x
    and y as a share of the largest, all in [−1, 1], for features to be judged by too.
    """

    pixels: UInt8[Array, "characters faces side side"]
    """Ink, 255 for all; half as much again as a task's images in height and width."""
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    ways: int = eqx.field(static=True)
    rotation: float = eqx.field(static=True)
    shift: float = eqx.field(static=True)
    zoom: float = eqx.field(static=True)
    characters: Int32[Array, "ways"] | None = None
    """The task's characters, class 0 first; None as long as no task is fixed."""
    faces: Int32[Array, "faces"] | None = None
    """The task's order of the faces, those of the support first."""

    @property
    def image(self) -> ImageShape:
        """A square image in shades of grey."""
        side = math.isqrt(self.inputs)
        return side, side, 1

    def draw(self, key: PRNGKeyArray) -> "GlyphFamily":
        """The family with characters and order of faces fixed; itself if they are already."""
        if self.characters is not None:
            return self
        k_character, k_face = jax.random.split(key)
        count, faces = self.pixels.shape[:2]
        return eqx.tree_at(
            lambda f: (f.characters, f.faces),
            self,
            (
                jax.random.permutation(k_character, count)[: self.ways],
                jax.random.permutation(k_face, faces),
            ),
            is_leaf=lambda leaf: leaf is None,
        )

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Support batches, every image in a pose of its own; see `AbstractFamily.stream`."""
        check_counts(steps, batch)
        x, y = self._random(key, steps * batch, 0, SUPPORT_FACES)
        return x.reshape(steps, batch, -1), y.reshape(steps, batch, -1)

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Images of the task's characters in the faces kept for queries."""
        check_counts(1, 1, query)
        return self._random(key, query, SUPPORT_FACES, len(FACES))

    def test_set(self) -> Batches:
        """The task's characters upright and in the middle, in the faces kept for queries."""
        kept = len(FACES) - SUPPORT_FACES
        labels = jnp.repeat(jnp.arange(self.ways, dtype=jnp.int32), kept)
        faces = jnp.tile(jnp.arange(SUPPORT_FACES, len(FACES)), self.ways)
        nothing = jnp.zeros(len(labels))
        return self._rows(labels, faces, nothing, jnp.ones(len(labels)), nothing, nothing)

    def _random(self, key: PRNGKeyArray, count: int, first: int, end: int) -> Batches:
        k_label, k_face, k_pose = jax.random.split(key, 3)
        labels = jax.random.randint(k_label, (count,), 0, self.ways)
        faces = jax.random.randint(k_face, (count,), first, end)
        turn, size, right, down = jax.random.uniform(k_pose, (4, count), minval=-1, maxval=1)
        return self._rows(
            labels, faces, math.radians(self.rotation) * turn, self.zoom**size, right, down
        )

    def _rows(self, labels, faces, angle, size, right, down) -> Batches:
        if self.characters is None or self.faces is None:
            raise not_drawn(self.name)
        images = (self.characters[labels], self.faces[faces])
        move = self.shift * jnp.stack([right, down])
        x = jax.vmap(self._look, (0, 0, 0, 0, 1))(*images, angle, size, move)
        y = one_hot(labels, self.ways)
        if self.outputs > self.ways:
            pose = jnp.stack([jnp.sin(angle), jnp.cos(angle), right, down], axis=1)
            y = jnp.concatenate([y, pose], axis=1)
        return x, y

    def _look(self, character, face, angle, size, move) -> Float32[Array, " in"]:
        """Return an image of the atlas, turned, scaled and shifted, by linear interpolation."""
        side, large = math.isqrt(self.inputs), self.pixels.shape[-1]
        along = jnp.arange(side, dtype=float) - (side - 1) / 2
        x, y = along[None, :] - move[0], along[:, None] - move[1]
        scale = large / (1.5 * side) / size
        column = scale * (jnp.cos(angle) * x + jnp.sin(angle) * y) + (large - 1) / 2
        row = scale * (jnp.cos(angle) * y - jnp.sin(angle) * x) + (large - 1) / 2
        top, left = jnp.floor(row).astype(int), jnp.floor(column).astype(int)
        below, beside = row - top.astype(row.dtype), column - left.astype(row.dtype)
        ink = jnp.zeros_like(row)
        for down, part in ((0, 1 - below), (1, below)):
            for over, share in ((0, 1 - beside), (1, beside)):
                r, c = top + down, left + over
                inside = (r >= 0) & (r < large) & (c >= 0) & (c < large)
                found = self.pixels[
                    character, face, jnp.clip(r, 0, large - 1), jnp.clip(c, 0, large - 1)
                ]
                ink = ink + jnp.where(inside, part * share * found.astype(part.dtype), 0)
        return (ink / 255).reshape(-1)


def glyphs(
    ways: int = 10,
    size: int = 14,
    rotation: float = 15.0,
    shift: float = 1.0,
    zoom: float = 1.2,
    pose: bool = False,
) -> GlyphFamily:
    """Tasks of `ways` random characters: letters of several alphabets, signs and symbols.

    No digits are among them, so that a rule that is meta-trained on them has not seen those of
    MNIST. Pixels lie in [0, 1], with ink 1.

    **Arguments:**

    - `size`: side of the images in pixels.
    - `rotation`: largest angle in degrees, either way; 180 for all directions.
    - `shift`: largest shift in pixels, in x and in y, either way.
    - `zoom`: most by which a character is larger or smaller than the others of its face.
    - `pose`: append rotation and shift to the targets, see `GlyphFamily`.

    **Raises:** `ValueError` for settings out of range.
    """
    check_arguments(glyphs, {"pose": pose})
    check_option("size", size, Annotated[int, Range(4, LARGEST)])
    check_option("rotation", rotation, Annotated[float, Range(0, 180)])
    check_option("shift", shift, Annotated[float, Range(0, size / 2)])
    check_option("zoom", zoom, Annotated[float, Range(1, 4)])
    pixels = _atlas(round(1.5 * size))
    check_option("ways", ways, Annotated[int, Range(2, len(pixels))])
    name = (
        f"glyphs-{ways},size{size},rotation{rotation:g},shift{shift:g},zoom{zoom:g}{',pose' * pose}"
    )
    return GlyphFamily(
        pixels=jnp.asarray(pixels),
        name=name,
        inputs=size * size,
        outputs=ways + _POSE * pose,
        ways=ways,
        rotation=float(rotation),
        shift=float(shift),
        zoom=float(zoom),
    )


@functools.lru_cache(maxsize=1)
def characters() -> tuple[str, ...]:
    """Return the characters that all faces have and that leave ink, without digits and accents.

    Those of the same shape (Latin A and Greek Alpha) stand once: no task has both.
    """
    chosen: dict[bytes, str] = {}
    common = set.intersection(*(_codes(face) for face in FACES))
    for code in sorted(common.intersection(_CODES)):
        letter = chr(code)
        # Accented letters differ from one another by a few pixels only.
        if unicodedata.category(letter)[0] not in "LSP" or unicodedata.decomposition(letter):
            continue
        image = _draw(_font(FACES[0], 32), letter, 32)
        if image.max() > 127:
            chosen.setdefault(image.tobytes(), letter)
    return tuple(chosen.values())


@functools.lru_cache(maxsize=2)
def _atlas(side: int) -> UInt8[np.ndarray, "characters faces side side"]:
    fonts = [_font(face, side) for face in FACES]
    return np.stack([[_draw(font, c, side) for font in fonts] for c in characters()])


def _file(face: str) -> Path:
    return Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"


def _codes(face: str) -> set[int]:
    from matplotlib.ft2font import FT2Font

    return set(FT2Font(str(_file(face))).get_charmap())


def _font(face: str, side: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_file(face)), round(0.8 * side))


def _draw(font: ImageFont.FreeTypeFont, letter: str, side: int) -> UInt8[np.ndarray, "side side"]:
    image = Image.new("L", (side, side))
    left, top, right, bottom = font.getbbox(letter)
    place = ((side - left - right) / 2, (side - top - bottom) / 2)
    ImageDraw.Draw(image).text(place, letter, fill=255, font=font)
    return np.asarray(image)
