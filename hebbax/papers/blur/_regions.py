"""What a network says about a plane larger than the one it has learnt from."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

import hebbax as hx
from hebbax.plots import CLASS_COLOURS

RESOLUTION = 100
"""Points of the grid along each axis."""
ENLARGED = 1.5
"""How far the grid reaches, relative to the test points."""
SHOWN = 120
"""Test points drawn."""


def draw_region(
    axes: Axes,
    rule: hx.AbstractRule,
    theta: PyTree,
    family: hx.tasks.AbstractFamily,
    hidden: Sequence[int],
    updates: int,
    batch: int,
    key: PRNGKeyArray,
) -> None:
    """Teach a fresh network a function of two variables, and colour the plane by its answers."""
    k_task, k_net, k_data = jax.random.split(key, 3)
    task = family.draw(k_task)
    x, y = map(np.asarray, task.test_set())
    reach = ENLARGED * np.abs(x).max()
    side = np.linspace(-reach, reach, RESOLUTION)
    plane = jnp.asarray(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2), jnp.float32)
    sizes = (2, *hidden, family.outputs)
    xs, ys = task.stream(k_data, updates, batch)
    share = np.asarray(_answers(rule, theta, sizes, xs, ys, plane, k_net))
    colours = np.array([to_rgb(colour) for colour in CLASS_COLOURS[: family.outputs]])
    # The mean of the classes' colours: pale where the network is not sure.
    image = (share @ (0.35 + 0.65 * colours)).reshape(RESOLUTION, RESOLUTION, 3)
    axes.imshow(image, extent=(-reach, reach, -reach, reach), origin="lower")
    points, labels = x[:SHOWN], y[:SHOWN].argmax(axis=1)
    axes.scatter(*points.T, s=5, c=colours[labels], edgecolors="white", linewidths=0.3)
    axes.set(xticks=[], yticks=[])


# Given the batches, not the task: one program serves all tasks of as many classes.
@eqx.filter_jit
def _answers(
    rule: hx.AbstractRule,
    theta: PyTree,
    sizes: tuple[int, ...],
    xs: Float[Array, "updates batch 2"],
    ys: Float[Array, "updates batch classes"],
    plane: Float[Array, "points 2"],
    k_net: PRNGKeyArray,
) -> Float[Array, "points classes"]:
    """Return class probabilities on the plane after learning from some batches."""
    net = rule.init_network(theta, k_net, sizes)
    net, _ = hx.unroll(rule, theta, net, xs, ys)
    return jax.nn.softmax(rule.predict(theta, net, plane))
