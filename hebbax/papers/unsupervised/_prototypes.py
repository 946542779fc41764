"""Prototypical networks (Snell, Swersky and Zemel 2017): features meta-learnt with labels."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax.papers.unsupervised._few_shot import FewShot
from hebbax.papers.unsupervised._trained import top, train
from hebbax.rules.unsupervised import Network, draw_network
from hebbax.rules.unsupervised import measure as measure_moments
from hebbax.tasks import AbstractFamily

SHOTS = 100
"""Labelled examples that make the prototypes of an episode; as many are classified."""


def loss(net: Network, families: Any, key: PRNGKeyArray) -> Float[Array, ""]:
    """Return the cross-entropy of an episode of every family."""

    def of(family: AbstractFamily, key: PRNGKeyArray) -> Float[Array, ""]:
        k_task, k_rows = jax.random.split(key)
        x, y = family.draw(k_task).query(k_rows, 2 * SHOTS)
        features = top(net, x)
        logits = _logits(features[:SHOTS], y[:SHOTS], features[SHOTS:])
        return jnp.mean(optax.softmax_cross_entropy(logits, y[SHOTS:]))

    keys = jax.random.split(key, len(families))
    return jnp.mean(jnp.stack([of(*pair) for pair in zip(families, keys, strict=True)]))


def _logits(
    shown: Float[Array, "few features"], y: Float[Array, "few classes"], asked: Array
) -> Float[Array, "n classes"]:
    """Return minus the squared distances to the means of the classes that are shown."""
    means = (y.T @ shown) / jnp.maximum(jnp.sum(y, axis=0)[:, None], 1)
    return -jnp.sum((asked[:, None] - means[None]) ** 2, axis=2)


def networks(
    families: Sequence[AbstractFamily], sizes: Sequence[int], points: Sequence[int], rate: float,
    seed: int,
) -> dict[int, Network]:  # fmt: skip
    """Return networks after each of `points` meta-steps on episodes of the families."""
    # Of the generators the one that is quick to compile; there is much to draw in an episode.
    k_draw, k_train = jax.random.split(jax.random.key(seed, impl="unsafe_rbg"))
    found = train(loss, draw_network(k_draw, sizes), tuple(families), points, rate, k_train)
    return dict(zip(sorted(set(points)), found, strict=True))


def accuracy(net: Network, given: FewShot) -> float:
    """Return the test accuracy by the prototypes of the labelled examples."""
    moments = measure_moments(net, jnp.asarray(given.unlabelled[:2000]), jax.nn.relu)
    shown, asked = (top(net, jnp.asarray(x), moments) for x in (given.x, given.test_x))
    y = jax.nn.one_hot(given.y, int(given.y.max()) + 1)
    said = np.asarray(_logits(shown, y, asked)).argmax(axis=1)
    return float((said == given.test_y).mean())
