"""Pictures of the outer loop: the curves of meta-training runs on top of each other."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter

from hebbax._errors import check_choice
from hebbax.plots._curves import GRID, INK, Picture, tidy, worded
from hebbax.runs import RunLog

# Okabe and Ito's colours, the ones that are farthest apart first.
RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
MARK, DASHED = "#888888", (0, (4, 3))
SHOWN = ("loss", "accuracy")
WIDTH, HEIGHT = 4.9, 3.5
"""Of a panel, in inches."""
FEW = 20
"""So few points are marked, for a line through them says too little."""
MANY = 40
"""So many validation points are drawn small."""
WIDE = 30.0
"""From so many times the median on, only a logarithmic axis shows a curve's end too."""
SPIKE = 3.0
"""What is so many times higher than nearly all of a curve hides the rest of it."""
LARGE = 1e4
"""Numbers from here on are labelled with k, M, G."""

LOSSES = {
    "QueryCrossEntropy": "cross-entropy (nats)",
    "OnlineCrossEntropy": "cross-entropy (nats)",
    "QueryLoss": "of the families",
    "OnlineLoss": "of the families",
    "Prequential": "of the families",
    "QueryAccuracy": "share of wrong answers",
    "FewShotRidge": "squared distance, 0 to 4",
}
LABELS = {
    "accuracy": "accuracy (share of right answers)",
    "squared_error": "squared error",
    "gradient_norm": "norm of the meta-gradient",
    "nonfinite": "share that was not finite",
    "clipped": "share of clipped meta-steps",
    "step_seconds": "time of a meta-step (s)",
    "meta_steps_per_s": "meta-steps per second",
    "inner_updates_per_s": "updates of networks per second",
    "std": "standard deviation of the search",
    "population": "members of the population",
}

SHARES = ("nonfinite", "clipped")
FROM_ZERO = (*SHARES, "step_seconds", "meta_steps_per_s", "inner_updates_per_s", "population")


