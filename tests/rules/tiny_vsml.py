"""Small cases of Vsml, and comparisons of its states."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

SIZES = (4, 3, 2)
SMALL = {"state_size": 4, "message_size": 3}


def begin(rule, sizes, seed=0):
    """Return θ that does something, a network whose copies are alike, and six examples."""
    rng = np.random.default_rng(seed)
    key = jax.random.key(0)
    theta = jax.eval_shape(rule.init, key)
    net = jax.eval_shape(lambda t: rule.init_network(t, key, sizes), theta)

    def weight(a):
        return rng.normal(size=a.shape) / math.sqrt(len(a))

    def state(a):
        return np.broadcast_to(rng.normal(size=(a.shape[0], 1, *a.shape[2:])) / 2, a.shape)

    theta = jax.tree.map(weight, theta)
    layers = jax.tree.map(state, net.layers)
    net = jax.tree.map(lambda a: np.zeros(a.shape), net)
    net = eqx.tree_at(lambda n: n.layers, net, layers)
    labels = np.eye(sizes[-1])[rng.integers(sizes[-1], size=6)]
    arrays = (theta, net, rng.normal(size=(6, sizes[0])), labels)
    return jax.tree.map(lambda a: jnp.asarray(a, float), arrays)


@eqx.filter_jit
def run(rule, method, *arguments):
    return getattr(rule, method)(*arguments)


def close(a, b, tolerance=1e-5):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, tolerance, tolerance), a, b)


def differ(a, b):
    pairs = zip(*map(jax.tree.leaves, (a, b)), strict=True)
    return any(np.max(np.abs(u - v)) > 1e-3 for u, v in pairs)
