"""The LSTM cell of VSML against the textbook one, and its written-out gradient."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax.rules.vsml import _gates as gates
from hebbax.rules.vsml import _lstm as lstm


def sigmoid(z):
    return 1 / (1 + jnp.exp(-z))


def textbook(own, upward, downward, up, down, h, c):
    """Return h' and c' by the usual formulas, from weights for the usual pre-activations."""
    z = jnp.einsum("ij,inba->jnba", own, h) + jnp.einsum("ij,ina->jna", upward, up)[:, :, None]
    z = z + jnp.einsum("ij,inb->jnb", downward, down)[..., None]
    i, u, r, o = jnp.split(z, 4)
    c = sigmoid(r) * c + sigmoid(i) * jnp.tanh(u)
    return sigmoid(o) * jnp.tanh(c), c


def halve(weights):
    """Halve what goes to the sigmoid gates."""
    s = weights.shape[1] // 4
    return weights * jnp.concatenate([jnp.full(s, 0.5), jnp.ones(s), jnp.full(2 * s, 0.5)])[None]


def ours(own, upward, downward, *rest):
    return lstm.tick(halve(own), halve(upward), halve(downward), *rest)


def draw(copies, down, dtype):
    """Return arguments for 3 units, 2 inputs, 4 outputs; `copies` of states and from above."""
    shapes = (3, 12), (2, 12), (down, 12), (2, 5, 2), (down, copies, 4)
    shapes = (*shapes, (3, copies, 4, 2), (3, copies, 4, 2))
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes)


@pytest.mark.parametrize(("copies", "down"), [(5, 2), (1, 2), (5, 0)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tick_and_gradient(copies, down, dtype):
    with jax.enable_x64(dtype == "float64"):
        arguments = draw(copies, down, dtype)
        rng = np.random.default_rng(1)
        ends = [jnp.asarray(rng.normal(size=(3, 5, 4, 2)), dtype) for _ in range(2)]

        def weighed(tick):
            def run(*arguments):
                h, c = tick(*arguments)
                return jnp.sum(h * ends[0]) + jnp.sum(c * ends[1]), (h, c)

            return jax.jit(jax.grad(run, argnums=tuple(range(7)), has_aux=True))

        found, expected = (weighed(tick)(*arguments) for tick in (ours, textbook))
        tolerance = 2e-5 if dtype == "float32" else 1e-12
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_tanh():
    x = np.linspace(-12, 12, 100_001, dtype=np.float32)
    n, d = jax.jit(gates.tanh_fraction)(x)
    assert np.all(d > 0)
    assert max(np.abs(n).max(), np.abs(d).max()) < 300
    found, exact = np.asarray(jax.jit(gates.tanh)(x)), np.tanh(x.astype(float))
    assert np.max(np.abs(found - exact)) < 6e-7
    assert np.max(np.abs(found)) <= 1
    np.testing.assert_array_equal(found, -found[::-1])
    small = np.abs(x) < 0.1
    np.testing.assert_allclose(found[small], exact[small], rtol=6e-7)
    odd = jax.jit(gates.tanh)(np.array([np.nan, np.inf, -np.inf, 0.0], np.float32))
    assert math.isnan(odd[0])
    np.testing.assert_allclose(odd[1:], [1, -1, 0], atol=6e-7)
    with jax.enable_x64(True):
        wide = jnp.asarray(exact)
        np.testing.assert_array_equal(gates.tanh(wide), jnp.tanh(wide))
