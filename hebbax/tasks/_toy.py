"""The toy functions of two variables as task families. BLUR sec. 4.1."""

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray

from hebbax._arguments import check_arguments
from hebbax.data import toy_function
from hebbax.tasks._family import AbstractFamily, Batches, check_counts, not_drawn, one_hot

TEST_POINTS = 2048
_TEST_SEED = 2104_04657


class ToyFamily(AbstractFamily):
    """Classification of points in the plane, fresh points in every batch.

    Functions with a random geometry (blobs, `random_xor`, ...) have a new one in every task.
    """

    name: str = eqx.field(static=True)
    inputs: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    task_key: PRNGKeyArray | None = None
    """Decides the geometry of the task; None as long as no task is fixed."""

    def draw(self, key: PRNGKeyArray) -> "ToyFamily":
        """The family with its geometry fixed; itself if there is nothing left to draw."""
        if self.task_key is not None or not toy_function(self.name).random:
            return self
        return ToyFamily(name=self.name, inputs=self.inputs, outputs=self.outputs, task_key=key)

    def stream(self, key: PRNGKeyArray, steps: int, batch: int) -> Batches:
        """Batches of fresh points; see `AbstractFamily.stream`."""
        check_counts(steps, batch)
        x, y = self._points(key, steps * batch)
        return x.reshape(steps, batch, 2), y.reshape(steps, batch, self.outputs)

    def query(self, key: PRNGKeyArray, query: int) -> Batches:
        """Fresh points of the same task."""
        check_counts(1, 1, query)
        return self._points(key, query)

    def test_set(self) -> Batches:
        """2,048 points of the task from a fixed key."""
        return self._points(jax.random.key(_TEST_SEED), TEST_POINTS)

    def _points(self, key: PRNGKeyArray, count: int) -> Batches:
        function = toy_function(self.name)
        if function.random and self.task_key is None:
            raise not_drawn(self.name)
        # A function without random geometry ignores the task key, so any key will do.
        x, y = function.sample(key if self.task_key is None else self.task_key, key, count)
        return x, one_hot(y, self.outputs)


def toy(name: str, outputs: int | None = None) -> ToyFamily:
    """A toy function of two variables, such as `"xor"` or `"two_moons"`.

    **Arguments:**

    - `name`: see `hebbax.data.TOYS` for all of them.
    - `outputs`: None for one output per class; 1, for two-class functions only, for a single
      output that is 0 or 1, as in the BLUR authors' notebook.

    **Raises:** `ValueError` for an unknown name or an impossible number of outputs.
    """
    check_arguments(toy, locals())
    function = toy_function(name)
    allowed = (1, 2) if function.classes == 2 else (function.classes,)
    if outputs is not None and outputs not in allowed:
        raise ValueError(
            f"outputs must be {' or '.join(map(str, allowed))} for {name}, which has "
            f"{function.classes} classes; got {outputs}."
        )
    return ToyFamily(name=name, inputs=2, outputs=function.classes if outputs is None else outputs)
