"""Theorem 1 of VSML: shared sub-RNNs are one recurrent network with a sparse, shared matrix.

Here grids are indexed as in the paper, s_abi, and their forward interactions run within one grid of
A × A sub-RNNs, as in its equations 1 to 4, where `Vsml` stacks grids that do not feed themselves.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.rules.vsml import cells
from hebbax.rules.vsml._meta_parameters import SharedCell
from hebbax.rules.vsml._network import Layer


def tick(theta: SharedCell, states: Float[Array, "a a n"]) -> Float[Array, "a a n"]:
    """Return the states after one tick of the vanilla cell (VSML eq. 14; eq. 3 where U is zero).

    All sub-RNNs change at once, and messages are sums of states.
    """
    layer = Layer(jnp.transpose(states)[:, None], None)
    inputs = cells.Inputs(
        up=cells.send_up(None, layer.h, "sum"), down=cells.send_down(None, layer.h, "sum")
    )
    return jnp.transpose(cells.tick("vanilla", theta, layer, inputs).h[:, 0])


def shared_matrix(
    W: Float[Array, "n n"], C: Float[Array, "n n"], a: int, b: int
) -> Float[Array, "{a} {b} n {a} {b} n"]:
    """Return W̃_cdiabj, the matrix of the one recurrent network (VSML eqs. 4 and 19).

    **Raises:** `ValueError` unless `a` is `b`: what ends at an output must begin at an input.
    """
    if a != b:
        raise ValueError(f"a grid that feeds itself must have a = b; got {a} and {b}.")
    same = jnp.eye(a, dtype=W.dtype)
    interactions = jnp.einsum("da,cb,ij->cdiabj", same, jnp.ones_like(same), C)
    own = jnp.einsum("db,ca,ij->cdiabj", same, same, W)
    return interactions + own


def matrix_tick(
    matrix: Float[Array, "a b n a b n"], bias: Float[Array, " n"], states: Float[Array, "a b n"]
) -> Float[Array, "a b n"]:
    """Return the states after one tick of the one recurrent network (VSML eq. 3, right side)."""
    drive = jnp.einsum("cdi,cdiabj->abj", states, matrix)
    return jnp.tanh(bias[None, None] + drive)
