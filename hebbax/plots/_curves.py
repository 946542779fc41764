"""Pictures: learning curves, and decision regions as they form.

Every function returns a `matplotlib.figure.Figure` and leaves `pyplot`'s global state alone, so
it works without a display and inside other programs; `figure.savefig(path)` writes it, and
notebooks show it.
"""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hebbax._foreign import printable
from hebbax._programs import quick_jit
from hebbax.inner import Curves, check_theta
from hebbax.losses import accuracy, check_classes
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily

# Okabe and Ito's colours, which the colour-blind can tell apart too.
LEARNER_COLOURS = ("#D55E00", "#56B4E9", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#555555")
CLASS_COLOURS = ("#3B75AF", "#E1812C", "#3A923A", "#8C6BB1", "#C03D3E", "#857AAA")
INK, GRID = "#333333", "#DDDDDD"
PANEL = 2.3
"""Side of a panel in inches."""
POINTS_SHOWN = 150
"""Test points drawn over a decision region; more would hide it."""


def worded(text: str) -> str:
    """Return a text of anybody's as pictures show it: no formulas, nothing that terminals obey."""
    return printable(text).replace("$", r"\$")


class Picture(Figure):
    """A figure that notebooks show by themselves, though `pyplot` knows nothing of it."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def learning_curves(
    tasks: Mapping[str, Mapping[str, Curves]],
    *,
    columns: int = 4,
    title: str | None = None,
) -> Figure:
    """Draw the accuracy, or another metric, against updates: a panel a task, a line a learner.

    Lines are means over the seeds, bands one standard deviation to either side. They end with
    a cross where the numbers of a network do.

    **Arguments:**

    - `tasks`: the curves of every learner by name, by the name of the task. A learner has one
      colour in all panels.
    - `columns`: panels in a row.

    **Raises:** `ValueError` if there is nothing to draw.
    """
    if not tasks or not any(tasks.values()):
        raise ValueError("tasks must hold the curves of at least one learner; got none.")
    learners = list(dict.fromkeys(name for curves in tasks.values() for name in curves))
    columns = min(columns, len(tasks))
    rows = math.ceil(len(tasks) / columns)
    # A single panel is narrower than the words above and below it.
    width = max(0.5 + PANEL * columns, 6.0)
    figure = Picture(figsize=(width, 0.9 + 0.92 * PANEL * rows), layout="constrained")
    metrics = [next(iter(curves.values())).metric if curves else "" for curves in tasks.values()]
    alike = len(set(metrics)) == 1
    grid = np.atleast_1d(figure.subplots(rows, columns, sharey=alike, squeeze=False)).ravel()
    seeds, ended = set(), False
    for index, (axes, (task, curves)) in enumerate(zip(grid, tasks.items(), strict=False)):
        tidy(axes)
        for name, curve in curves.items():
            seeds.add(len(curve.score))
            colour = LEARNER_COLOURS[learners.index(name) % len(LEARNER_COLOURS)]
            mean, deviation = curve.score.mean(axis=0), curve.score.std(axis=0)
            if not curve.finite.all():
                last = int(np.argmin(curve.finite)) - 1
                mean = np.where(np.arange(len(mean)) <= last, mean, np.nan)
                place = (curve.steps[max(last, 0)], mean[last] if last >= 0 else 0.0)
                axes.plot(*place, "X", color=colour, markeredgecolor="white", clip_on=False)
                ended = True
            low, high = mean - deviation, mean + deviation
            if curve.metric == "accuracy":
                low, high = np.clip([low, high], 0, 1)
            axes.fill_between(curve.steps, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(curve.steps, mean, color=colour, linewidth=1.8)
        axes.set_title(worded(task), fontsize=10, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 5, 10]))
        if index + columns >= len(tasks):
            axes.set_xlabel("updates", color=INK)
            axes.tick_params(labelbottom=True)
        if index % columns == 0 or not alike:
            axes.set_ylabel(f"test {metrics[index].replace('_', ' ')}", color=INK)
    for axes in grid[len(tasks) :]:
        axes.set_visible(False)
    handles = [
        Line2D([], [], color=LEARNER_COLOURS[i % len(LEARNER_COLOURS)], linewidth=2.5, label=look)
        for i, look in enumerate(map(worded, learners))
    ]
    if ended:
        handles.append(
            Line2D([], [], color=INK, marker="X", linestyle="", label="numbers end (overflow)")
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    many = " or ".join(map(str, sorted(seeds)))
    note = f"mean and standard deviation of {many} networks, each from fresh synapses"
    figure.suptitle(note if title is None else worded(f"{title}\n{note}"), fontsize=11, color=INK)
    return figure


def decision_regions(
    rule: AbstractRule,
    theta: PyTree,
    families: Sequence[AbstractFamily],
    *,
    hidden: Sequence[int],
    updates: Sequence[int] = (0, 1, 2, 5, 10, 20),
    batch: int = 128,
    key: PRNGKeyArray | None = None,
    resolution: int = 160,
    title: str | None = None,
) -> Figure:
    """Draw what one network says about the plane while it learns: a row a task.

    Strong colours are sure predictions, dots are test points in the colour of their class.

    **Arguments:**

    - `families`: tasks of two inputs.
    - `updates`: after how many updates to look, ascending; 0 is the fresh network.
    - `resolution`: points of the grid along each axis.

    What is said where outputs are not finite stays white.

    **Raises:** `ValueError` if a family does not have two inputs and classes, θ is not finite, or
    `updates` do not ascend from 0 or more.
    """
    updates = tuple(updates)
    if not updates or updates[0] < 0 or list(updates) != sorted(set(updates)):
        raise ValueError(f"updates must ascend from 0 or more; got {updates}.")
    if not families:
        raise ValueError("families must hold at least one task; got none.")
    check_plane(families)
    check_theta(theta)
    key = jax.random.key(0) if key is None else key
    height, width = 0.8 * PANEL * len(families), 0.8 * PANEL * len(updates)
    figure = Picture(figsize=(width + 0.5, height + 0.8), layout="constrained")
    panels = figure.subplots(len(families), len(updates), squeeze=False)
    for index, (row, family) in enumerate(zip(panels, families, strict=True)):
        low, high, x, truth = _test_points(family, key)
        plane = _plane(low, high, resolution)
        shares, rights = _watch(
            rule, theta, family, (2, *hidden, family.outputs), batch, updates, plane, key
        )
        colours = np.array([to_rgb(_class_colour(i)) for i in range(max(family.outputs, 2))])
        for axes, count, share, right in zip(row, updates, shares, rights, strict=True):
            image = _blend(np.asarray(share), colours).reshape(resolution, resolution, 3)
            axes.imshow(
                image,
                extent=(low[0], high[0], low[1], high[1]),
                origin="lower",
                aspect="auto",
                interpolation="bilinear",
            )
            dots = [_class_colour(int(label)) for label in truth]
            axes.scatter(x[:, 0], x[:, 1], s=9, c=dots, edgecolors="white", linewidths=0.4)
            axes.set(xticks=[], yticks=[], xlim=(low[0], high[0]), ylim=(low[1], high[1]))
            axes.set_xlabel(_share_right(right, share), fontsize=9, color=INK)
            for spine in axes.spines.values():
                spine.set_visible(False)
            if index == 0:
                words = {0: "fresh synapses", 1: "1 update"}
                axes.set_title(words.get(count, f"{count} updates"), fontsize=10, color=INK)
        row[0].set_ylabel(family.name.replace("_", " "), fontsize=11, color=INK)
    note = "one network a row, its inputs across and up; colour: prediction, dots: test points"
    figure.suptitle(note if title is None else worded(f"{title}\n{note}"), fontsize=11, color=INK)
    return figure


def check_plane(families: Sequence[AbstractFamily]) -> None:
    """Refuse what has no decision regions in the plane. **Raises:** `ValueError`."""
    for family in families:
        check_classes("a picture of decision regions", family.goal, family.name)
        if family.inputs != 2:
            raise ValueError(
                f"families must have two inputs; got {family.name} with {family.inputs}."
            )


def tidy(axes: Axes) -> None:
    """Take away what does not inform: half of the frame, and most of the ink."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=8, length=2)


def _class_colour(index: int) -> str:
    return CLASS_COLOURS[index % len(CLASS_COLOURS)]


def _test_points(family: AbstractFamily, key: PRNGKeyArray) -> tuple[Any, Any, Any, Any]:
    """Return the corners of the plane to draw, and some test points and their classes."""
    x, y = map(np.asarray, family.draw(jax.random.split(key, 3)[0]).test_set())
    margin = 0.05 * (x.max(axis=0) - x.min(axis=0))
    classes = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0]
    low, high = x.min(axis=0) - margin, x.max(axis=0) + margin
    return low, high, x[:POINTS_SHOWN], classes[:POINTS_SHOWN]


