import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax.data._toy import TOYS, toy_function

NAMES = sorted(TOYS)


def _draw(name, task=0, seed=1, n=2048):
    return TOYS[name].sample(jax.random.key(task), jax.random.key(seed), n)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_ranges_and_classes(name):
    x, y = _draw(name)
    assert x.shape == (2048, 2)
    assert x.dtype == jnp.float32
    assert y.dtype == jnp.int32
    assert float(np.abs(x).max()) <= 2.0
    counts = np.bincount(np.asarray(y), minlength=TOYS[name].classes)
    assert len(counts) == TOYS[name].classes
    if name != "random_xor":  # a random map may leave all points on one side
        assert counts.min() > 0.05 * 2048
    assert toy_function(name).description


@pytest.mark.parametrize("name", NAMES)
def test_keys_decide(name):
    x, y = _draw(name)
    again_x, again_y = _draw(name)
    np.testing.assert_array_equal(x, again_x)
    np.testing.assert_array_equal(y, again_y)
    assert not np.array_equal(x, _draw(name, seed=2)[0])
    other_x, other_y = _draw(name, task=5)
    same = np.array_equal(x, other_x) and np.array_equal(y, other_y)
    assert same != TOYS[name].random


@pytest.mark.parametrize("name", ["xor", "blobs5"])
def test_jit_and_vmap(name):
    keys = jax.random.split(jax.random.key(3), 4)
    x, y = jax.jit(jax.vmap(lambda t, k: TOYS[name].sample(t, k, 16)))(keys, keys[::-1])
    one_x, one_y = TOYS[name].sample(keys[2], keys[1], 16)
    np.testing.assert_allclose(x[2], one_x, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(y[2], one_y)


TRUTH = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "nand": lambda a, b: not (a and b),
    "nor": lambda a, b: not (a or b),
    "xor": lambda a, b: a != b,
    "nxor": lambda a, b: a == b,
    "quadrant": lambda a, b: not a and b,
}


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_truth_tables(name):
    x, y = _draw(name)
    for point, label in zip(np.asarray(x) > 0, np.asarray(y), strict=True):
        assert bool(label) == TRUTH[name](*map(bool, point))


def test_geometries():
    x, y = map(np.asarray, _draw("concentric_circles"))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 0.4 * (y + 1), atol=0.35)
    x, y = map(np.asarray, _draw("circle"))
    np.testing.assert_array_equal(y, np.linalg.norm(x, axis=1) < 0.7)
    x, y = map(np.asarray, _draw("checkerboard"))
    fields = np.floor((x + 1) * 2).astype(int).sum(axis=1)
    np.testing.assert_array_equal(y, fields % 2)
    counts = np.bincount(np.asarray(_draw("gaussian_quantiles", n=2048)[1]))
    np.testing.assert_allclose(counts / 2048, 1 / 3, atol=0.05)


def test_support_and_query_share_blobs():
    x, y = map(np.asarray, _draw("blobs5", task=7, seed=1))
    other_x, other_y = map(np.asarray, _draw("blobs5", task=7, seed=2))
    for label in range(5):
        np.testing.assert_allclose(
            x[y == label].mean(axis=0), other_x[other_y == label].mean(axis=0), atol=0.05
        )


def test_unknown_name():
    with pytest.raises(ValueError, match=r"toy function must be one of .*Did you mean 'xor'"):
        toy_function("xorr")
