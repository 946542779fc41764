"""Is a learning rule the gradient descent of some loss? (BLUR sec. 3.5)"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from hebbax.rules import AbstractRule

Select = Callable[[PyTree], PyTree]
"""Picks a node of a network, or a list of nodes, whose changes are studied."""


@dataclasses.dataclass(frozen=True)
class Asymmetry:
    """How far the changes of a rule are from a gradient field.

    **Fields:**

    - `jacobian` `[n, n]`: ∂Δw_k/∂w_m, row k, column m.
    - `error` `[n, n]`: the numerical error of each entry: how much it differs between single and
      double precision.
    """

    jacobian: np.ndarray
    error: np.ndarray

    @property
    def asymmetry(self) -> np.ndarray:
        """|∂Δw_k/∂w_m - ∂Δw_m/∂w_k|, `[n, n]`."""
        return np.abs(self.jacobian - self.jacobian.T)

    @property
    def asymmetry_error(self) -> np.ndarray:
        """The numerical error of `asymmetry`, `[n, n]`."""
        return self.error + self.error.T

    @property
    def relative(self) -> float:
        """‖J - Jᵀ‖ / ‖J + Jᵀ‖ in the Frobenius norm: 0 for a gradient field, 1 for a rotation."""
        whole = np.linalg.norm(self.jacobian + self.jacobian.T)
        return float(np.linalg.norm(self.asymmetry) / whole) if whole else 0.0

    @property
    def relative_error(self) -> float:
        """The numerical error of `relative`."""
        whole = np.linalg.norm(self.jacobian + self.jacobian.T)
        return float(np.linalg.norm(self.asymmetry_error) / whole) if whole else 0.0


def change_jacobian(
    rule: AbstractRule,
    theta: PyTree,
    net: PyTree,
    x: Float[Array, "batch in"],
    y: Float[Array, "batch out"] | None,
    select: Select = lambda net: net,
) -> Float[Array, "n n"]:
    """Return ∂Δw_k/∂w_m of one update, Δw being what it adds to the selected numbers w.

    Computed by reverse-mode differentiation of `rule.update`, a row for each number.

    **Arguments:**

    - `select`: picks a node of the network's pytree, or a list of nodes; its inexact arrays,
      flattened one after the other, are w. All of the network by default.

    **Raises:** `ValueError` if nothing is selected.
    """
    weights, put_back = _flatten(net, select)

    def change(weights: Float[Array, " n"]) -> Float[Array, " n"]:
        after = rule.update(theta, put_back(weights), x, y)[0]
        return _flatten(after, select)[0] - weights

    return jax.jacrev(change)(weights)


# One program for all networks of a rule and a size.
_compiled = jax.jit(change_jacobian, static_argnums=(0, 5))


def asymmetry(
    rule: AbstractRule,
    theta: PyTree,
    net: PyTree,
    x: Float[Array, "batch in"],
    y: Float[Array, "batch out"] | None,
    select: Select = lambda net: net,
) -> Asymmetry:
    """Test whether a rule descends some loss (BLUR eq. 10).

    If Δw = -γ ∂L/∂w for any loss L, then ∂Δw_k/∂w_m is symmetric, since second derivatives are.
    An asymmetry well above the numerical error therefore means that no such loss exists.

    **Arguments:** as in `change_jacobian`. Everything is computed in single and in double
    precision; the result is that of double precision.
    """
    jacobians = []
    for dtype in (np.float32, np.float64):
        with jax.enable_x64(dtype == np.float64):
            cast = [_cast(tree, dtype) for tree in (theta, net, x, y)]
            jacobians.append(np.asarray(_compiled(rule, *cast, select), np.float64))
    single, double = jacobians
    return Asymmetry(double, np.abs(single - double))


def _cast(tree: PyTree, dtype: Any) -> PyTree:
    def cast(leaf: Any) -> Any:
        inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
        return jnp.asarray(np.asarray(leaf), dtype) if inexact else leaf

    return jax.tree.map(cast, tree)


def _flatten(
    net: PyTree, select: Select
) -> tuple[Float[Array, " n"], Callable[[Float[Array, " n"]], PyTree]]:
    """Return the selected numbers, and the function that puts others in their place."""
    part, rest = eqx.partition(select(net), eqx.is_inexact_array)
    flat, unravel = ravel_pytree(part)
    if flat.size == 0:
        raise ValueError("select must pick some arrays of the network; got none.")
    return flat, lambda weights: eqx.tree_at(
        select, net, eqx.combine(unravel(weights), rest), is_leaf=lambda leaf: leaf is None
    )