def _plane(low: np.ndarray, high: np.ndarray, resolution: int) -> Float[Array, "points 2"]:
    axes = [np.linspace(a, b, resolution) for a, b in zip(low, high, strict=True)]
    return jnp.asarray(np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2), jnp.float32)


def _watch(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    sizes: tuple[int, ...],
    batch: int,
    updates: tuple[int, ...],
    plane: Float[Array, "points 2"],
    key: PRNGKeyArray,
) -> tuple[Float[Array, "looks points _"], Float[Array, " looks"]]:
    """Return class probabilities on the plane and test accuracies after each of `updates`."""
    k_task, k_net, k_data = jax.random.split(key, 3)
    # Apart from the data, which each family draws in its own way, all of one size share programs.
    data = _drawn(family, k_task, k_data, max(1, updates[-1]), batch)
    xs, ys, test_x, test_y = map(np.asarray, data)
    net, seen = _begin(rule, theta, k_net, sizes), []
    for count in range(updates[-1] + 1):
        if count:
            net = _learn(rule, theta, net, xs[count - 1], ys[count - 1])
        if count in updates:
            seen.append(_look(rule, theta, net, plane, test_x, test_y))
    shares, rights = zip(*seen, strict=True)
    return jnp.stack(shares), jnp.stack(rights)


