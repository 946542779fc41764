"""Random inputs and errors, for rules that are taught what to do with them (VSML sec. 3.2)."""

import math
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._options import AT_LEAST_1, POSITIVE, check_option
from hebbax.losses import AbstractGoal
from hebbax.tasks import AbstractFamily, Batches, check_counts

MOST_INPUT, MOST_ERROR = 6.0, 1.5
LEAST_SCALE = 0.03
"""Deviations of the errors that are drawn from a normal distribution lie between this and 1."""
TEST_ROWS = 1024


class Errors(AbstractGoal):
    """Targets are errors as they come down from above, whatever was predicted."""

    def loss(self, prediction: Float[Array, "*batch out"], y: Any) -> Float[Array, ""]:
        """Return what has these errors for its gradient: the mean product with the predictions."""
        return jnp.mean(jnp.sum(prediction * y, axis=-1))


ERRORS = Errors()


class SynapseFamily(AbstractFamily):
    """What the synapses between some inputs and as many outputs may meet; there is no task in it.

    `x` are inputs, of deviation `std` over all: each input has a mean and a deviation of its own in
    every batch, which in a fifth of them is zero, as that of a pixel at the border. `y` are errors
    at the outputs and no labels: half of the outputs have those of a calibrated classifier, p − 1
    with probability p and else p, and the others normal ones, of deviations spread evenly on a
    logarithmic scale. The query are independent normal numbers, for states to begin with.
    """

    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    std: float = eqx.field(static=True)

    @property
    def goal(self) -> AbstractGoal:
        """Errors at the outputs."""
        return ERRORS

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Inputs and errors; the means and deviations are new in every batch."""
        check_counts(steps, batch)
        k_x, k_y = jax.random.split(key)
        return self._inputs(k_x, steps, batch), self._errors(k_y, steps, batch)

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Independent normal numbers."""
        check_counts(1, 1, query)
        x, y = jax.random.normal(key, (2, query, self.inputs))
        return x, y

    def test_set(self) -> Batches:
        """1,024 rows, a batch, from a fixed key."""
        x, y = self.stream(jax.random.key(2012_14905), 1, TEST_ROWS)
        return x[0], y[0]

    def _inputs(
        self, key: PRNGKeyArray, steps: int, batch: int
    ) -> Float[Array, "{steps} {batch} n"]:
        k_mean, k_std, k_flat, k_x = jax.random.split(key, 4)
        one = (steps, 1, self.inputs)
        # Means and deviations make half of the variance each: 4/5 of the squares of uniform
        # numbers below `most` have a mean of 4/15 of the square of `most`.
        mean = self.std / math.sqrt(2) * jax.random.normal(k_mean, one)
        std = self.std * math.sqrt(15 / 8) * jax.random.uniform(k_std, one)
        std = jnp.where(jax.random.bernoulli(k_flat, 0.2, one), 0.0, std)
        x = mean + std * jax.random.normal(k_x, (steps, batch, self.inputs))
        return jnp.clip(x, -MOST_INPUT, MOST_INPUT)

    def _errors(
        self, key: PRNGKeyArray, steps: int, batch: int
    ) -> Float[Array, "{steps} {batch} n"]:
        k_p, k_hit, k_scale, k_e, k_kind = jax.random.split(key, 5)
        shape, one = (steps, batch, self.outputs), (steps, 1, self.outputs)
        # One class of ten, about, with more or less certainty.
        p = jax.nn.sigmoid(2.0 * jax.random.normal(k_p, shape) - 2.0)
        classified = p - jax.random.bernoulli(k_hit, p).astype(p.dtype)
        scale = jnp.exp(jax.random.uniform(k_scale, one, minval=math.log(LEAST_SCALE), maxval=0.0))
        normal = jnp.clip(scale * jax.random.normal(k_e, shape), -MOST_ERROR, MOST_ERROR)
        kind = jax.random.bernoulli(k_kind, 0.5, (1, 1, self.outputs))
        return jnp.where(kind, classified, normal)


def random_synapses(side: int = 24, std: float = 1.5) -> SynapseFamily:
    """Random inputs and errors for `side` x `side` synapses.

    Their targets are errors, not labels: for `hebbax.teachers.CloneBackprop` only.

    **Raises:** `ValueError` for a side below 1, or an `std` that is not positive.
    """
    check_option("side", side, Annotated[int, AT_LEAST_1])
    check_option("std", std, Annotated[float, POSITIVE])
    return SynapseFamily(name="random_synapses", inputs=side, outputs=side, std=std)
