"""Families whose targets are real numbers: arrays of one's own, and sinusoids."""

import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, PRNGKeyArray
from numpy.typing import ArrayLike

from hebbax._arguments import check_arguments
from hebbax.data import images as _images
from hebbax.data.rows import check_rows, check_unmasked
from hebbax.losses import AbstractGoal, Regression
from hebbax.tasks._arrays import QUERY_FRACTION
from hebbax.tasks._family import AbstractFamily, Batches, check_counts, not_drawn

TEST_POINTS = 2048
LOWEST, HIGHEST = 0.1, 5.0
"""Amplitudes of sinusoids."""
FARTHEST = 5.0
"""Inputs of sinusoids lie between this and its negative."""


class RegressionFamily(AbstractFamily):
    """Real numbers to be predicted from the rows of arrays that lie on the device."""

    train_x: Float32[Array, "train in"]
    """The support rows first, then the query rows."""
    train_y: Float32[Array, "train out"]
    test_x: Float32[Array, "test in"]
    test_y: Float32[Array, "test out"]
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    support: int = eqx.field(static=True)
    """The number of support rows."""
    judged_by: AbstractGoal = eqx.field(static=True, default=Regression())

    @property
    def goal(self) -> AbstractGoal:
        """The goal, as it was said."""
        return self.judged_by

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Support batches; see `AbstractFamily.stream`."""
        check_counts(steps, batch)
        rows = jax.random.randint(key, (steps, batch), 0, self.support)
        return self.train_x[rows], self.train_y[rows]

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Query rows, none of them a support row."""
        check_counts(1, 1, query)
        rows = jax.random.randint(key, (query,), self.support, len(self.train_x))
        return self.train_x[rows], self.train_y[rows]

    def test_set(self) -> Batches:
        """The held-out rows, in the order they were given."""
        return self.test_x, self.test_y


def regression(
    x: ArrayLike,
    y: ArrayLike,
    test_x: ArrayLike | None = None,
    test_y: ArrayLike | None = None,
    *,
    feedback: str = "residual",
    goal: AbstractGoal | None = None,
    name: str = "regression",
    standardize: bool = True,
) -> RegressionFamily:
    """A family whose targets are real numbers, from your own data.

    One sixth of the rows, chosen once and for all, is kept for queries.

    **Arguments:**

    - `x`, `test_x`: `[n, in]`, anything numpy takes as real numbers.
    - `y`, `test_y`: `[n]`, or `[n, out]` for several numbers a row. Without a test set, a sixth of
      the rows is one.
    - `feedback`: what networks are told, for `Blur` what the last layer's second state gets: the
      `residual`, target minus prediction, or the `target`.
    - `goal`: what judges predictions in place of the squared error, and says what the feedback is.
    - `standardize`: bring each column of x and of y to mean 0 and deviation 1, as measured on the
      training rows. A squared error of 1 is then that of the mean as an answer.

    **Raises:** `ValueError` if an array has the wrong shape or holds what is not finite, lengths
    differ, there are fewer than two rows to learn from, or for an unknown feedback.
    """
    check_arguments(regression, locals())
    if (test_x is None) != (test_y is None):
        raise ValueError("test_x and test_y must be given both, or neither.")
    judged_by = Regression(told=_feedback(feedback)) if goal is None else goal
    train_x, train_y = _rows("x", x, "y", y)
    random = np.random.default_rng(0)
    if test_x is None or test_y is None:
        train_x, train_y, held_x, held_y = _split(train_x, train_y, random)
    else:
        held_x, held_y = _rows("test_x", test_x, "test_y", test_y)
    for what, rows, held in (("x", train_x, held_x), ("y", train_y, held_y)):
        if rows.shape[1] != held.shape[1]:
            raise ValueError(
                f"test_{what} must have the columns of {what}, {rows.shape[1]}; "
                f"got {held.shape[1]}."
            )
    support_x, support_y, query_x, query_y = _split(train_x, train_y, random)
    parts_x = np.concatenate([support_x, query_x]), held_x
    parts_y = np.concatenate([support_y, query_y]), held_y
    if standardize:
        parts_x = _images.standardize(*parts_x, per_feature=True)
        parts_y = _images.standardize(*parts_y, per_feature=True)
    (all_x, held_x), (all_y, held_y) = (
        [jnp.asarray(part, jnp.float32) for part in parts] for parts in (parts_x, parts_y)
    )
    return RegressionFamily(
        train_x=all_x, train_y=all_y, test_x=held_x, test_y=held_y, name=name,
        inputs=all_x.shape[1], outputs=all_y.shape[1], support=len(support_x), judged_by=judged_by,
    )  # fmt: skip


