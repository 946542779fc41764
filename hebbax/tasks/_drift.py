"""What drifting families share: time, and what befalls rows of any kind in it."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from hebbax._draws import in_a_row
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
    have targets of which up to a fifth are those of other rows, and features whose scale and offset
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
    def rows(
        self, choices: "Choices", task: PRNGKeyArray, key: PRNGKeyArray, times: Times, batch: int
    ) -> Rows:
        """Rows of a history from each of `times` on; it is decided by `choices` and `task`."""

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
        times = start + batch * jnp.arange(steps, dtype=start.dtype)
        k_history, k_choices = jax.random.split(self.task_key)
        choices = Choices(k_choices)
        x, labels = self.rows(choices, k_history, k_rows, times, batch)
        x = _sensed(choices, x, times)
        return x, _mislabelled(choices, k_wrong, one_hot(labels, self.outputs))

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
    query_x, query_y = (a[steps:].reshape(-1, a.shape[2])[:query] for a in (x, y))
    return Episode(x[:steps], y[:steps], query_x, query_y, family.goal)


class Choices:
    """Random numbers that decide a history, handed out one after the other.

    They are drawn at once: the generator is the larger part of a small program to compile.
    """

    def __init__(self, key: PRNGKeyArray):
        self._uniform = jax.random.uniform(key, (CHOICES,))
        self._used = 0

    def some(self, count: int) -> Float[Array, " count"]:
        """Return `count` numbers, uniform on [0, 1)."""
        self._used += count
        if self._used > CHOICES:
            raise ValueError(f"a history may be decided by {CHOICES} numbers at most.")
        return self._uniform[self._used - count : self._used]

    def one(self, low: float = 0.0, high: float = 1.0) -> Float[Array, ""]:
        """Return a number that is uniform on [low, high)."""
        return low + (high - low) * self.some(1)[0]

    def often(self, share: float) -> Float[Array, ""]:
        """Return 1 in this share of the histories, else 0."""
        return (self.one() < share).astype(float)

    def count(self, low: int, high: int) -> Int[Array, ""]:
        """Return a whole number from `low` to `high`, both among them."""
        return low + jnp.floor(self.one() * (high - low + 1)).astype(jnp.int32)

    def log_uniform(self, low: float, high: float) -> Float[Array, ""]:
        """Return a number whose logarithm is uniform."""
        return jnp.exp(self.one(math.log(low), math.log(high)))

    def waves(
        self, times: Float[Array, "*lead"], count: int, low: float, high: float
    ) -> Float[Array, "*lead count"]:
        """Return `count` sine waves of deviation about 1 and periods from `low` to `high` rows."""
        spread = jnp.log(high / low)
        ones = (1,) * times.ndim
        periods = low * jnp.exp(spread * self.some(count)).reshape(*ones, count)
        phases = self.some(count).reshape(*ones, count)
        return 2**0.5 * jnp.sin(2 * jnp.pi * (times[..., None] / periods + phases))


CHOICES = 2048
"""Enough for two waves of each of some hundred features and classes."""


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
            return in_a_row(jax.random.normal, jax.random.fold_in(key, number), shape)

        fraction = self.fraction.reshape(-1, *(1 for _ in shape))
        numbers = jnp.stack([self.number, self.number + 1])
        first, second = jax.vmap(jax.vmap(state))(numbers)
        # Halfway between two independent normals the deviation would be less.
        return ((1 - fraction) * first + fraction * second) / jnp.sqrt(
            (1 - fraction) ** 2 + fraction**2
        )


KINDS = 4


def epochs(choices: Choices, times: Times) -> Epochs:
    """Choose how a task changes, and return where it stands at `times`."""
    kind = choices.count(0, KINDS - 1)
    turns = times / choices.log_uniform(FASTEST, SLOWEST)
    number = jnp.floor(turns).astype(jnp.int32)
    fraction = jnp.where(kind == 1, turns - jnp.floor(turns), 0.0)
    cycle = choices.count(2, 3)
    number = jnp.where(kind == 3, number % cycle, jnp.where(kind == 0, 0, number))
    return Epochs(kind, number, fraction)


def _sensed(choices: Choices, x: Float[Array, "steps batch in"], times: Times) -> Array:
    """Let features drift in scale and offset, in half of the tasks."""
    much = choices.often(0.5) * choices.one(0.0, 0.5)
    scale = jnp.exp(much * choices.waves(times, x.shape[-1], FASTEST, SLOWEST))
    offset = much * choices.waves(times, x.shape[-1], FASTEST, SLOWEST)
    return x * scale[:, None] + offset[:, None]


def _mislabelled(choices: Choices, key: PRNGKeyArray, y: Array) -> Array:
    """Give some rows the target of the row before, in half of the tasks."""
    share = choices.often(0.5) * choices.one(0.0, 0.2)
    wrong = in_a_row(jax.random.uniform, key, y.shape[:-1]) < share
    # Of the same batch, so that classes which do not occur stay absent.
    return jnp.where(wrong[..., None], jnp.roll(y, 1, axis=1), y)
