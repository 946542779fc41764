"""Tiny rules and objectives of a user's own, and comparisons of pytrees."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import hebbax as hx


class Delta(hx.AbstractRule):
    """A rule of a user's own: one layer, each synapse by θ times input times error."""

    def init(self, key):
        return {"rate": 0.1 * jax.random.normal(key, ())}

    def init_network(self, theta, key, sizes):
        return jnp.zeros((sizes[0], sizes[-1]))

    def update(self, theta, net, x, y):
        prediction = x @ net
        error = 0 if y is None else y - jax.nn.softmax(prediction)
        return net + theta["rate"] * (x.T @ (0 * prediction + error)), prediction

    def predict(self, theta, net, x):
        return x @ net


class Distance(hx.objectives.AbstractObjective):
    """An objective of a user's own: how far θ's learning rate is from a half."""

    def __call__(self, rule, theta, net, episode):
        loss = jnp.sum((theta.learning_rate - 0.5) ** 2) + 0 * jnp.sum(episode.x)
        return loss, {}


def same(a, b):
    """Hold two pytrees to be equal, bit for bit."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(p), np.asarray(q))


def close(a, b, **tolerance):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, **tolerance), a, b)


def differ(a, b):
    """Hold that some leaf differs."""
    assert not bool(eqx.tree_equal(a, b))
