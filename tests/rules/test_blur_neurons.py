import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax.rules.blur._normalization import NORM_EPSILON, column_norm, measure


@pytest.fixture
def synapses(key):
    k_weight, k_bias = jax.random.split(key)
    return jax.random.normal(k_weight, (2, 3, 5)), jax.random.normal(k_bias, (2, 3))


@pytest.mark.parametrize("biased", [True, False])
def test_column_norm_is_that_of_all_senders(synapses, biased):
    weight, bias = synapses
    columns = jnp.concatenate([weight, bias[:, :, None]], axis=2) if biased else weight
    expected = np.sqrt(np.sum(np.asarray(columns, np.float64) ** 2, axis=2) + NORM_EPSILON)
    found = column_norm(weight, bias if biased else None)
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("exponent", [30, 70, 110])
def test_column_norm_outlives_the_overflow_of_squares(synapses, exponent):
    weight, bias = synapses
    size = 2.0**exponent
    norm = column_norm(weight, bias)
    np.testing.assert_allclose(column_norm(size * weight, size * bias), size * norm, rtol=1e-6)
    gradient = jax.grad(lambda w: jnp.sum(column_norm(w, size * bias)))(size * weight)
    np.testing.assert_allclose(gradient, weight / norm, rtol=1e-5)


def test_receivers_of_all_sizes_are_measured_side_by_side():
    weight = jnp.asarray([[[3e-6, 4e-6], [3.0, 4.0], [3e30, 4e30]]])
    np.testing.assert_allclose(
        column_norm(weight, None)[0, :, 0], [np.sqrt(25e-12 + 1e-9), 5, 5e30], rtol=1e-6
    )


def test_variance_far_from_zero_keeps_its_digits(key):
    u = jax.random.normal(key, (2, 5, 40)) + 1e4
    expected = np.var(np.asarray(u, np.float64), axis=2, keepdims=True)
    np.testing.assert_allclose(measure(u).variance, expected, rtol=1e-3)
