"""From task families and an objective to numbers: the worth of θ, of whole lifetimes or parts.

Methods know nothing else of rules, tasks and objectives than a `Problem`, so a problem of another
kind can be solved by them too.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, PyTree

from hebbax._draws import numbered
from hebbax.devices import DeviceGrid
from hebbax.networks import Hidden
from hebbax.outer._sizes import layer_sizes
from hebbax.outer.objectives import AbstractObjective, Value
from hebbax.rules import AbstractRule, Sizes
from hebbax.tasks import AbstractFamily, Episode


class Particle(eqx.Module):
    """Networks on their way through their lifetime.

    **Fields:**

    - `nets`: network states φ, in whatever form the problem keeps them.
    - `key`: decides their tasks, their fresh synapses and all batches.
    - `position`: updates that they have had.
    """

    nets: PyTree
    key: PRNGKeyArray
    position: Int[Array, ""] | int


class AbstractProblem(ABC):
    """What a method asks: how good θ is, over whole lifetimes or a part of one."""

    @property
    @abstractmethod
    def lifetime(self) -> int:
        """Updates in a lifetime."""

    @property
    @abstractmethod
    def networks(self) -> int:
        """Networks that a particle holds, for counting updates."""

    @abstractmethod
    def begin(self, theta: PyTree, key: PRNGKeyArray) -> Particle:
        """Return fresh networks on fresh tasks."""

    @abstractmethod
    def advance(
        self,
        theta: PyTree,
        particle: Particle,
        unroll: int,
        taken: Int[Array, ""] | None = None,
    ) -> tuple[Particle, Value]:
        """Make `unroll` updates, or the first `taken` of them; return the particle, loss, metrics.

        Differentiable in θ and in the networks.
        """

    layout: DeviceGrid = DeviceGrid()
    """Which devices share the work."""

    def alone(self) -> "AbstractProblem":
        """Return the same problem for a part of the work that one device does."""
        return self

    def loss(self, theta: PyTree, key: PRNGKeyArray) -> Value:
        """Return the loss of whole lifetimes, and metrics."""
        fresh = self.begin(theta, key)
        # A number, so that what is particular to later truncations is not even compiled.
        fresh = eqx.tree_at(lambda p: p.position, fresh, 0)
        return self.advance(theta, fresh, self.lifetime)[1]


@dataclasses.dataclass(frozen=True)
class Problem(AbstractProblem):
    """Networks of one rule that learn tasks of some families, judged by an objective.

    Every particle learns `tasks` tasks of every family, with an episode and a fresh network for
    each; losses are averaged over all of them. Episodes of one shape are unrolled side by side.
    Metrics are means too, of all families and of each by its name (and index, if two share it).

    **Fields:**

    - `rule`, `families`, `objective`, `hidden`, `tasks`: as in `hebbax.meta_train`.
    - `layout`: which devices share the work.
    """

    rule: AbstractRule
    families: Sequence[AbstractFamily]
    objective: AbstractObjective
    hidden: Hidden = ()
    tasks: int = 1
    layout: DeviceGrid = dataclasses.field(default_factory=DeviceGrid)

    def alone(self) -> "Problem":
        """Return the same problem for a part of the work that one device does."""
        return dataclasses.replace(self, layout=DeviceGrid())

    @property
    def lifetime(self) -> int:
        """Updates in a lifetime."""
        return self.objective.steps

    @property
    def networks(self) -> int:
        """Networks that a particle holds: one for each task."""
        return self.tasks * len(self.families)

    def sizes(self, index: int) -> Sizes:
        """Return the layer sizes, or wiring, of networks that learn tasks of family `index`."""
        return layer_sizes(self.families, index, self.hidden, self.objective)

    def begin(self, theta: PyTree, key: PRNGKeyArray) -> Particle:
        """Return fresh networks on fresh tasks."""
        k_net = jax.random.split(key)[1]

        def fresh(sizes: Sizes, members: Sequence[int]) -> PyTree:
            keys = jax.random.split(
                jax.random.fold_in(k_net, members[0]), self.tasks * len(members)
            )
            return jax.vmap(lambda k: self.rule.init_network(theta, k, sizes))(keys)

        nets = tuple(fresh(self.sizes(m[0]), m) for m in self._groups())
        return Particle(nets, key, jnp.zeros((), jnp.int32))

    def advance(
        self,
        theta: PyTree,
        particle: Particle,
        unroll: int,
        taken: Int[Array, ""] | None = None,
    ) -> tuple[Particle, Value]:
        """Make `unroll` updates on fresh batches, or the first `taken` of them."""
        k_data = jax.random.split(particle.key)[0]
        keys = numbered(k_data, len(self.families), self._task_keys)
        nets, values, metrics = [], {}, {}
        for group, before in zip(self._groups(), particle.nets, strict=True):
            sampled = [self._sample(i, keys[i], particle.position, unroll) for i in group]
            episodes = jax.tree.map(lambda *a: jnp.concatenate(a), *sampled)
            episodes, before = self.layout.split_inner((episodes, before))

            def one(net: PyTree, episode: Episode) -> tuple[PyTree, Value]:
                return self._learn(theta, net, episode, particle.position, taken)

            after, (value, measured) = jax.vmap(one)(before, episodes)
            nets.append(after)
            for place, index in enumerate(group):
                part = slice(place * self.tasks, (place + 1) * self.tasks)
                values[index] = value[part]
                for name, numbers in measured.items():
                    metrics.setdefault(name, {})[index] = numbers[part]
        position = particle.position + (unroll if taken is None else taken)
        position = jnp.asarray(position, jnp.int32)
        after = eqx.tree_at(lambda p: (p.nets, p.position), particle, (tuple(nets), position))
        everything = jnp.stack([values[i] for i in range(len(self.families))])
        return after, (jnp.mean(everything), self._summary(metrics))

    def _groups(self) -> list[list[int]]:
        """Return the indices of families whose episodes and networks have one shape, together."""
        groups: dict[Any, list[int]] = {}
        for index, family in enumerate(self.families):
            kind = self.sizes(index), family.outputs, family.goal
            groups.setdefault(kind, []).append(index)
        return list(groups.values())

    def _task_keys(self, key: PRNGKeyArray) -> Key[Array, "tasks 2"]:
        """Return the keys that decide each of the `tasks` tasks of a family, and its episode."""
        return jax.vmap(jax.random.split)(jax.random.split(key, self.tasks))

    def _sample(
        self,
        index: int,
        keys: Key[Array, "tasks 2"],
        position: Int[Array, ""] | int,
        unroll: int,
    ) -> Episode:
        """Return episodes of the tasks of a family, from `position` of their lifetime."""

        def one(keys: Key[Array, "2"]) -> Episode:
            k_task, k_episode = keys
            task = self.families[index].draw(k_task)
            if not isinstance(position, int):
                later = jax.random.fold_in(k_episode, position)
                k_episode = jnp.where(position == 0, k_episode, later)
            return task.sample(k_episode, unroll, self.objective.batch, self.objective.query)

        return jax.vmap(one)(keys)

    def _learn(
        self, theta: PyTree, net: PyTree, episode: Episode, position: Any, taken: Any
    ) -> tuple[PyTree, Value]:
        return self.objective.unroll_and_judge(
            self.rule, theta, net, episode, first=position, taken=taken
        )

    def _summary(
        self, metrics: dict[str, dict[int, Float[Array, " tasks"]]]
    ) -> dict[str, Float[Array, ""]]:
        names = [family.name for family in self.families]
        labels = [
            name if names.count(name) == 1 else f"{name}#{index}"
            for index, name in enumerate(names)
        ]
        summary = {}
        for name, parts in metrics.items():
            # Families that ask for something else have no such metric.
            means = {i: jnp.mean(parts[i]) for i in sorted(parts)}
            summary[name] = jnp.mean(jnp.stack(list(means.values())))
            if len(self.families) > 1:
                summary |= {f"{name}/{labels[i]}": mean for i, mean in means.items()}
        return summary
