"""What the tests of Blur share."""

import equinox as eqx
import jax
import numpy as np

SIZES = (5, 6, 4, 3)


@eqx.filter_jit
def update(rule, theta, net, x, y):
    return rule.update(theta, net, x, y)


@eqx.filter_jit
def predict(rule, theta, net, x):
    return rule.predict(theta, net, x)


def close(a, b, atol=2e-5):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, atol=atol, rtol=1e-5), a, b)
