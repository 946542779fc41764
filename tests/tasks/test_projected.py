import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equinox import filter_jit

import hebbax as hx


@pytest.fixture
def plain(key):
    x = jax.random.normal(key, (40, 9))
    y = np.arange(40) % 4
    return hx.tasks.from_arrays(x, y, x[:12], y[:12])


def test_every_task_has_a_projection_of_its_own_for_all_its_parts(plain, key):
    family = hx.tasks.projected(plain)
    assert (family.inputs, family.outputs) == (9, 4)
    assert family.name == "arrays,projected"
    one, other = (filter_jit(family.draw)(jax.random.fold_in(key, i)) for i in range(2))
    assert not np.allclose(one.projection, other.projection)
    assert one.draw(key) is one
    for part in ("stream", "query"):
        arguments = (key, 3, 5) if part == "stream" else (key, 5)
        x, y = getattr(one, part)(*arguments)
        expected_x, expected_y = getattr(plain, part)(*arguments)
        np.testing.assert_allclose(x, expected_x @ one.projection, rtol=1e-5)
        np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_allclose(
        one.test_set()[0],
        plain.test_set()[0] @ one.projection,
        rtol=1e-5,
        atol=1e-6,
    )


def test_inputs_stay_as_large_as_they_were(key):
    x = jax.random.normal(key, (300, 200))
    y = np.arange(300) % 2
    family = filter_jit(hx.tasks.projected(hx.tasks.from_arrays(x, y, x, y)).draw)(key)
    entries = family.projection
    assert np.max(np.abs(entries)) <= np.sqrt(3 / 200)
    # 40,000 entries: the deviation of their mean square is 0.0045 of it.
    np.testing.assert_allclose(jnp.mean(entries**2), 1 / 200, rtol=0.03)
    np.testing.assert_allclose(jnp.mean(family.test_set()[0] ** 2), 1.0, rtol=0.03)


def test_an_undrawn_family_has_no_stream(plain, key):
    family = hx.tasks.projected(plain)
    for ask in (
        lambda: family.stream(key, 1, 2),
        lambda: family.query(key, 2),
        family.test_set,
    ):
        with pytest.raises(ValueError, match=r"fix one with family\.draw\(key\)"):
            ask()


def test_sampling_compiles_and_maps_over_keys(plain, key):
    family = hx.tasks.projected(plain)
    keys = jax.random.split(key, 3)

    @eqx.filter_jit
    def sample(family, keys):
        return jax.vmap(lambda k: family.sample(k, 2, 4, 5))(keys)

    episodes = sample(family, keys)
    assert episodes.x.shape == (3, 2, 4, 9)
    alone = filter_jit(family.sample)(keys[1], 2, 4, 5)
    np.testing.assert_allclose(episodes.x[1], alone.x, rtol=1e-5, atol=1e-6)
    assert not np.allclose(episodes.x[0], episodes.x[1])
