"""Which devices share the outer loop's work: one code path for one device and for many.

The devices form a grid. One axis holds the runs of a population of genomes, the other what each
run does at once: tasks, particles or members of an evolution strategy's population.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

RUNS, INNER = "runs", "inner"
Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True)
class DeviceGrid:
    """How arrays lie on the devices; without a mesh, on the default one.

    **Fields:**

    - `mesh`: a grid of devices with the axes `runs` and `inner`, or None.
    """

    mesh: Mesh | None = None

    @classmethod
    def over_devices(
        cls, runs: int, inner: int, devices: Sequence[Any] | None = None
    ) -> "DeviceGrid":
        """Return the grid that splits `runs` runs first and their `inner` parts then.

        An axis is split over as many devices as divide it. Devices that are left over rest.
        """
        devices = jax.devices() if devices is None else devices
        first = math.gcd(runs, len(devices))
        second = math.gcd(inner, len(devices) // first)
        if first * second == 1 and jax.process_count() == 1:
            return cls()
        if jax.process_count() > 1:
            first, second = _over_processes(runs, inner, len(devices))
        grid = jax.make_mesh(
            (first, second),
            (RUNS, INNER),
            axis_types=(AxisType.Auto, AxisType.Auto),
            devices=devices[: first * second],
        )
        return cls(grid)

    def split_runs(self, tree: Tree) -> Tree:
        """Lay arrays whose leading axis counts runs over the devices."""
        return self._place(tree, PartitionSpec(RUNS))

    def copy(self, tree: Tree) -> Tree:
        """Lay whole copies of arrays on every device."""
        return self._place(tree, PartitionSpec())

    def split_inner(self, tree: Tree) -> Tree:
        """Inside a compiled function, split leading axes that the devices divide."""
        if self.mesh is None or self.mesh.shape[INNER] == 1:
            return tree
        split, parts = NamedSharding(self.mesh, PartitionSpec(INNER)), self.mesh.shape[INNER]

        def constrain(array: Any) -> Any:
            if array.ndim == 0 or array.shape[0] % parts:
                return array
            return jax.lax.with_sharding_constraint(array, split)

        return jax.tree.map(constrain, tree)

    def whole(self, tree: Tree) -> Tree:
        """Inside a compiled function, have every device hold all of each array."""
        return self._constrain(tree, PartitionSpec())

    def by_runs(self, tree: Tree) -> Tree:
        """Inside a compiled function, lay arrays as `split_runs` does."""
        return self._constrain(tree, PartitionSpec(RUNS))

    def _constrain(self, tree: Tree, spec: PartitionSpec) -> Tree:
        if self.mesh is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, NamedSharding(self.mesh, spec))

    def _place(self, tree: Tree, spec: PartitionSpec) -> Tree:
        if self.mesh is None:
            return tree
        sharding = NamedSharding(self.mesh, spec)
        if jax.process_count() == 1:
            return jax.tree.map(lambda a: jax.device_put(a, sharding), tree)
        return jax.tree.map(lambda a: _from_every_process(a, sharding), tree)


def _from_every_process(array: Any, sharding: NamedSharding) -> Any:
    """Join what every process has whole of its own into one array."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        bits = _from_every_process(jax.random.key_data(array), sharding)
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(array))
    whole = np.asarray(array)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])


def _over_processes(runs: int, inner: int, devices: int) -> tuple[int, int]:
    """Return a grid of all devices, for every process must have a part in the work.

    **Raises:** `ValueError` if they do not divide it.
    """
    for first in range(math.gcd(runs, devices), 0, -1):
        if devices % first == 0 and runs % first == 0 and inner % (devices // first) == 0:
            return first, devices // first
    raise ValueError(
        f"the {devices} devices of {jax.process_count()} processes must divide the work evenly: "
        f"runs = {runs} times {inner} parts of each is no multiple in either axis."
    )


def gather(tree: PyTree) -> PyTree:
    """Return arrays that this process can read, wherever their parts lie."""

    def whole(array: Any) -> Any:
        sharding = getattr(array, "sharding", None)
        if not isinstance(sharding, NamedSharding) or sharding.is_fully_replicated:
            return array
        everywhere = NamedSharding(sharding.mesh, PartitionSpec())
        return jax.jit(lambda a: a, out_shardings=everywhere)(array)

    return tree if jax.process_count() == 1 else jax.tree.map(whole, tree)


def is_first_process() -> bool:
    """Whether this is the process that writes files; the others only compute."""
    return jax.process_index() == 0
