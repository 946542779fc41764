"""Moving pictures: decision regions of several learners, side by side, as they form."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from hebbax._files import write_whole
from hebbax.plots._curves import (
    INK,
    PANEL,
    Picture,
    _blend,
    _class_colour,
    _plane,
    _share_right,
    _test_points,
    _watch,
    check_plane,
)
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily

COLOURS = 64
"""Of a GIF: fewer make bands where a prediction is unsure, more make the file larger."""
REST = 2.0
"""Seconds that the last frame stays."""


def decision_film(
    path: str | os.PathLike[str],
    learners: Mapping[str, tuple[AbstractRule, PyTree]],
    families: Sequence[AbstractFamily],
    *,
    hidden: Sequence[int],
    updates: Sequence[int] = tuple(range(21)),
    batch: int = 128,
    key: PRNGKeyArray | None = None,
    resolution: int = 100,
    per_second: float = 3.0,
    dpi: int = 100,
    title: str | None = None,
) -> Figure:
    """Write an animated GIF of what networks say about the plane while they learn.

    A column a learner, a row a task, a frame a number of updates. Every panel is one network, of
    the seed that `key` gives; all meet the same batches. Strong colours are sure predictions, dots
    are test points in the colour of their class.

    **Arguments:**

    - `path`: where to; written whole or not at all.
    - `learners`: rules and their θ, by the name to be shown.
    - `families`: tasks of two inputs.
    - `updates`: after how many updates to look, ascending; 0 is the fresh network.
    - `resolution`: points of the grid along each axis.
    - `per_second`: frames in a second; the last one stays for longer.
    - `dpi`: of the frames, whose size in inches follows from the number of panels.

    **Returns:** the figure as it is in the last frame.

    **Raises:** `ValueError` if a family does not have two inputs, there is nothing to draw, or
    `updates` do not ascend from 0 or more; `OSError` if the file cannot be written.
    """
    updates = tuple(updates)
    if not updates or updates[0] < 0 or list(updates) != sorted(set(updates)):
        raise ValueError(f"updates must ascend from 0 or more; got {updates}.")
    if not learners or not families:
        raise ValueError("there must be at least one learner and one family; got none.")
    check_plane(families)
    key = jax.random.key(0) if key is None else key
    side = 0.9 * PANEL
    figure = Picture(
        figsize=(side * len(learners) + 0.4, side * len(families) + 0.8),
        dpi=dpi,
        layout="constrained",
    )
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(len(families), len(learners), squeeze=False)
    scenes = []
    for index, (row, family) in enumerate(zip(grid, families, strict=True)):
        low, high, x, truth = _test_points(family, key)
        plane = _plane(low, high, resolution)
        colours = np.array([to_rgb(_class_colour(i)) for i in range(max(family.outputs, 2))])
        extent = (low[0], high[0], low[1], high[1])
        for axes, (name, (rule, theta)) in zip(row, learners.items(), strict=True):
            shares, rights = _watch(
                rule, theta, family, (2, *hidden, family.outputs), batch, updates, plane, key
            )
            frames = [
                _blend(np.asarray(share), colours).reshape(resolution, resolution, 3)
                for share in shares
            ]
            image = axes.imshow(frames[0], extent=extent, origin="lower", aspect="auto")
            dots = [_class_colour(int(label)) for label in truth]
            axes.scatter(x[:, 0], x[:, 1], s=7, c=dots, edgecolors="white", linewidths=0.3)
            axes.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
            for spine in axes.spines.values():
                spine.set_visible(False)
            if index == 0:
                axes.set_title(name, fontsize=10, color=INK)
            said = [_share_right(*one) for one in zip(rights, shares, strict=True)]
            scenes.append((axes, image, frames, said))
        row[0].set_ylabel(family.name.replace("_", " "), fontsize=10, color=INK)

    pictures = []
    for look, count in enumerate(updates):
        for axes, image, frames, said in scenes:
            image.set_data(frames[look])
            axes.set_xlabel(said[look], fontsize=9, color=INK)
        # Of a constant width, so that nothing jumps.
        note = f"after {count:>{len(str(updates[-1]))}} updates of {batch} examples"
        figure.suptitle(note if title is None else f"{title}\n{note}", fontsize=10, color=INK)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[:, :, :3].copy())
    seconds = [1 / per_second] * (len(pictures) - 1) + [REST]
    content = _gif(pictures, seconds)
    write_whole(Path(path), lambda partial: partial.write_bytes(content))
    return figure


def _gif(
    pictures: Sequence[UInt8[np.ndarray, "height width 3"]], seconds: Sequence[float]
) -> bytes:
    """Return a GIF that repeats for ever, all frames in the colours of one palette.

    With a palette for each frame, unchanged parts would flicker, and be stored again.
    """
    some: Any = pictures[:: max(1, len(pictures) // 4)]
    palette = Image.fromarray(np.concatenate([*some, pictures[-1]])).quantize(
        COLOURS, method=Image.Quantize.MEDIANCUT
    )
    frames = [
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]
    file = io.BytesIO()
    frames[0].save(
        file, format="GIF", save_all=True, append_images=frames[1:], loop=0, optimize=True,
        duration=[round(1000 * second) for second in seconds],
    )  # fmt: skip
    return file.getvalue()
