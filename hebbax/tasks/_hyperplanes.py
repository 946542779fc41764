"""Boundaries that turn, shift and jump, among rows that resemble those before them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._draws import in_a_row
from hebbax.tasks._drift import Choices, DriftingFamily, Rows, Times, epochs

PATHS = 4
"""What features follow in common: as day and season in measurements."""


class HyperplaneFamily(DriftingFamily):
    """The class whose hyperplane a row lies farthest above (Hulten et al., 2001, for two).

    Hyperplanes stay, turn, or jump to new or earlier places; thresholds shift with time, fast or
    slowly, which makes classes more or less frequent. In part of the tasks boundaries are blurred
    or bent, some features do not matter, rows follow paths in time, and heights are compared
    with what they were lately, as where a price is said to be up or down.
    """

    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    task_key: PRNGKeyArray | None = None

    def with_task(self, key: PRNGKeyArray) -> "HyperplaneFamily":
        """The family with the history that `key` decides."""
        return HyperplaneFamily(
            name=self.name, inputs=self.inputs, outputs=self.outputs, task_key=key
        )

    def rows(
        self, choices: Choices, task: PRNGKeyArray, key: PRNGKeyArray, times: Times, batch: int
    ) -> Rows:
        """Rows, and the hyperplane each lies farthest above."""
        shape = (len(times), batch, self.inputs + self.outputs)
        drawn = in_a_row(jax.random.normal, key, shape)
        noise, blur = drawn[..., : self.inputs], drawn[..., self.inputs :]
        each = times[:, None] + jnp.arange(batch, dtype=times.dtype)[None]
        common = choices.waves(each, PATHS, 30.0, 3000.0)
        follow = 2 * choices.some(PATHS * self.inputs).reshape(PATHS, self.inputs) - 1
        much = choices.often(0.5) * choices.one()
        x = (1 - much) ** 0.5 * noise + much**0.5 * common @ follow
        when = epochs(choices, times)
        matter = choices.count(1, self.inputs)
        planes = when.between(task, (self.inputs, self.outputs))
        matters = (jnp.arange(self.inputs) < matter).astype(planes.dtype)
        planes = planes * matters[None, :, None] / jnp.sqrt(matter.astype(planes.dtype))
        bend = choices.often(0.3) * choices.one()
        height = jnp.einsum("sbi,sio->sbo", x + bend * (x**2 - 1), planes)
        shift = choices.log_uniform(0.05, 1.0)
        height = height + shift * choices.waves(times, self.outputs, 60.0, 30_000.0)[:, None]
        height = height + choices.often(0.5) * choices.one(0.0, 0.5) * blur
        usual = _lately(height, choices.log_uniform(20.0, 500.0))
        height = height - choices.often(0.3) * usual
        return x, jnp.argmax(height, axis=-1)


def _lately(
    height: Float[Array, "steps batch out"], rows: Float[Array, ""]
) -> Float[Array, "steps batch out"]:
    """Return means of what came before each row, which lose weight over about so many rows.

    The first batch counts as what came before it.
    """
    steps, batch, outputs = height.shape
    keep = jnp.exp(-1 / rows)
    earlier = jnp.concatenate([height[:1], height]).reshape(-1, outputs)
    shape = (len(earlier), 1)
    gates = jnp.broadcast_to(keep, shape)

    def joined(first: tuple[Array, Array], then: tuple[Array, Array]) -> tuple[Array, Array]:
        return first[0] * then[0], then[0] * first[1] + then[1]

    both = jnp.concatenate([earlier, jnp.ones(shape)], axis=1)
    _, sums = jax.lax.associative_scan(joined, (gates, both))
    means = sums[:, :-1] / sums[:, -1:]
    return means[batch - 1 : -1].reshape(steps, batch, outputs)
