"""Lives far longer than those of meta-training: how synapses grow, and whether learning goes on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, PyTree

import hebbax as hx
from hebbax.losses import accuracy
from hebbax.rules.blur import Network

LONG_RULE: dict[str, Any] = {"fan_in": True}
"""Options for genomes that are to live long: Oja's term expects synapses of norm about one."""

OJA = "weights"
"""The form of Oja's term in the authors' program, which shrinks synapses whatever the signs."""


def spaced(last: int, also: Sequence[int] = (), count: int = 60) -> list[int]:
    """Return about `count` numbers of updates up to `last`, evenly on a logarithmic scale."""
    numbers = np.geomspace(1, last, count).round().astype(int).tolist()
    return sorted({*numbers, *also, last})


def shown(amplitude: float | np.floating[Any]) -> str:
    """Return an amplitude for a table: nothing after an overflow."""
    return f"{amplitude:.4g}" if np.isfinite(amplitude) else ""


class Life(NamedTuple):
    """What became of some networks, each a row.

    **Fields:**

    - `steps` `[points]`: after how many updates.
    - `accuracy` `[seeds, points]`: share of the test set that is right.
    - `amplitude` `[seeds, points]`: mean absolute value of the stored synapses; infinite or not a
      number after an overflow.
    """

    steps: np.ndarray
    accuracy: np.ndarray
    amplitude: np.ndarray


def live(
    rule: hx.Blur,
    theta: PyTree,
    family: hx.tasks.AbstractFamily,
    *,
    hidden: Sequence[int],
    points: Sequence[int],
    batch: int,
    seeds: int,
    key: PRNGKeyArray,
    shuffle_after: int | None = None,
) -> Life:
    """Train fresh networks for as many updates as the last of `points`, and look at each point.

    After `shuffle_after` updates the labels of every batch are shuffled among its examples, so
    that there is nothing more to be learnt, and something to be forgotten.
    """
    flags = np.zeros(max(points), bool)
    flags[np.asarray(points) - 1] = True
    after = len(flags) if shuffle_after is None else shuffle_after
    right, amplitude = _live(
        rule,
        theta,
        family,
        tuple(hidden),
        batch,
        jax.random.split(key, seeds),
        jnp.asarray(flags),
        jnp.asarray(after),
    )
    return Life(np.flatnonzero(flags) + 1, *(np.asarray(a).T[:, flags] for a in (right, amplitude)))


@eqx.filter_jit
def _live(
    rule: hx.Blur,
    theta: PyTree,
    family: hx.tasks.AbstractFamily,
    hidden: tuple[int, ...],
    batch: int,
    keys: Key[Array, " seeds"],
    flags: Bool[Array, " steps"],
    shuffle_after: Int[Array, ""],
) -> tuple[Float[Array, "steps seeds"], Float[Array, "steps seeds"]]:
    test_x, test_y = family.test_set()
    sizes = (family.inputs, *hidden, family.outputs)
    nets = jax.vmap(lambda key: rule.init_network(theta, jax.random.fold_in(key, 0), sizes))(keys)

    def learn(net: Network, key: PRNGKeyArray, index: Int[Array, ""]) -> Network:
        k_data, k_shuffle = jax.random.split(jax.random.fold_in(key, index + 1))
        x, y = family.stream(k_data, 1, batch)
        shuffled = jax.random.permutation(k_shuffle, y[0])
        return rule.update(theta, net, x[0], jnp.where(index < shuffle_after, y[0], shuffled))[0]

    def judge(net: Network) -> tuple[Float[Array, ""], Float[Array, ""]]:
        synapses = jax.tree.leaves(net.layers)
        size = sum(jnp.sum(jnp.abs(w)) for w in synapses) / sum(w.size for w in synapses)
        return accuracy(rule.predict(theta, net, test_x), test_y), jnp.asarray(size)

    def body(nets: Any, step: Any) -> tuple[Any, Any]:
        index, flag = step
        nets = jax.vmap(learn, in_axes=(0, 0, None))(nets, keys, index)
        nothing = (jnp.full(len(keys), jnp.nan), jnp.full(len(keys), jnp.nan))
        return nets, jax.lax.cond(flag, lambda: jax.vmap(judge)(nets), lambda: nothing)

    return jax.lax.scan(body, nets, (jnp.arange(len(flags)), flags))[1]
