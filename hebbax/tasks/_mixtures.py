"""Clouds of points that move, jump, come back, change their class, and appear."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from hebbax.tasks._drift import DriftingFamily, Rows, Times, epochs, log_uniform, waves

MODES = 2
"""Clouds of a class at most."""


class MixtureFamily(DriftingFamily):
    """Mixtures of Gaussians with a class for each.

    A task has from 2 classes to as many as there are outputs, one or two clouds in each, and from
    2 features to all that matter; the others are noise or nothing. Clouds stay, move, jump or
    come back; in a quarter of the tasks they exchange classes instead. How frequent classes are
    changes with time, so far that some are absent for a while or appear late.
    """

    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    task_key: PRNGKeyArray | None = None

    def with_task(self, key: PRNGKeyArray) -> "MixtureFamily":
        """The family with the history that `key` decides."""
        return MixtureFamily(self.name, self.inputs, self.outputs, key)

    def rows(self, task: PRNGKeyArray, key: PRNGKeyArray, times: Times, batch: int) -> Rows:
        """Points around the clouds' centres of the time."""
        keys = jax.random.split(task, 10)
        k_mode, k_noise = jax.random.split(key)
        classes = jax.random.randint(keys[0], (), 2, self.outputs + 1)
        matter = jax.random.randint(keys[1], (), 2, self.inputs + 1)
        modes = MODES * self.outputs
        there = classes * jax.random.randint(keys[2], (), 1, MODES + 1)
        when = epochs(keys[3], times)
        exchange = jax.random.bernoulli(keys[4], 0.25)
        still = jax.random.normal(keys[5], (modes, self.inputs))[None]
        centres = jnp.where(exchange, still, when.between(keys[5], (modes, self.inputs)))
        frequency = log_uniform(keys[6], 0.1, 3.0) * waves(keys[7], times, modes, 100.0, 30_000.0)
        frequency = jnp.where(jnp.arange(modes)[None] < there, frequency, -jnp.inf)
        mode = jax.random.categorical(k_mode, frequency[:, None], shape=(len(times), batch))
        spread = log_uniform(keys[8], 0.1, 0.8)
        noise = jax.random.normal(k_noise, (len(times), batch, self.inputs))
        centre = jnp.take_along_axis(centres, mode[:, :, None], axis=1)
        x = (centre + spread * noise) / jnp.sqrt(1 + spread**2)
        distract = jax.random.bernoulli(keys[9])
        x = jnp.where(jnp.arange(self.inputs)[None, None] < matter, x, distract * noise)
        return x, (mode + jnp.where(exchange, _shift(keys[5], when.number), 0)) % classes


def _shift(key: PRNGKeyArray, number: Array) -> Array:
    """Return by how many places clouds and classes are exchanged in each epoch."""
    return jax.vmap(lambda n: jax.random.randint(jax.random.fold_in(key, n), (1,), 0, 64))(number)
