"""Lives far longer than those of meta-training: how synapses grow, and whether learning goes on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, PyTree

import hebbax as hx
from hebbax.inner import watch
from hebbax.losses import accuracy
from hebbax.papers._statistics import Row
from hebbax.papers.blur._genomes import SMOKE, TriedGenomes, blur
from hebbax.rules.blur import Network

OJA = "weights"
"""The form of Oja's term in the authors' program, which shrinks synapses whatever the signs."""


def spaced(last: int, also: Sequence[int] = (), count: int = 60) -> list[int]:
    """Return about `count` numbers of updates up to `last`, evenly on a logarithmic scale."""
    numbers = np.geomspace(1, last, count).round().astype(int).tolist()
    return sorted({*numbers, *also, last})


def long_lived_blur(states: int, **options: Any) -> hx.Blur:
    """Return a rule to live long with: Oja's term expects synapses of norm about one."""
    return blur(states, fan_in=True, **options)


class Life(NamedTuple):
    """What became of some networks, each a row.

    **Fields:**

    - `steps` `[points]`: after how many updates.
    - `accuracy` `[seeds, points]`: share of the test set that is correct.
    - `amplitude` `[seeds, points]`: mean absolute value of the stored synapses; infinite or not a
      number after an overflow.
    """

    steps: np.ndarray
    accuracy: np.ndarray
    amplitude: np.ndarray

    def before_overflow(self) -> dict[str, Any]:
        """Return the last point without an overflow, and what networks were there on average."""
        whole = np.flatnonzero(np.isfinite(self.amplitude).all(axis=0))
        last = int(whole[-1]) if len(whole) else None
        return {
            "last_update_without_overflow": None if last is None else int(self.steps[last]),
            "amplitude_then": None if last is None else float(self.amplitude[:, last].mean()),
            "accuracy_then": None if last is None else float(self.accuracy[:, last].mean()),
        }

    def rows(self, rule: str, quantities: Sequence[str]) -> list[Row]:
        """Return a row for each network and point, with nothing for what has overflowed."""
        forms = {"accuracy": ".4f", "amplitude": ".4g"}

        def written(quantity: str, network: int, point: int) -> str:
            value = getattr(self, quantity)[network, point]
            return f"{value:{forms[quantity]}}" if np.isfinite(value) else ""

        return [
            {"rule": rule, "network": network, "updates": int(step)}
            | {quantity: written(quantity, network, point) for quantity in quantities}
            for network in range(len(self.accuracy))
            for point, step in enumerate(self.steps)
        ]


class LongLived(TriedGenomes):
    """An experiment with networks that live on far beyond the lifetimes of meta-training."""

    smoke: ClassVar = {**SMOKE, "data": "digits", "hidden": (), "batch": 16, "query": 16}

    data: str = "mnist"
    states: int = 2
    hidden: tuple[int, ...] = (32,)
    query: int = 512
    updates: int = 1000

    def follow(
        self,
        work: Path,
        rule: hx.Blur,
        family: hx.tasks.AbstractFamily,
        points: Sequence[int],
        seed: int,
        shuffle_after: int | None = None,
    ) -> tuple[Life, float]:
        """Meta-train, and return the lives of networks, and how much of synapses updates keep."""
        theta = self.meta_train(work, rule, [family], self.hidden, seed, query=self.query).theta
        life = live(
            rule, theta, family, hidden=self.hidden, points=points, batch=self.batch,
            seeds=self.networks, key=jax.random.key(seed + 1), shuffle_after=shuffle_after,
        )  # fmt: skip
        return life, float(theta.f_tilde)


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
    correct, amplitude = _live(
        rule,
        theta,
        family,
        tuple(hidden),
        batch,
        jax.random.split(key, seeds),
        jnp.asarray(flags),
        jnp.asarray(after),
    )
    return Life(
        np.flatnonzero(flags) + 1, *(np.asarray(a).T[:, flags] for a in (correct, amplitude))
    )


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

    def update(nets: Network, index: Int[Array, ""]) -> Network:
        def learn(net: Network, key: PRNGKeyArray) -> Network:
            k_data, k_shuffle = jax.random.split(jax.random.fold_in(key, index + 1))
            x, y = family.stream(k_data, 1, batch)
            shuffled = jax.random.permutation(k_shuffle, y[0])
            return rule.update(theta, net, x[0], jnp.where(index < shuffle_after, y[0], shuffled))[
                0
            ]

        return jax.vmap(learn)(nets, keys)

    def judge(net: Network) -> tuple[Float[Array, ""], Float[Array, ""]]:
        synapses = jax.tree.leaves(net.layers)
        size = sum(jnp.sum(jnp.abs(w)) for w in synapses) / sum(w.size for w in synapses)
        return accuracy(rule.predict(theta, net, test_x), test_y), jnp.asarray(size)

    return watch(update, nets, jax.vmap(judge), flags)[1]
