"""What drifting families share: time, and what befalls rows of any kind in it."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hebbax.tasks._family import AbstractFamily, Batches, Episode, check_counts, not_drawn, one_hot

START = 100_000
"""Rows among which a lifetime begins: its task may be in any state then."""
SLOWEST, FASTEST = 30_000.0, 300.0
"""Rows from one state of a task to the next."""
TEST_BATCHES, TEST_BATCH = 64, 32
_TEST_SEED = 1_906

Rows = tuple[Float[Array, "steps batch in"], Int[Array, "steps batch"]]
Times = Float[Array, " steps"]


class DriftingFamily(AbstractFamily):
    """Tasks that change with time; batches come in its order and rows never come again.

    `draw` fixes a whole history. A lifetime begins anywhere in it, and time is counted in rows,
    so that a task changes more from batch to batch where batches are large. Part of the tasks
    have targets of which up to a fifth are drawn at random, and features whose scale and offset
    drift as those of sensors do.
    """

    name: eqx.AbstractVar[str]
    inputs: eqx.AbstractVar[int]
    outputs: eqx.AbstractVar[int]
    task_key: eqx.AbstractVar[PRNGKeyArray | None]

    @abc.abstractmethod
    def with_task(self, key: PRNGKeyArray) -> "DriftingFamily":
        """The family with the history that `key` decides."""

    @abc.abstractmethod
    def rows(self, task: PRNGKeyArray, key: PRNGKeyArray, times: Times, batch: int) -> Rows:
        """Rows of the history `task` from each of `times` on; all other chance comes from `key`."""

    def draw(self, key: PRNGKeyArray) -> "DriftingFamily":
        """The family with its history fixed."""
        return self if self.task_key is not None else self.with_task(key)

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Batches in the order of time, from a random time on; see `AbstractFamily.stream`."""
        check_counts(steps, batch)
        if self.task_key is None:
            raise not_drawn(self.name)
        k_start, k_rows, k_wrong = jax.random.split(key, 3)
        start = jax.random.uniform(k_start, maxval=float(START))
        times = start + batch * jnp.arange(steps)
        k_history, k_sensors, k_noise = jax.random.split(self.task_key, 3)
        x, labels = self.rows(k_history, k_rows, times, batch)
        x = _sensed(k_sensors, x, times)
        return x, _mislabelled(k_noise, k_wrong, one_hot(labels, self.outputs), self.outputs)

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Rows in a row, from a random time on."""
        check_counts(1, 1, query)
        x, y = self.stream(key, 1, query)
        return x[0], y[0]

    def test_set(self) -> Batches:
        """2,048 rows in the order of time, the same at every call."""
        x, y = self.stream(jax.random.key(_TEST_SEED), TEST_BATCHES, TEST_BATCH)
        return x.reshape(-1, self.inputs), y.reshape(-1, self.outputs)

    def sample(self, key: PRNGKeyArray, steps: int, batch: int, query: int = 0) -> Episode:
        """Draw an episode whose query set is the rows that come next."""
        return sample_in_order(self, key, steps, batch, query)


def sample_in_order(
    family: AbstractFamily, key: PRNGKeyArray, steps: int, batch: int, query: int
) -> Episode:
    """Draw an episode in the order of time, its query set the rows that come next."""
    check_counts(steps, batch, query)
    k_draw, k_stream = jax.random.split(key)
    x, y = family.draw(k_draw).stream(k_stream, steps + -(-query // batch), batch)
    rest = (a[steps:].reshape(-1, a.shape[2])[:query] for a in (x, y))
    return Episode(x[:steps], y[:steps], *rest)


def log_uniform(key: PRNGKeyArray, low: float, high: float) -> Float[Array, ""]:
    """Draw a number whose logarithm is uniform."""
    return jnp.exp(jax.random.uniform(key, minval=jnp.log(low), maxval=jnp.log(high)))


def waves(
    key: PRNGKeyArray, times: Float[Array, "*lead"], count: int, low: float, high: float
) -> Float[Array, "*lead count"]:
    """Draw `count` sine waves of deviation about 1 and periods between `low` and `high` rows."""
    k_period, k_phase = jax.random.split(key)
    periods = jnp.exp(
        jax.random.uniform(k_period, (count,), minval=jnp.log(low), maxval=jnp.log(high))
    )
    phases = jax.random.uniform(k_phase, (count,), maxval=2 * jnp.pi)
    turns = times[..., None] / periods.reshape((1,) * times.ndim + (count,))
    return 2**0.5 * jnp.sin(2 * jnp.pi * turns + phases.reshape((1,) * times.ndim + (count,)))


class Epochs(eqx.Module):
    """Which states a task is between: their numbers, and how far from one to the next.

    `kind`: 0 it stays as it is, 1 it moves from state to state, 2 it jumps to new ones, 3 it
    jumps to and fro between two or three.
    """

    kind: Int[Array, ""]
    number: Int[Array, " steps"]
    fraction: Float[Array, " steps"]

    def between(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "steps ..."]:
        """Return normal numbers for every step that change as the task does."""

        def state(number: Int[Array, ""]) -> Array:
            return jax.random.normal(jax.random.fold_in(key, number), shape)

        fraction = self.fraction.reshape(-1, *(1 for _ in shape))
        first, second = jax.vmap(state)(self.number), jax.vmap(state)(self.number + 1)
        # Halfway between two independent normals the deviation would be less.
        return ((1 - fraction) * first + fraction * second) / jnp.sqrt(
            (1 - fraction) ** 2 + fraction**2
        )


KINDS = 4


def epochs(key: PRNGKeyArray, times: Times) -> Epochs:
    """Draw how a task changes, and return where it stands at `times`."""
    k_kind, k_interval, k_cycle = jax.random.split(key, 3)
    kind = jax.random.randint(k_kind, (), 0, KINDS)
    turns = times / log_uniform(k_interval, FASTEST, SLOWEST)
    number = jnp.floor(turns).astype(jnp.int32)
    fraction = jnp.where(kind == 1, turns - number, 0.0)
    cycle = jax.random.randint(k_cycle, (), 2, 4)
    number = jnp.where(kind == 3, number % cycle, jnp.where(kind == 0, 0, number))
    return Epochs(kind, number, fraction)


def _sensed(task: PRNGKeyArray, x: Float[Array, "steps batch in"], times: Times) -> Array:
    """Let features drift in scale and offset, in half of the tasks."""
    k_whether, k_much, k_scale, k_offset = jax.random.split(task, 4)
    much = jax.random.bernoulli(k_whether) * jax.random.uniform(k_much, maxval=0.5)
    scale = jnp.exp(much * waves(k_scale, times, x.shape[-1], FASTEST, SLOWEST))
    offset = much * waves(k_offset, times, x.shape[-1], FASTEST, SLOWEST)
    return x * scale[:, None] + offset[:, None]


def _mislabelled(task: PRNGKeyArray, key: PRNGKeyArray, y: Array, outputs: int) -> Array:
    """Draw part of the targets from all classes alike, in half of the tasks."""
    k_whether, k_share = jax.random.split(task)
    share = jax.random.bernoulli(k_whether) * jax.random.uniform(k_share, maxval=0.2)
    k_wrong, k_class = jax.random.split(key)
    wrong = jax.random.bernoulli(k_wrong, share, y.shape[:-1])
    # Drawn among the targets of the same batch, so that classes which do not occur stay absent.
    other = jax.vmap(jax.random.permutation)(jax.random.split(k_class, len(y)), y)
    return jnp.where(wrong[..., None], other, y)
