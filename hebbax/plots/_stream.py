"""Accuracy over the time of a stream."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from hebbax.inner import StreamCurves
from hebbax.plots._curves import LEARNER_COLOURS, Picture, tidy, worded

POINTS = 600
"""Points drawn of a line; a stream has more rows than a picture has pixels."""


def stream_curves(
    learners: Mapping[str, StreamCurves],
    *,
    window: int = 1000,
    title: str | None = None,
    changes: Sequence[int] = (),
) -> Figure:
    """Draw the share that was right of the last `window` rows, a line a learner.

    Lines are means over the networks, bands one standard deviation to either side.

    **Arguments:**

    - `learners`: what each predicted, by its name.
    - `changes`: rows at which the stream is known to change, for vertical lines.

    **Raises:** `ValueError` if there is nothing to draw.
    """
    if not learners:
        raise ValueError("learners must hold the curves of at least one learner; got none.")
    figure = Picture(figsize=(7.5, 3.2), layout="constrained")
    axes = figure.subplots()
    for index, (name, curves) in enumerate(learners.items()):
        over_time = curves.over_time(window)
        rows = over_time.shape[1]
        # The first rows are a mean of few.
        first = min(window, rows) // 4
        points = np.unique(np.linspace(first, rows - 1, POINTS).astype(int))
        colour = LEARNER_COLOURS[index % len(LEARNER_COLOURS)]
        mean, spread = over_time[:, points].mean(axis=0), over_time[:, points].std(axis=0)
        ended = (curves.predicted < 0).any(axis=0)
        label = f"{name}, numbers end in row {np.argmax(ended) + 1:,}" if ended.any() else name
        axes.plot(points + 1, mean, color=colour, linewidth=1.2, label=worded(label))
        axes.fill_between(
            points + 1, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0
        )
    for row in changes:
        axes.axvline(row, color="#BBBBBB", linewidth=0.6, zorder=0)
    tidy(axes)
    axes.set_xlabel("rows")
    axes.set_ylabel(f"right of the last {window:,}")
    if title is not None:
        axes.set_title(worded(title), loc="left")
    axes.legend(frameon=False, fontsize="small", ncols=3)
    return figure
