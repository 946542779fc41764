"""`Gradient`: follow the meta-gradient through the whole unroll."""

import hashlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from hebbax._trees import digest
from hebbax.meta.objectives import Value

MetaLoss = Callable[[PyTree, PRNGKeyArray], Value]


class GradientState(NamedTuple):
    """What `Gradient` carries from step to step.

    **Fields:**

    - `optimizer`: the optax transformation's state.
    - `skipped`: meta-steps left out because the loss or its gradient was not finite.
    """

    optimizer: PyTree
    skipped: Int[Array, ""]


class Gradient(eqx.Module):
    """Reverse-mode differentiation through the full unroll, and any optax transformation.

    **Arguments:**

    - `optimizer`: an `optax.GradientTransformation`, such as `optax.adam(5e-4)`.
    - `clip`: bound on the global norm of the meta-gradient (10 in BLUR, supplement 3.1); None for
      no bound.

    A step whose loss or gradient is not finite changes nothing and is counted.
    """

    optimizer: optax.GradientTransformation = eqx.field(static=True)
    clip: float | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        """Refuse what is no optimiser."""
        if not hasattr(self.optimizer, "update"):
            raise ValueError(
                f"optimizer must be an optax.GradientTransformation such as optax.adam(5e-4); "
                f"got {self.optimizer!r}."
            )
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be None or positive; got {self.clip}.")

    def fingerprint(self) -> str:
        """Return a digest of what a step computes, its constants (the learning rate) included.

        Two methods with the same digest are the same, whatever functions they were made of.
        """

        def step(theta: PyTree, key: PRNGKeyArray) -> PyTree:
            return self.step(lambda t, k: (t**2, {}), theta, self.init(theta), key)

        program = jax.make_jaxpr(step)(jnp.ones(()), jax.random.key(0))
        text = re.sub(r"0x[0-9a-f]+", "", str(program))
        # Arrays that the program closes over are not in its text.
        return hashlib.sha256((text + digest(program.consts)).encode()).hexdigest()[:16]

    def init(self, theta: PyTree) -> GradientState:
        """Return the state before the first step."""
        return GradientState(self.optimizer.init(theta), jnp.zeros((), jnp.int32))

    def step(
        self, meta_loss: MetaLoss, theta: PyTree, state: GradientState, key: PRNGKeyArray
    ) -> tuple[PyTree, GradientState, dict[str, Float[Array, ""]]]:
        """Take one meta-step; returns θ, the state and metrics, all arrays of rank 0."""
        (loss, metrics), gradient = jax.value_and_grad(meta_loss, has_aux=True)(theta, key)
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
        good = jnp.isfinite(loss) & jnp.isfinite(norm)
        if self.clip is not None:
            scale = jnp.minimum(1.0, self.clip / jnp.maximum(norm, 1e-12))
            gradient = jax.tree.map(lambda g: g * scale, gradient)
        updates, optimizer = self.optimizer.update(gradient, state.optimizer, theta)
        moved = optax.apply_updates(theta, updates)

        def keep(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda n, o: jnp.where(good, n, o), new, old)

        skipped = state.skipped + jnp.where(good, 0, 1).astype(jnp.int32)
        state = GradientState(keep(optimizer, state.optimizer), skipped)
        return keep(moved, theta), state, {"loss": loss, "gradient_norm": norm, **metrics}
