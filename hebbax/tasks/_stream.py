"""`stream`: rows in the order of time as a family with one task."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, PRNGKeyArray
from numpy.typing import ArrayLike

from hebbax._arguments import check_arguments
from hebbax.data import load
from hebbax.data.rows import check_class_numbers, check_rows
from hebbax.tasks._drift import sample_in_order
from hebbax.tasks._family import AbstractFamily, Batches, Episode, check_counts, one_hot


class StreamFamily(AbstractFamily):
    """Rows in the order of time; batches are consecutive, from a random row on."""

    x: Float32[Array, "rows in"]
    labels: Int32[Array, " rows"]
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Batches in the order of time, from a random row on; see `AbstractFamily.stream`.

        **Raises:** `ValueError` if there are not so many rows.
        """
        check_counts(steps, batch)
        rows, wanted = len(self.x), steps * batch
        if wanted > rows:
            raise ValueError(
                f"{steps} batches of {batch} need {wanted} rows, but {self.name} has {rows}."
            )
        start = jax.random.randint(key, (), 0, rows - wanted + 1)
        x = jax.lax.dynamic_slice_in_dim(self.x, start, wanted)
        labels = jax.lax.dynamic_slice_in_dim(self.labels, start, wanted)
        y = one_hot(labels, self.outputs)
        return x.reshape(steps, batch, -1), y.reshape(steps, batch, -1)

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Rows in a row, from a random one on."""
        x, y = self.stream(key, 1, query)
        return x[0], y[0]

    def test_set(self) -> Batches:
        """All rows, in the order of time."""
        return self.x, one_hot(self.labels, self.outputs)

    def sample(self, key: PRNGKeyArray, steps: int, batch: int, query: int = 0) -> Episode:
        """Draw an episode whose query set is the rows that come next."""
        return sample_in_order(self, key, steps, batch, query)


def stream(
    x: ArrayLike | str,
    y: ArrayLike | None = None,
    *,
    outputs: int | None = None,
    name: str = "stream",
) -> StreamFamily:
    """A stream as a family: its rows as they are, in the order of time.

    **Arguments:**

    - `x`, `y`: rows and their classes from 0, or the name of a registered stream such as
      `"elec2"`, and nothing.
    - `outputs`: classes; by default one more than the largest label.

    **Raises:** `ValueError` for arrays that do not belong together or hold what is not finite,
    masked values, fewer than two classes, or an unknown name; what `hebbax.data.load` raises.
    """
    if isinstance(x, str):
        if y is not None:
            raise ValueError(f"y must be left out with the name of a stream; {x!r} was given.")
        found = load(x)
        if len(found.test_x) or found.train_x.ndim != 2:
            raise ValueError(f"{x} is no stream: its rows are not in the order of time.")
        x, y, outputs, name = found.train_x, found.train_y, len(found.class_names), x
    if y is None:
        raise ValueError("y must hold a class for each row of x; got None.")
    check_arguments(stream, {"outputs": outputs, "name": name})
    rows, labels = check_rows("x", x), check_class_numbers("y", y)
    if len(rows) != len(labels):
        raise ValueError(
            f"y must have a class for each row of x; got {len(rows)} rows and {len(labels)} "
            f"classes."
        )
    least = max(2, int(labels.max()) + 1)
    if outputs is not None and outputs < least:
        raise ValueError(
            f"outputs must be at least 2 and above the largest label, {labels.max()}; "
            f"got {outputs}."
        )
    return StreamFamily(
        x=jnp.asarray(rows, jnp.float32),
        labels=jnp.asarray(labels),
        name=name,
        inputs=rows.shape[1],
        outputs=least if outputs is None else outputs,
    )