def run_curves(
    logs: Mapping[str, RunLog], *, metrics: Sequence[str] | None = None, title: str | None = None
) -> Figure:
    """Draw metrics against meta-steps: a panel a metric, a colour a run directory.

    Of runs trained side by side the best is a strong line and the others are thin ones. The panel
    of the loss shows the best run's validation losses too, with a star at the lowest. Vertical
    lines are the ends of a curriculum's stages, crosses are divergences. An axis is logarithmic
    where a linear one would hide the end of a curve.

    **Arguments:**

    - `logs`: what `hebbax.runs.read_log` returned, by the name to be shown.
    - `metrics`: what to draw; by default the loss and the accuracy, if there is one.
    - `title`: above all panels; by default a few words about a single run.

    **Raises:** `ValueError` if there is nothing to draw, or no run has one of `metrics`.
    """
    if not logs:
        raise ValueError("logs must hold at least one run; got none.")
    known = tuple(dict.fromkeys(name for log in logs.values() for name in log.metrics))
    if metrics is None:
        metrics = tuple(name for name in SHOWN if name in known)
    if not metrics:
        raise ValueError(f"metrics must name at least one of {', '.join(known)}; got none.")
    for name in metrics:
        check_choice("metrics", name, known)

    columns = min(2, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    figure = Picture(figsize=(WIDTH * columns, HEIGHT * rows + 0.9), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)  # pyright: ignore
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for index, (axes, metric) in enumerate(zip(grid, metrics, strict=False)):
        tidy(axes)
        _panel(axes, logs, metric)
        axes.set_ylabel(worded(_label(metric, logs)), color=INK)
        if index + columns >= len(metrics):
            axes.set_xlabel("meta-steps", color=INK)
            axes.tick_params(labelbottom=True)
    for axes in grid[len(metrics) :]:
        axes.set_visible(False)
    handles = _handles(logs, metrics)
    across = len(handles) if len(handles) <= 2 * columns else 1 + columns
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=across if len(logs) == 1 else columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
    if title is None and len(logs) == 1:
        title = _title(*next(iter(logs.items())))
    if title:
        figure.suptitle(worded(title), fontsize=11, color=INK)
    return figure


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the last parts of paths, as many as it takes to tell them apart."""
    parts = [path.resolve().parts for path in paths]
    length = 1
    while len({part[-length:] for part in parts}) < len(set(parts)):
        length += 1
    return ["/".join(part[-length:]) for part in parts]


def _panel(axes: Axes, logs: Mapping[str, RunLog], metric: str) -> None:
    drawn = []
    staged = [name for name, log in logs.items() if log.stages()]
    for index, (name, log) in enumerate(logs.items()):
        look = _look(index)
        _mark_stages(
            axes,
            log,
            color=look["color"] if len(logs) > 1 else MARK,
            row=staged.index(name) if name in staged else 0,
        )
        _mark_divergences(axes, log, look["color"])
        if metric not in log.metrics:
            continue
        steps, values = log.series(metric)
        drawn.append(values)
        few = {"marker": ".", "markersize": 5} if len(steps) <= FEW else {}
        best = log.best_run() if len(values) > 1 else 0
        for run, row in enumerate(values):
            if run != best:
                axes.plot(steps, row, linewidth=0.9, alpha=0.4, zorder=2, **few, **look)
        axes.plot(steps, values[best], linewidth=1.8, zorder=3, **few, **look)
        if metric == "loss" and "validation_loss" in log.metrics:
            _validation(axes, log, look["color"])
    _scale(axes, drawn, metric)


def _validation(axes: Axes, log: RunLog, colour: str) -> None:
    """Draw the best run's validation losses, and a star for the lowest."""
    steps, losses = log.series("validation_loss")
    lowest = log.lowest()
    others = steps != (lowest.step if lowest else 0)
    many = len(steps) > MANY
    axes.plot(
        steps[others], losses[log.best_run(), others], "o", color=colour, zorder=4,
        markerfacecolor="white", markersize=2.5 if many else 4.5,
        markeredgewidth=0.8 if many else 1.2,
    )  # fmt: skip
    if lowest is not None:
        axes.plot(
            lowest.step, lowest.loss, "*", color=colour, zorder=5, markersize=12,
            markeredgecolor="white", markeredgewidth=1.0,
        )  # fmt: skip


def _mark_stages(axes: Axes, log: RunLog, color: str, row: int) -> None:
    for step, text in log.stages().items():
        axes.axvline(step, color=color, linewidth=0.9, linestyle=DASHED, zorder=1)
        axes.annotate(
            text, (step, 1.0), (3, -3 - 9 * row), fontsize=7.5, color=color, va="top", zorder=6,
            xycoords=axes.get_xaxis_transform(), textcoords="offset points",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        )  # fmt: skip


def _mark_divergences(axes: Axes, log: RunLog, color: str) -> None:
    for event in log.diverged():
        axes.plot(
            event["step"], 1.0, "X", transform=axes.get_xaxis_transform(), color=color,
            markersize=8, markeredgecolor="white", markeredgewidth=0.8, clip_on=False, zorder=7,
        )  # fmt: skip


def _scale(axes: Axes, drawn: Sequence[np.ndarray], metric: str) -> None:
    """Choose the limits of the axes, and a logarithm where a curve's end would lie flat.

    A few spikes are cut off instead, and a note says how high they reach.
    """
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlim(left=0)
    values = np.concatenate([rows[np.isfinite(rows)] for rows in drawn])
    if not len(values):
        return
    # What is high at the beginning is no spike.
    early = [rows[:, : 1 + rows.shape[1] // 10] for rows in drawn]
    usual = max(
        np.quantile(values, 0.97), *(np.max(e, where=np.isfinite(e), initial=0) for e in early)
    )
    highest, low = values.max(), min(axes.get_ylim()[0], values.min())
    if values.min() >= 0 and highest > SPIKE * usual > 0:
        axes.set_ylim(values.min() - 0.05 * usual, 1.15 * usual)
        axes.annotate(
            f"up to {highest:.3g} ↑", (1, 1), (-2, -14), xycoords="axes fraction",
            textcoords="offset points", ha="right", va="top", fontsize=7.5, color=MARK,
        )  # fmt: skip
        highest = usual
    high = axes.get_ylim()[1]
    name = metric.partition("/")[0]
    if values.min() > 0 and highest > WIDE * np.median(values):
        axes.set_ylim(0.8 * values.min(), 1.25 * highest)
        axes.set_yscale("log")
        axes.grid(axis="y", which="minor", color=GRID, linewidth=0.3)
    elif name == "accuracy":
        axes.set_ylim(max(low, 0.0), min(high, 1.01))
    elif name in FROM_ZERO:
        # A little below, for much of what is drawn here lies on zero itself.
        high = max(high, 0.1) if name in SHARES else high
        axes.set_ylim(-0.02 * high, high)
    if highest >= LARGE and axes.get_yscale() == "linear":
        axes.yaxis.set_major_formatter(EngFormatter())


def _label(metric: str, logs: Mapping[str, RunLog]) -> str:
    name, _, family = metric.partition("/")
    if name in ("loss", "validation_loss"):
        kinds = {
            LOSSES.get(log.objective.get("name", ""), "")
            + (", summed" if log.objective.get("reduction") == "sum" else "")
            for log in logs.values()
        }
        kind = kinds.pop() if len(kinds) == 1 else ""
        words = "meta-loss" if name == "loss" else "validation loss"
        return f"{words}: {kind}" if kind else words
    words = LABELS.get(name, name.replace("_", " "))
    return f"{words}\non {family.replace('_', ' ')}" if family else words


def _handles(logs: Mapping[str, RunLog], metrics: Sequence[str]) -> list[Line2D]:
    handles = [
        Line2D([], [], linewidth=2.2, label=worded(_name(name, log, len(logs) > 1)), **_look(index))
        for index, (name, log) in enumerate(logs.items())
    ]
    single = RUN_COLOURS[0] if len(logs) == 1 else MARK
    everything: list[tuple[bool, dict[str, Any]]] = [
        (
            any(log.runs > 1 for log in logs.values()),
            {"linewidth": 0.9, "color": single, "alpha": 0.6, "label": "the other runs"},
        ),
        (
            "loss" in metrics and any("validation_loss" in log.metrics for log in logs.values()),
            {
                "marker": "o", "linestyle": "", "color": single, "markerfacecolor": "white",
                "markersize": 4.5, "label": "validation",
            },
        ),
        (
            "loss" in metrics and any(log.lowest() for log in logs.values()),
            {
                "marker": "*", "linestyle": "", "color": single, "markersize": 10,
                "markeredgecolor": "white", "label": "lowest validation loss",
            },
        ),
        (
            any(log.stages() for log in logs.values()),
            {"linewidth": 0.9, "color": MARK, "linestyle": DASHED, "label": "next stage"},
        ),
        (
            any(log.diverged() for log in logs.values()),
            {
                "marker": "X", "linestyle": "", "color": single, "markersize": 8,
                "markeredgecolor": "white", "label": "a run diverged and went back",
            },
        ),
    ]  # fmt: skip
    return handles + [Line2D([], [], **look) for wanted, look in everything if wanted]


def _name(name: str, log: RunLog, several: bool) -> str:
    which = f"run {log.best_run() + 1} of {log.runs}, the best" if log.runs > 1 else ""
    if not several:
        return which or name
    return f"{name} ({which})" if which else name


def _title(name: str, log: RunLog) -> str:
    lowest = log.lowest()
    note = f"{name}: {log.step:,} meta-steps" + (f" of {log.runs} runs" if log.runs > 1 else "")
    if lowest is not None:
        note += f"; lowest validation loss {lowest.loss:.4g} at step {lowest.step:,}"
    return f"{log.title}\n{note}" if log.title else note


def _look(index: int) -> dict[str, Any]:
    styles = ("-", "--", "-.", ":")
    rounds, colour = divmod(index, len(RUN_COLOURS))
    return {"color": RUN_COLOURS[colour], "linestyle": styles[rounds % len(styles)]}
