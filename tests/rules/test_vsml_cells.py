"""Cells and messages of Vsml against loops."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_vsml import begin, close

import hebbax as hx
from hebbax.rules.vsml import Head, Layer, cells


def by_loops(kind, theta, s, up, down):
    """Return the states of eqs. 5 and 14 after one tick, unit by unit; `s` is s_abj."""
    W, C, U, b = (np.asarray(a, np.float64) for a in (theta.W, theta.C, theta.U, theta.b))
    out = np.zeros(s.shape)
    for a, k, j in np.ndindex(s.shape):
        own, forward, backward = s[a, k] @ W[:, j], up[a] @ C[:, j], down[k] @ U[:, j]
        product = kind == "multiplicative" and j < s.shape[2] // 2
        both = own * forward if product else own + forward
        out[a, k, j] = np.tanh(b[j] + both + backward)
    return out


@pytest.mark.parametrize("kind", ["vanilla", "multiplicative"])
def test_cell_equals_loops_over_units(kind, key):
    rule = hx.Vsml(state_size=5, cell=kind, error_as="message")
    theta, _, _, _ = begin(rule, (3, 2))
    theta = eqx.tree_at(lambda t: t.b, theta, jnp.linspace(-1, 1, 5))
    rng = np.random.default_rng(0)
    s, up, down = (rng.normal(size=n) for n in ((3, 2, 5), (3, 5), (2, 5)))
    layer = Layer(jnp.asarray(s.T[:, None], jnp.float32), None)
    inputs = cells.Inputs(*(jnp.asarray(m.T[:, None], jnp.float32) for m in (up, down)))
    after = jax.jit(lambda *a: cells.tick(kind, *a))(theta, layer, inputs)
    np.testing.assert_allclose(after.h[:, 0].T, by_loops(kind, theta, s, up, down), atol=1e-5)


def test_messages_are_means_or_sums():
    rng = np.random.default_rng(0)
    h = rng.normal(size=(4, 1, 2, 3)).astype("float32")
    weight, bias = rng.normal(size=(4, 3)), rng.normal(size=3)
    head = Head(*(jnp.asarray(a, jnp.float32) for a in (weight, bias)))
    each, bias = np.einsum("im,inba->mnba", weight, h), bias[:, None, None]

    @jax.jit
    def send(h):
        mean, both = cells.send_up(head, h, "mean"), cells.send_up(head, h, "sum")
        return mean, both, cells.send_down(head, h, "sum"), cells.send_down(None, h, "mean")

    expected = (each.mean(3) + bias, each.sum(3) + bias, each.sum(2) + bias, h.mean(2))
    close(send(h), expected)
