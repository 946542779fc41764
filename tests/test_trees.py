"""The norm of a tree of gradients."""

import jax.numpy as jnp
import numpy as np
import pytest

from hebbax._trees import global_norm


def tree(scale):
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    return {"a": jnp.asarray(scale * a), "b": (jnp.asarray(scale * b[0]), jnp.zeros(0))}


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e9])
def test_no_bit_differs_from_the_plain_formula(scale):
    given = tree(np.float32(scale))
    plain = jnp.sqrt(jnp.sum(given["a"] ** 2) + jnp.sum(given["b"][0] ** 2))
    assert float(global_norm(given)) == float(plain)


@pytest.mark.parametrize("scale", [1e20, 1e37])
def test_large_numbers_have_a_norm_too(scale):
    given = tree(np.float32(scale))
    expected = np.sqrt(sum(np.sum(np.asarray(a, float) ** 2) for a in (given["a"], given["b"][0])))
    assert float(global_norm(given)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_has_no_finite_norm(bad):
    assert not np.isfinite(global_norm([jnp.asarray([1.0, bad])]))


def test_nothing_has_the_norm_zero():
    assert float(global_norm([jnp.zeros(3)])) == 0
