"""Clouds of points that move, jump, come back, change their class, and appear."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from hebbax._draws import in_a_row
from hebbax.tasks._drift import Choices, DriftingFamily, Rows, Times, epochs

MODES = 2
"""Clouds of a class at most."""


class MixtureFamily(DriftingFamily):
    """Mixtures of Gaussians with a class for each.

    A task has from 2 classes to as many as there are outputs, one or two clouds in each, and from
    2 features to all that matter; the others are noise or nothing. Clouds stay, move, jump or come
    back; in a quarter of the tasks they exchange classes in turn instead. How frequent classes are
    changes with time, so far that some are absent for a while or appear late.
    """

    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    task_key: PRNGKeyArray | None = None

    def with_task(self, key: PRNGKeyArray) -> "MixtureFamily":
        """The family with the history that `key` decides."""
        return MixtureFamily(name=self.name, inputs=self.inputs, outputs=self.outputs, task_key=key)

    def rows(
        self, choices: Choices, task: PRNGKeyArray, key: PRNGKeyArray, times: Times, batch: int
    ) -> Rows:
        """Points around the clouds' centres of the time."""
        k_mode, k_noise = jax.random.split(key)
        classes = choices.count(2, self.outputs)
        matter = choices.count(2, self.inputs)
        modes = MODES * self.outputs
        there = classes * choices.count(1, MODES)
        when = epochs(choices, times)
        exchange = choices.often(0.25) > 0
        states = when.between(task, (modes, self.inputs))
        centres = jnp.where(exchange, states[:1], states)
        uneven = choices.log_uniform(0.1, 3.0)
        frequency = uneven * choices.waves(times, modes, 100.0, 30_000.0)
        frequency = jnp.where(jnp.arange(modes)[None] < there, frequency, -jnp.inf)
        below = jnp.cumsum(jax.nn.softmax(frequency), axis=1)[:, None, :-1]
        drawn = in_a_row(jax.random.uniform, k_mode, (len(times), batch, 1))
        mode = jnp.minimum(jnp.sum(drawn >= below, axis=2), there - 1)
        spread = choices.log_uniform(0.1, 0.8)
        noise = in_a_row(jax.random.normal, k_noise, (len(times), batch, self.inputs))
        centre = jnp.take_along_axis(centres, mode[:, :, None], axis=1)
        x = (centre + spread * noise) / jnp.sqrt(1 + spread**2)
        x = jnp.where(jnp.arange(self.inputs)[None, None] < matter, x, choices.often(0.5) * noise)
        return x, (mode + jnp.where(exchange, when.number, 0)[:, None]) % classes