class SinusoidFamily(AbstractFamily):
    """Sine waves of random amplitude and phase, one input and one output (Finn et al., ICML 2017).

    y = A sin(x - φ) with A uniform from 0.1 to 5, φ from 0 to π and x from -5 to 5. Points are
    fresh in every batch.
    """

    name: str = eqx.field(static=True, default="sinusoids")
    inputs: int = eqx.field(static=True, default=1)
    outputs: int = eqx.field(static=True, default=1)
    judged_by: AbstractGoal = eqx.field(static=True, default=Regression())
    wave: Float32[Array, "2"] | None = None
    """Amplitude and phase of the task; None as long as no task is fixed."""

    @property
    def goal(self) -> AbstractGoal:
        """The squared error, told by residuals unless it was said otherwise."""
        return self.judged_by

    def draw(self, key: PRNGKeyArray) -> "SinusoidFamily":
        """The family with its wave fixed; itself if it is."""
        if self.wave is not None:
            return self
        low, high = jnp.asarray([LOWEST, 0.0]), jnp.asarray([HIGHEST, math.pi])
        wave = low + (high - low) * jax.random.uniform(key, (2,))
        return eqx.tree_at(lambda f: f.wave, self, wave, is_leaf=lambda leaf: leaf is None)

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Batches of fresh points; see `AbstractFamily.stream`."""
        check_counts(steps, batch)
        x, y = self._points(key, steps * batch)
        return x.reshape(steps, batch, 1), y.reshape(steps, batch, 1)

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Fresh points of the same wave."""
        check_counts(1, 1, query)
        return self._points(key, query)

    def test_set(self) -> Batches:
        """2,048 points from one end to the other, at equal distances."""
        return self._at(jnp.linspace(-FARTHEST, FARTHEST, TEST_POINTS)[:, None])

    def _points(self, key: PRNGKeyArray, count: int) -> Batches:
        return self._at(jax.random.uniform(key, (count, 1), minval=-FARTHEST, maxval=FARTHEST))

    def _at(self, x: Float32[Array, "points 1"]) -> Batches:
        if self.wave is None:
            raise not_drawn(self.name)
        return x, self.wave[0] * jnp.sin(x - self.wave[1])


def sinusoids(feedback: str = "residual") -> SinusoidFamily:
    """Sine waves of random amplitude and phase; see `SinusoidFamily`.

    **Arguments:** `feedback`: as in `regression`.

    **Raises:** `ValueError` for an unknown feedback.
    """
    check_arguments(sinusoids, locals())
    return SinusoidFamily(judged_by=Regression(told=_feedback(feedback)))


def _feedback(name: Any) -> Literal["residual", "target"]:
    if name not in ("residual", "target"):
        raise ValueError(f"feedback must be 'residual' or 'target'; got {name!r}.")
    return name


def _rows(x_name: str, x: ArrayLike, y_name: str, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    rows = check_rows(x_name, x)
    values = check_unmasked(y_name, y)
    values = check_rows(y_name, values[:, None] if values.ndim == 1 else values)
    if len(rows) != len(values):
        raise ValueError(
            f"{y_name} must have a row for each row of {x_name}; got {len(rows)} rows and "
            f"{len(values)} targets."
        )
    return rows, values


def _split(
    x: np.ndarray, y: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return most of the rows in their order, and a sixth, at least one, that is set aside."""
    if len(x) < 2:
        raise ValueError(f"x must hold at least two rows to learn from; got {len(x)}.")
    aside = np.zeros(len(x), bool)
    aside[random.permutation(len(x))[: max(1, round(QUERY_FRACTION * len(x)))]] = True
    return x[~aside], y[~aside], x[aside], y[aside]
