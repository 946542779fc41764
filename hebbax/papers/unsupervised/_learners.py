"""Learners that make features without labels: the rule, PCA and k-means."""

from collections.abc import Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from hebbax.papers.unsupervised._few_shot import Features, FewShot
from hebbax.rules import UnsupervisedRule

REFERENCE = 2000
"""Unlabelled images whose moments normalise features, so that each image's features stand alone."""


def by_rule(
    rule: UnsupervisedRule,
    theta: PyTree,
    given: FewShot,
    sizes: Sequence[int],
    at: Iterable[int],
    batch: int,
    seed: int,
) -> dict[int, "Alone"]:
    """Return the features after each of the numbers `at` of updates, 0 for a fresh network."""
    k_net, k_rows = jax.random.split(jax.random.key(seed))
    net = rule.init_network(theta, k_net, tuple(sizes))
    x = jnp.asarray(given.unlabelled)
    reference = x[:REFERENCE]
    found, done = {}, 0
    for updates in sorted(set(at)):
        span = jnp.asarray(done), jnp.asarray(updates)
        net, done = _advance(rule, theta, net, x, batch, k_rows, span), updates
        found[updates] = Alone(rule, theta, net, _measure(rule, theta, net, reference))
    return found


@eqx.filter_jit
def _advance(
    rule: UnsupervisedRule, theta: PyTree, net: PyTree, x: Array, batch: int, key: Any, span: Any
) -> PyTree:
    def update(index: Any, net: PyTree) -> PyTree:
        rows = jax.random.randint(jax.random.fold_in(key, index), (batch,), 0, len(x))
        return rule.update(theta, net, x[rows], None)[0]

    # A program for all numbers of updates.
    first, end = span
    return jax.lax.fori_loop(first, end, update, net)


class Alone:
    """Features of a network, normalised by the moments of a reference."""

    def __init__(self, rule: UnsupervisedRule, theta: PyTree, net: PyTree, moments: Any):
        self.rule, self.theta, self.net, self.moments = rule, theta, net, moments

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(_alone(self.rule, self.theta, self.net, jnp.asarray(x), self.moments))


@eqx.filter_jit
def _measure(rule: UnsupervisedRule, theta: PyTree, net: PyTree, x: Array) -> Any:
    return rule.measure(theta, net, x)


@eqx.filter_jit
def _alone(rule: UnsupervisedRule, theta: PyTree, net: PyTree, x: Array, moments: Any) -> Array:
    return rule.predict_alone(theta, net, x, moments)


def by_pca(given: FewShot, features: int, whiten: bool, seed: int) -> Features:
    """Return the projections on the first principal components."""
    return PCA(features, whiten=whiten, random_state=seed).fit(given.unlabelled).transform


def by_kmeans(given: FewShot, features: int, seed: int) -> Features:
    """Return how much nearer each centre is than centres are on average, and zero for far ones.

    The "triangle" encoding of Coates, Ng and Lee (AISTATS 2011).
    """
    model = KMeans(features, n_init="auto", random_state=seed).fit(given.unlabelled)

    def triangle(x: np.ndarray) -> np.ndarray:
        distances = model.transform(x)
        return np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0)

    return triangle
