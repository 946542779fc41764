"""`unroll`: several updates in a row."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from hebbax.rules import AbstractRule


def unroll(
    rule: AbstractRule,
    theta: PyTree,
    net: PyTree,
    xs: Float[Array, "steps batch in"],
    ys: Float[Array, "steps batch out"] | None,
    *,
    remat: bool = False,
) -> tuple[PyTree, Float[Array, "steps batch out"]]:
    """Apply `rule` to one batch after another; compiled as a whole.

    **Arguments:**

    - `theta`, `net`: meta-parameters and the network state to start from.
    - `xs`, `ys`: a batch for each update; `ys` is None where there are no labels.
    - `remat`: when a gradient is taken through the unroll, compute what is inside each update
      again instead of keeping it. Memory then grows with the network's size for each update,
      not with the activations too; for small networks it is faster as well.

    **Returns:** the network after the last update, and what was predicted before each one.

    **Raises:** `ValueError` if the shapes of `xs` and `ys` are not such.
    """
    if xs.ndim != 3 or xs.shape[0] < 1:
        raise ValueError(
            f"xs must have the shape [steps, batch, in] with at least one step; "
            f"got {list(xs.shape)}."
        )
    if ys is not None and (ys.ndim != 3 or ys.shape[:2] != xs.shape[:2]):
        raise ValueError(
            f"ys must have the shape [{xs.shape[0]}, {xs.shape[1]}, out], a row for each row of "
            f"xs; got {list(ys.shape)}."
        )
    return _unroll(rule, theta, net, xs, ys, remat)


@eqx.filter_jit
def _unroll(rule: AbstractRule, theta: PyTree, net: PyTree, xs: Any, ys: Any, remat: bool) -> Any:
    def step(net: PyTree, batch: tuple[Any, Any]) -> tuple[PyTree, Any]:
        return rule.update(theta, net, *batch)

    if remat:
        # `prevent_cse` guards against undoing the rematerialisation, which a scan cannot do.
        step = jax.checkpoint(step, prevent_cse=False)
    return jax.lax.scan(step, net, (xs, ys))
