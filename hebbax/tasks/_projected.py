"""A family seen through random projections: other inputs, the same classes."""

import math

import equinox as eqx
import jax
from jaxtyping import Array, Float32, PRNGKeyArray

from hebbax._arguments import check_arguments
from hebbax.losses import AbstractGoal
from hebbax.tasks._family import AbstractFamily, Batches, not_drawn


class ProjectedFamily(AbstractFamily):
    """Another family whose inputs are multiplied by a random matrix, drawn anew for every task.

    A rule cannot rely on what inputs mean then, nor on which of them are always zero.
    """

    family: AbstractFamily
    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    projection: Float32[Array, "in in"] | None = None

    @property
    def goal(self) -> AbstractGoal:
        """The goal of the family inside."""
        return self.family.goal

    def draw(self, key: PRNGKeyArray) -> "ProjectedFamily":
        """Fix the projection, and the task of the family inside."""
        if self.projection is not None:
            return self
        k_task, k_projection = jax.random.split(key)
        limit = math.sqrt(3 / self.inputs)
        shape = (self.inputs, self.inputs)
        return ProjectedFamily(
            family=self.family.draw(k_task), name=self.name, inputs=self.inputs,
            outputs=self.outputs,
            projection=jax.random.uniform(k_projection, shape, minval=-limit, maxval=limit),
        )  # fmt: skip

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Projected support batches; see `AbstractFamily.stream`."""
        return self._projected(self.family.stream(key, steps, batch))

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Projected query rows."""
        return self._projected(self.family.query(key, query))

    def test_set(self) -> Batches:
        """The projected held-out rows."""
        return self._projected(self.family.test_set())

    def _projected(self, batches: Batches) -> Batches:
        if self.projection is None:
            raise not_drawn(self.name)
        x, y = batches
        return x @ self.projection, y


def projected(family: AbstractFamily) -> ProjectedFamily:
    """Return a family with a random projection of the inputs for every task.

    The matrix is square, its entries uniform between ±√(3 / inputs), so that inputs that are
    standardised stay as large as they were on average. The authors of VSML meta-train with one
    matrix in each worker process.
    """
    check_arguments(projected, locals())
    return ProjectedFamily(
        family=family,
        name=f"{family.name},projected",
        inputs=family.inputs,
        outputs=family.outputs,
    )
