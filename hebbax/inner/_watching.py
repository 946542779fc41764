"""`watch`: a lifetime, and what can be seen of the network on the way."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree


def watch(
    update: Callable[[PyTree, Int[Array, ""]], PyTree],
    net: PyTree,
    look: Callable[[PyTree], PyTree],
    after: Bool[Any, " steps"],
    *,
    first: Int[Array, ""] | int = 0,
) -> tuple[PyTree, PyTree]:
    """Update a network again and again, and look at it after some of the updates.

    What is not looked at is not computed. It is not compiled by itself; if `after` is traced, one
    program serves for as many updates whichever of them are followed by a look. `net` may be many
    networks side by side, with an update and a look for all of them, such as `jax.vmap` makes.
    Where batches are there already, and each update is looked at or differentiated, `unroll` does.

    **Arguments:**

    - `update`: makes the update of an index, on a batch that it draws or takes for it.
    - `net`: the network state to start from.
    - `look`: what is to be seen of it.
    - `after`: whether to look after each update.
    - `first`: index of the first update, for a lifetime that is gone on with.

    **Returns:** the network after the last update, and what was seen, with a leading axis
    `[steps]`; zero where nobody looked.
    """

    # Not NaN, of which JAX's own search for NaNs would complain.
    unseen = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(look, net))

    def live(net: PyTree, at: tuple[Any, Any]) -> tuple[PyTree, PyTree]:
        index, looked = at
        net = update(net, index)
        return net, jax.lax.cond(looked, lambda: look(net), lambda: unseen)

    return jax.lax.scan(live, net, (first + jnp.arange(len(after)), jnp.asarray(after)))