@quick_jit
def _drawn(
    family: AbstractFamily, k_task: PRNGKeyArray, k_data: PRNGKeyArray, steps: int, batch: int
) -> tuple[Array, Array, Array, Array]:
    task = family.draw(k_task)
    return *task.stream(k_data, steps, batch), *task.test_set()


def _fresh(rule: AbstractRule, theta: PyTree, key: PRNGKeyArray, sizes: tuple[int, ...]) -> PyTree:
    return rule.init_network(theta, key, sizes)


_begin = quick_jit(_fresh)


@quick_jit
def _learn(rule: AbstractRule, theta: PyTree, net: PyTree, x: Any, y: Any) -> PyTree:
    return rule.update(theta, net, x, y)[0]


@quick_jit
def _look(
    rule: AbstractRule, theta: PyTree, net: PyTree, plane: Any, test_x: Any, test_y: Any
) -> tuple[Array, Array]:
    logits = rule.predict(theta, net, plane)
    if logits.shape[1] == 1:
        logits = jnp.concatenate([jnp.zeros_like(logits), logits], axis=1)
    return jax.nn.softmax(logits), accuracy(rule.predict(theta, net, test_x), test_y)


def _share_right(right: Any, share: Any) -> str:
    """Return what stands below a panel."""
    if not np.isfinite(share).all():
        return "numbers ended"
    return f"{100 * float(right):.0f} % right"


def _blend(share: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Mix the colours of the classes with white: the less sure, the paler; white where not finite.

    `share`: `[points, classes]`.
    """
    finite = np.isfinite(share).all(axis=1, keepdims=True)
    share = np.where(finite, share, 0)
    chance = 1 / share.shape[1]
    sure = np.clip((share.max(axis=1, keepdims=True) - chance) / (1 - chance), 0, 1)
    winner = colours[share.argmax(axis=1)]
    # Even an unsure prediction is tinted, so that the boundary can be seen.
    strength = 0.18 + 0.5 * sure
    return 1 - strength * finite * (1 - winner)
