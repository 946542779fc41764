"""What all figures are drawn with: sheets of panels, means with a band, words in one ink."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from hebbax.papers._statistics import mean_and_error
from hebbax.plots import GRID, INK, tidy

Number = int | float
TITLES = {
    "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "az_letters": "letters",
    "cifar10": "CIFAR-10", "omniglot": "Omniglot",
}  # fmt: skip
"""What figures call sets of images; the others by their names."""


def sheet(width: Number, height: Number, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """Return a figure of so many inches, and its panels `[rows, columns]`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, **options)
    for axes in panels.ravel():
        tidy(axes)
    return figure, panels


def headline(figure: Any, text: str) -> Any:
    """Say above a figure, or a part of one, what it shows, and return it."""
    figure.suptitle(text, fontsize=11, color=INK)
    return figure


def label(axes: Axes, x: str | None = None, y: str | None = None, title: str | None = None) -> None:
    """Write beside the axes and above the panel."""
    if x is not None:
        axes.set_xlabel(x, color=INK)
    if y is not None:
        axes.set_ylabel(y, color=INK)
    if title is not None:
        axes.set_title(title, fontsize=10, color=INK)


def legend_below(figure: Any, panels: Iterable[Axes], **options: Any) -> None:
    """Put one legend of all panels' lines below them, each name once."""
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= {name: handle for name, handle in zip(labels, handles, strict=True)
                  if name not in found}  # fmt: skip
    options = {"loc": "outside lower center", "ncols": len(found), "frameon": False, **options}
    figure.legend(list(found.values()), list(found), **options)


def band(
    axes: Axes,
    x: Any,
    lines: Float[np.ndarray, "n points"],
    name: str | None,
    colour: Any,
    *,
    errors: bool = False,
    within: tuple[float, float] = (0.0, 1.0),
    **style: Any,
) -> None:
    """Draw the mean of lines, with a band of their standard deviation to either side.

    **Arguments:**

    - `errors`: whether the band is the mean's standard error instead.
    - `within`: what the values cannot leave; nor does the band.
    """
    mean, off = lines.mean(axis=0), lines.std(axis=0)
    if errors:
        mean, off = map(np.asarray, zip(*map(mean_and_error, lines.T), strict=True))
    low, high = np.clip([mean - off, mean + off], *within)
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, mean, color=colour, label=name, **{"linewidth": 1.7, **style})


def whiskers(
    axes: Axes, x: Sequence[Number], each: Sequence[np.ndarray], name: str | None, colour: Any
) -> None:
    """Draw the mean and the standard deviation of the values at each of some places."""
    means, off = [values.mean() for values in each], [values.std() for values in each]
    axes.errorbar(
        x, means, off, fmt="o-", color=colour, linewidth=1.6, markersize=4, capsize=3, label=name
    )


def mark(axes: Axes, place: Number) -> None:
    """Mark a place of the x axis, such as how long lifetimes of meta-training are, by dashes."""
    axes.axvline(place, color=GRID, linestyle="--", linewidth=1.2, zorder=0)


def logarithmic(axes: Axes, places: Iterable[Number]) -> None:
    """Make the x axis logarithmic, with plain numbers at the places."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(places)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())


def logarithmic_from_zero(
    axes: Axes, places: Sequence[int], words: Sequence[str] | None = None
) -> None:
    """Make the x axis logarithmic but for its first stretch from 0, with `words` at the places."""
    axes.set_xscale("symlog", linthresh=max(1, min((p for p in places if p), default=1)))
    axes.set_xticks(list(places), [f"{p:,}" for p in places] if words is None else words)
    axes.minorticks_off()
    axes.set_xlim(min(places), max(places))


def sizes(*layers: int) -> str:
    """Return the units of layers as figures say them."""
    return "-".join(map(str, layers))
