"""From task families and an objective to one number: the meta-loss of θ."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from hebbax.meta.objectives import Objective, Value
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily


def meta_loss(
    rule: AbstractRule,
    families: Sequence[AbstractFamily],
    objective: Objective,
    hidden: Sequence[int],
    tasks: int,
) -> Callable[[PyTree, PRNGKeyArray], Value]:
    """Return the function `(theta, key) -> (loss, metrics)`.

    It samples `tasks` tasks of every family, an episode and a fresh network for each, and
    averages the objective over all of them. Episodes of one shape are unrolled side by side.
    Metrics are means too, of all families and of each by its name (and index, if two share it).
    """
    names = [family.name for family in families]
    labels = [
        name if names.count(name) == 1 else f"{name}#{index}" for index, name in enumerate(names)
    ]
    groups: dict[tuple[int, int], list[int]] = {}
    for index, family in enumerate(families):
        groups.setdefault((family.inputs, family.outputs), []).append(index)

    def sample(index: int, key: PRNGKeyArray) -> Any:
        def one(key: PRNGKeyArray) -> Any:
            k_task, k_episode = jax.random.split(key)
            task = families[index].draw(k_task)
            return task.sample(k_episode, objective.steps, objective.batch, objective.query)

        return jax.vmap(one)(jax.random.split(jax.random.fold_in(key, index), tasks))

    def loss(theta: PyTree, key: PRNGKeyArray) -> Value:
        k_data, k_net = jax.random.split(key)
        values: dict[int, Float[Array, " tasks"]] = {}
        metrics: dict[str, dict[int, Float[Array, " tasks"]]] = {}
        for (inputs, outputs), members in groups.items():
            sampled = [sample(index, k_data) for index in members]
            episodes = jax.tree.map(lambda *a: jnp.concatenate(a), *sampled)
            keys = jax.random.split(jax.random.fold_in(k_net, members[0]), tasks * len(members))

            def one(
                episode: Any, key: PRNGKeyArray, sizes: tuple[int, ...] = (inputs, *hidden, outputs)
            ) -> Value:
                net = rule.init_network(theta, key, sizes)
                return objective(rule, theta, net, episode)

            value, measured = jax.vmap(one)(episodes, keys)
            for position, index in enumerate(members):
                part = slice(position * tasks, (position + 1) * tasks)
                values[index] = value[part]
                for name, numbers in measured.items():
                    metrics.setdefault(name, {})[index] = numbers[part]
        everything = jnp.stack([values[i] for i in range(len(families))])
        summary = {}
        for name, parts in metrics.items():
            means = [jnp.mean(parts[i]) for i in range(len(families))]
            summary[name] = jnp.mean(jnp.stack(means))
            if len(families) > 1:
                for label, mean in zip(labels, means, strict=True):
                    summary[f"{name}/{label}"] = mean
        return jnp.mean(everything), summary

    return loss
