"""`unroll`: several updates in a row."""

import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from hebbax._options import check_option
from hebbax.devices import check_not_forked
from hebbax.losses import Targets, check_labels
from hebbax.rules import AbstractRule

Remat = bool | Literal["segments"]


def unroll(
    rule: AbstractRule,
    theta: PyTree,
    net: PyTree,
    xs: Float[Array, "steps batch in"],
    ys: Float[Array, "steps batch out"] | Targets | None,
    *,
    remat: Remat = False,
    taken: Int[Array, ""] | None = None,
    look: Callable[[PyTree, Float[Array, "batch out"]], PyTree] | None = None,
) -> tuple[PyTree, Any]:
    """Apply `rule` to one batch after another; compiled as a whole.

    **Arguments:**

    - `theta`, `net`: meta-parameters and the network state to start from.
    - `xs`, `ys`: a batch for each update; `ys` is None where there are no labels, or
      `losses.Targets` where they are no labels.
    - `remat`: what is kept when a gradient is taken through the unroll. False keeps everything.
      True keeps the network before each update and computes what is inside the update again:
      memory then grows with the network's size for each update, not with the activations too;
      for small networks it is faster as well. `"segments"` keeps the network before every √steps
      updates only, for memory O(√steps), and computes every update once more than True does.
    - `taken`: how many of the batches are learnt from, all by default. The others change nothing,
      cost next to nothing, and what is said to be predicted for them is zero.
    - `look`: what to return of every update in place of what was predicted before it: a function
      of the network after the update and of this prediction. Arrays that it needs besides must be
      leaves of it, as of an `equinox.Partial`.

    **Returns:** the network after the last update, and what was predicted before each one,
    `[steps, batch, out]`, or seen after it.

    **Raises:** `ValueError` if the shapes of `xs` and `ys` are not such, a rule of
    hebbax is given `ys` that are no labels, or `remat` is unknown.
    """
    check_option("rule", rule, AbstractRule)
    if xs.ndim != 3 or xs.shape[0] < 1:
        raise ValueError(
            f"xs must have the shape [steps, batch, in] with at least one step; "
            f"got {list(xs.shape)}."
        )
    if isinstance(ys, Targets):
        leading = {jnp.shape(leaf)[:2] for leaf in jax.tree.leaves(ys.values)}
        if leading != {xs.shape[:2]}:
            raise ValueError(
                f"ys must have {list(xs.shape[:2])} as the leading axes of all arrays, as xs; "
                f"got {', '.join(str(list(shape)) for shape in sorted(leading)) or 'none'}."
            )
    elif ys is not None and (ys.ndim != 3 or ys.shape[:2] != xs.shape[:2]):
        raise ValueError(
            f"ys must have the shape [{xs.shape[0]}, {xs.shape[1]}, out], a row for each row of "
            f"xs; got {list(ys.shape)}."
        )
    # Rules of others may make something of any targets.
    elif ys is not None and type(rule).__module__.startswith("hebbax."):
        check_labels("ys", ys)
    check_remat(remat)
    check_not_forked()
    return _unroll(rule, theta, net, xs, ys, remat, taken, look)


def check_remat(remat: Any) -> None:
    """Refuse an unknown way of rematerialising. **Raises:** `ValueError`."""
    if not isinstance(remat, bool) and remat != "segments":
        raise ValueError(f"remat must be True, False or 'segments'; got {remat!r}.")


@eqx.filter_jit
def _unroll(
    rule: AbstractRule,
    theta: PyTree,
    net: PyTree,
    xs: Any,
    ys: Any,
    remat: Remat,
    taken: Any,
    look: Any,
) -> Any:
    def step(net: PyTree, batch: tuple[Any, Any]) -> tuple[PyTree, Any]:
        net, prediction = rule.update(theta, net, *batch)
        return net, prediction if look is None else look(net, prediction)

    body: Callable[[Any, Any], tuple[Any, Any]] = step
    batches: Any = (xs, ys)
    if taken is not None:
        shapes = jax.eval_shape(step, net, jax.tree.map(lambda a: a[0], (xs, ys)))[1]

        def some(net: PyTree, numbered: tuple[Any, Any]) -> tuple[PyTree, Any]:
            index, batch = numbered
            nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
            return jax.lax.cond(index < taken, lambda: step(net, batch), lambda: (net, nothing))

        body, batches = some, (jnp.arange(len(xs)), (xs, ys))
    if remat:
        # `prevent_cse` guards against undoing the rematerialisation, which a scan cannot do.
        body = jax.checkpoint(body, prevent_cse=False)
    if remat == "segments":
        return _scan_segments(body, net, batches, len(xs))
    return jax.lax.scan(body, net, batches)


def _scan_segments(
    body: Callable[[Any, Any], tuple[Any, Any]], net: Any, batches: Any, steps: int
) -> tuple[Any, Any]:
    """Scan over segments of about √steps updates, each rematerialised as a whole."""
    length = segment_length(steps)
    whole = steps // length

    def segment(length: int) -> Callable[[Any, Any], tuple[Any, Any]]:
        def learn(net: Any, first: Any) -> tuple[Any, Any]:
            # Cut out here, for a slice of all whole segments would be a copy of the data.
            part = jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, first, length), batches)
            return jax.lax.scan(body, net, part)

        return learn

    learn = jax.checkpoint(segment(length), prevent_cse=False)
    net, predictions = jax.lax.scan(learn, net, length * jnp.arange(whole))
    predictions = jax.tree.map(lambda a: a.reshape(whole * length, *a.shape[2:]), predictions)
    rest = steps - whole * length
    if not rest:
        return net, predictions
    net, last = jax.checkpoint(segment(rest))(net, whole * length)
    return net, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), predictions, last)


def segment_length(steps: int) -> int:
    """Return the updates of a segment: near √steps, and a divisor of `steps` if one is near.

    Segments and updates of one that are kept, steps / length + length, are at most a quarter more
    than the least possible. What a divisor spares is to compile a shorter last segment.
    """
    root = math.isqrt(steps)
    near = [n for n in range(1, steps + 1) if steps % n == 0 and n + steps // n <= 2.5 * root]
    return min(near, key=lambda n: n + steps // n, default=root)
