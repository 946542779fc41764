"""Boundaries that turn, shift and jump, among rows that resemble those before them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from hebbax.tasks._drift import DriftingFamily, Rows, Times, epochs, log_uniform, waves

PATHS = 4
"""What features follow in common: as day and season in measurements."""


class HyperplaneFamily(DriftingFamily):
    """The class whose hyperplane a row lies farthest above (Hulten et al., 2001, for two).

    Hyperplanes stay, turn, or jump to new or earlier places; thresholds shift with time, fast or
    slowly, which makes classes more or less frequent. In part of the tasks boundaries are blurred
    or bent, some features do not matter, and rows follow paths in time.
    """

    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    task_key: PRNGKeyArray | None = None

    def with_task(self, key: PRNGKeyArray) -> "HyperplaneFamily":
        """The family with the history that `key` decides."""
        return HyperplaneFamily(self.name, self.inputs, self.outputs, key)

    def rows(self, task: PRNGKeyArray, key: PRNGKeyArray, times: Times, batch: int) -> Rows:
        """Rows, and the hyperplane each lies farthest above."""
        keys = jax.random.split(task, 11)
        k_x, k_blur = jax.random.split(key)
        shape = (len(times), batch, self.inputs)
        noise = jnp.where(
            jax.random.bernoulli(keys[0]),
            jax.random.normal(k_x, shape),
            3**0.5 * jax.random.uniform(k_x, shape, minval=-1.0),
        )
        each = times[:, None] + jnp.arange(batch)[None]
        common = waves(keys[1], each, PATHS, 30.0, 3000.0)
        follow = jax.random.normal(keys[2], (PATHS, self.inputs)) / PATHS**0.5
        much = jax.random.bernoulli(keys[3]) * jax.random.uniform(keys[3])
        x = (1 - much) ** 0.5 * noise + much**0.5 * common @ follow
        when = epochs(keys[4], times)
        matter = jax.random.randint(keys[5], (), 1, self.inputs + 1)
        planes = when.between(keys[6], (self.inputs, self.outputs))
        planes = planes * (jnp.arange(self.inputs) < matter)[None, :, None] / jnp.sqrt(matter)
        bend = jax.random.bernoulli(keys[7], 0.3) * jax.random.uniform(keys[7])
        height = jnp.einsum("sbi,sio->sbo", x + bend * (x**2 - 1), planes)
        shift = log_uniform(keys[8], 0.05, 1.0)
        height = height + shift * waves(keys[9], times, self.outputs, 60.0, 30_000.0)[:, None]
        blur = jax.random.bernoulli(keys[10]) * jax.random.uniform(keys[10], maxval=0.5)
        height = height + blur * jax.random.normal(k_blur, height.shape)
        return x, jnp.argmax(height, axis=-1)
