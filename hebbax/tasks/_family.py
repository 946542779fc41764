"""What a task family is: something that yields episodes, on the device, from a key."""

import abc
from typing import Annotated

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, PRNGKeyArray, PyTree

from hebbax._options import Range, check_option
from hebbax.losses import CLASSES, AbstractGoal, targets

Batches = tuple[Float32[Array, "*lead in"], PyTree]
"""Inputs and their targets, arrays with the same leading axes; targets may be several arrays."""


ImageShape = tuple[int, int, int] | None
"""Height, width and channels of the image that a row of inputs is; None if it is none."""


class Episode(eqx.Module):
    """One sampled task: a stream of support batches to learn from, and a query batch to judge by.

    Where the goal is to tell classes apart, targets are one-hot, or one column for two-class tasks
    with one output, in {0, 1}. Others are what their goal can read: arrays whose leading axes are
    `[steps, batch]` and `[query]`. A family asked for no query gives `query_x [0, in]` and a
    `query_y` without rows.

    **Fields:** besides those, `goal`: what targets ask for, the `goal` of the family.
    """

    x: Float32[Array, "steps batch in"]
    y: PyTree
    query_x: Float32[Array, "query in"]
    query_y: PyTree
    goal: AbstractGoal = eqx.field(static=True, default=CLASSES)

    @property
    def told(self) -> PyTree:
        """The targets of the support batches as a rule is told of them."""
        return targets(self.y, self.goal)


class AbstractFamily(eqx.Module):
    """A distribution of tasks.

    A family is a pytree whose leaves are its arrays, so pass it *into* compiled functions (as an
    argument, `eqx.filter_jit`); a closed-over family would be compiled in as a constant.

    Where every task has random content of its own (blobs, the characters of Omniglot), `sample`
    draws a task for every episode. `draw` returns the family with one task fixed; only then do
    `stream` and `test_set`, which must speak of one and the same task, have a meaning.
    """

    name: eqx.AbstractVar[str]
    inputs: eqx.AbstractVar[int]
    """Size of the last axis of `x`."""
    outputs: eqx.AbstractVar[int]
    """Units of the last layer: the size of the last axis of `y` where that is an array."""

    @property
    def image(self) -> ImageShape:
        """Height, width and channels of the image that a row of `x` is; None if it is none.

        The channels of a pixel stand side by side. Rows whose pixels are in an order of each task's
        own are none.
        """
        return None

    @property
    def goal(self) -> AbstractGoal:
        """What targets ask for: loss, metric and feedback. Classes, by default."""
        return CLASSES

    def draw(self, key: PRNGKeyArray) -> "AbstractFamily":
        """The family with one task fixed; the family itself if it holds just one task already.

        To work on many tasks at once, call it inside the function that is vmapped:
        `jax.vmap(lambda key: learn(family.draw(key)))(keys)`.
        """
        return self

    @abc.abstractmethod
    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Support batches only: x `[steps, batch, in]` and y `[steps, batch, out]`.

        **Raises:** `ValueError` if `steps` or `batch` is below 1, or the task is not fixed yet.
        """

    @abc.abstractmethod
    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Query rows of the training part: x `[query, in]` and y `[query, out]`."""

    @abc.abstractmethod
    def test_set(self) -> Batches:
        """The whole held-out part, x `[n, in]` and y `[n, out]`: the same at every call.

        **Raises:** `ValueError` if the task is not fixed yet.
        """

    def sample(self, key: PRNGKeyArray, steps: int, batch: int, query: int = 0) -> Episode:
        """Draw an episode. Pure; can be compiled with `steps`, `batch` and `query` static.

        Rows are drawn uniformly with replacement, support and query from separate rows of the
        training part; the held-out part is never touched.

        **Raises:** `ValueError` if `steps` or `batch` is below 1, or `query` below 0.
        """
        check_counts(steps, batch, query)
        draw_key, stream_key, query_key = jax.random.split(key, 3)
        task = self.draw(draw_key)
        x, y = task.stream(stream_key, steps, batch)
        if query:
            query_x, query_y = task.query(query_key, query)
        else:
            query_x = jnp.zeros((0, self.inputs))
            query_y = jax.tree.map(lambda a: jnp.zeros((0, *a.shape[2:]), a.dtype), y)
        return Episode(x, y, query_x, query_y, self.goal)


def check_counts(steps: int, batch: int, query: int = 0) -> None:
    """Refuse impossible sizes. **Raises:** `ValueError`."""
    for name, value, least in (("steps", steps, 1), ("batch", batch, 1), ("query", query, 0)):
        check_option(name, value, Annotated[int, Range(least)])


def not_drawn(name: str) -> ValueError:
    """The error for asking an undrawn family about 'its' task."""
    return ValueError(
        f"every task of the family {name!r} differs: fix one with family.draw(key) before asking "
        "for its stream, query or test_set"
    )


def one_hot(labels: Int32[Array, "*lead"], outputs: int) -> Float32[Array, "*lead out"]:
    """Labels as targets in {0, 1}: one-hot, or one column that is 1 for class 1 (`outputs=1`)."""
    if outputs == 1:
        return labels[..., None].astype(jnp.float32)
    return jax.nn.one_hot(labels, outputs, dtype=jnp.float32)
