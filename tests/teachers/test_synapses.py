"""Random inputs and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax.teachers import random_synapses
from hebbax.teachers._synapses import LEAST_SCALE, MOST_ERROR, MOST_INPUT


def test_inputs_have_the_deviation_asked_for(key):
    x, _ = random_synapses(40, std=1.2).stream(key, 60, 8)
    assert x.shape == (60, 8, 40)
    assert abs(float(jnp.std(x)) - 1.2) < 0.1
    assert float(np.max(np.abs(x))) <= MOST_INPUT
    # A fifth of the inputs is the same in all rows of a batch, and other from batch to batch.
    flat = np.asarray(jnp.std(x, axis=1) < 1e-5)
    assert 0.15 < flat.mean() < 0.25
    assert flat.std(axis=0).min() > 0


def test_errors_are_small_or_large_and_centred(key):
    _, e = random_synapses(200).stream(key, 10, 64)
    assert float(np.max(np.abs(e))) <= MOST_ERROR
    kinds = np.asarray(jnp.mean(e**2, axis=(0, 1)))
    assert kinds.min() < 0.2**2 < kinds.max()
    # Of calibrated probabilities: their mean is zero, whatever the classes' frequencies.
    assert abs(float(jnp.mean(e))) < 0.01
    assert np.quantile(np.abs(e), 0.5) > LEAST_SCALE / 2


def test_the_query_are_independent_normal_numbers(key):
    family = random_synapses(30)
    x, y = family.query(key, 90)
    for a in (x, y):
        assert a.shape == (90, 30)
        assert abs(float(jnp.mean(a))) < 0.1
        assert abs(float(jnp.std(a)) - 1) < 0.1
    assert abs(float(jnp.mean(x * y))) < 0.1


def test_every_key_has_other_data_and_the_test_set_is_fixed(key):
    family = random_synapses(5)
    one, other = (family.stream(k, 2, 3) for k in jax.random.split(key))
    assert not np.allclose(one[0], other[0])
    assert not np.allclose(one[1], other[1])
    jax.tree.map(np.testing.assert_array_equal, family.test_set(), family.test_set())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"side": 0}, "side must be a whole number of at least 1; got 0"),
        ({"std": 0.0}, "std must be a finite number above 0; got 0.0"),
        ({"std": float("nan")}, "std must be a finite number above 0; got nan"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        random_synapses(**settings)
