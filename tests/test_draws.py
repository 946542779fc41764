"""Arrays that are drawn together hold what each would hold alone, to the bit."""

import jax
import numpy as np
import pytest

from hebbax._draws import SMALL, draws, in_a_row, numbered

SHAPES = [(3,), (2, 5, 7), (), (SMALL + 1,), (1,), (2, SMALL // 2), (0, 3), (33, 31)]


def normal(key, shape):
    return jax.random.normal(key, shape)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("shapes", [SHAPES, SHAPES[:1]])
def test_together_as_alone(impl, shapes):
    keys = [*jax.random.split(jax.random.key(3, impl=impl), len(shapes))]
    found = jax.jit(lambda keys: draws(normal, keys, shapes))(keys)
    for array, key, shape in zip(found, keys, shapes, strict=True):
        np.testing.assert_array_equal(array, jax.jit(normal, static_argnums=1)(key, shape))


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_numbered_keys(impl):
    key = jax.random.key(5, impl=impl)

    def derive(key):
        return jax.vmap(jax.random.split)(jax.random.split(key, 3))

    found = numbered(key, 4, derive)
    assert found.shape == (4, 3, 2)
    for index, keys in enumerate(found):
        expected = derive(jax.random.fold_in(key, index))
        assert (jax.random.key_data(keys) == jax.random.key_data(expected)).all()


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("shape", [(5, 3, 10), (7,), (), (0, 3)])
@pytest.mark.parametrize("one", [jax.random.normal, jax.random.uniform])
def test_in_a_row_as_in_its_shape(impl, shape, one):
    key = jax.random.key(3, impl=impl)
    found = jax.jit(lambda key: in_a_row(one, key, shape))(key)
    np.testing.assert_array_equal(found, jax.jit(one, static_argnums=1)(key, shape))
