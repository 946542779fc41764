"""Pictures of networks while they learn: how synapses change, and what hidden units look at."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hebbax.inner import watch
from hebbax.losses import targets
from hebbax.plots._curves import INK, Picture
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily

DIVERGING = "RdBu_r"
"""Red is positive, blue negative, white zero."""
SIDE = 1.5
"""Side of a heat map in inches."""

Matrix = Float[np.ndarray, "receivers senders"]
Read = Callable[[PyTree], Sequence[Any]]
"""Returns the synapses of a network, a matrix `[receivers, senders]` a layer, input side first."""


def synapse_changes(
    learners: Mapping[str, tuple[AbstractRule, PyTree]],
    family: AbstractFamily,
    *,
    hidden: Sequence[int],
    updates: Sequence[int] = (1, 2, 5, 10, 20),
    layer: int = -1,
    batch: int = 128,
    key: PRNGKeyArray | None = None,
    read: Read | None = None,
    title: str | None = None,
) -> Figure:
    """Draw what single updates add to the synapses of a layer: a row a learner, a column an update.

    Rows of a heat map are receiving units, columns sending ones. All learners meet the same
    batches; each starts from synapses of its own. Every map has its own scale, for changes shrink
    as a network learns; below stand the root mean squares of the changes and of the synapses.

    **Arguments:**

    - `learners`: rules and their θ, by the name to be shown.
    - `updates`: which updates to show, ascending from 1.
    - `layer`: of synapses, 0 at the input; negative ones count from the last.
    - `read`: how to find the synapses in a network: a matrix `[receivers, senders]` a layer, input
      side first. By default as each rule says, by `synapse_matrices`.

    **Raises:** `ValueError` if there is nothing to draw, `updates` do not ascend from 1 or more,
    there is no such layer, `NotImplementedError` without `read` if a rule does not
    say what its synapses are, such as VSML, whose synapses are states of small networks.
    """
    updates = tuple(updates)
    if not updates or updates[0] < 1 or list(updates) != sorted(set(updates)):
        raise ValueError(f"updates must ascend from 1 or more; got {updates}.")
    if not learners:
        raise ValueError("learners must hold at least one rule and its θ; got none.")
    depth = len(hidden) + 1
    if not -depth <= layer < depth:
        raise ValueError(f"layer must be from {-depth} to {depth - 1}; got {layer}.")
    key = jax.random.key(0) if key is None else key
    sizes = (family.inputs, *hidden, family.outputs)
    figure = Picture(
        figsize=(0.7 + SIDE * len(updates), 1.0 + 1.1 * SIDE * len(learners)),
        layout="constrained",
    )
    panels = figure.subplots(len(learners), len(updates), squeeze=False)
    for index, (row, (name, (rule, theta))) in enumerate(
        zip(panels, learners.items(), strict=True)
    ):
        looks = _steps(
            rule, theta, family, sizes, batch, updates, layer, key, read or rule.synapse_matrices
        )
        before, after = map(np.asarray, looks)
        for axes, update, old, new in zip(row, updates, before, after, strict=True):
            change = new - old
            heat_map(axes, change)
            said = f"±{_rms(change):.2g} on {_rms(old):.2g}"
            if not np.isfinite(change).all():
                said = "numbers ended"
            axes.set_xlabel(said, fontsize=8, color=INK)
            if index == 0:
                axes.set_title(f"update {update}", fontsize=10, color=INK)
        row[0].set_ylabel(name, fontsize=10, color=INK)
    where = layer % depth
    note = (
        f"changes of {sizes[where + 1]} × {sizes[where]} synapses, receivers down, senders across; "
        "red: up, blue: down"
    )
    figure.suptitle(note if title is None else f"{title}\n{note}", fontsize=10, color=INK)
    return figure


def receptive_fields(
    weights: Float[Any, "units inputs"],
    shape: tuple[int, int],
    *,
    columns: int = 8,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the synapses into each unit as an image: what the unit looks at.

    Every unit has its own scale, about zero.

    **Arguments:**

    - `weights`: a row a unit, such as `rule.synapse_matrices(net)[0]`.
    - `shape`: height and width of the images that are the network's inputs.
    - `columns`: images in a row.
    - `labels`: a few words below each unit.

    **Raises:** `ValueError` if the sizes do not fit each other.
    """
    images = np.asarray(weights)
    if images.ndim != 2 or not len(images) or images.shape[1] != math.prod(shape):
        raise ValueError(
            f"weights must be [units, {math.prod(shape)}] for images of {shape[0]} by {shape[1]}; "
            f"got {list(images.shape)}."
        )
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"labels must be {len(images)}, one for each unit; got {len(labels)}.")
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    labelled = 0.0 if labels is None else 0.2
    width = max(0.2 + 0.9 * columns, 5.0)
    height = (0.6 if title else 0.4) + (0.9 + labelled) * rows
    figure = Picture(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for index, (axes, image) in enumerate(zip(grid, images, strict=False)):
        heat_map(axes, image.reshape(shape), aspect="equal")
        if labels is not None:
            axes.set_xlabel(labels[index], fontsize=8, color=INK)
    for axes in grid[len(images) :]:
        axes.set_visible(False)
    note = "synapses into each unit; red: excites, blue: inhibits"
    figure.suptitle(note if title is None else f"{title}\n{note}", fontsize=10, color=INK)
    return figure


def heat_map(
    axes: Axes, matrix: Float[np.ndarray, "rows columns"], aspect: Literal["auto", "equal"] = "auto"
) -> None:
    """Draw a matrix on a scale of its own that is symmetric about zero."""
    finite = np.abs(matrix[np.isfinite(matrix)])
    limit = float(finite.max(initial=0.0)) or 1.0
    axes.imshow(
        matrix, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect=aspect, interpolation="nearest"
    )
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


@eqx.filter_jit
def _steps(
    rule: AbstractRule,
    theta: PyTree,
    family: AbstractFamily,
    sizes: tuple[int, ...],
    batch: int,
    updates: tuple[int, ...],
    layer: int,
    key: PRNGKeyArray,
    read: Read,
) -> tuple[Float[Array, "looks receivers senders"], Float[Array, "looks receivers senders"]]:
    """Return a layer's synapses before and after each of `updates`."""
    k_task, k_net, k_data = jax.random.split(key, 3)
    net = rule.init_network(theta, k_net, sizes)
    xs, ys = family.draw(k_task).stream(k_data, updates[-1], batch)
    told = targets(ys, family.goal)
    points = [*updates, *(update - 1 for update in updates)]
    after = np.isin(np.arange(updates[-1]) + 1, points)

    def look(net: Any) -> Any:
        return read(net)[layer]

    def update(net: Any, index: Any) -> Any:
        return rule.update(theta, net, *jax.tree.map(lambda a: a[index], (xs, told)))[0]

    _, seen = watch(update, net, look, after)
    seen = jnp.concatenate([look(net)[None], seen])
    return seen[np.asarray(updates) - 1], seen[np.asarray(updates)]


def _rms(matrix: Any) -> float:
    return float(np.sqrt(np.mean(np.square(matrix))))
