import jax
import numpy as np
import pytest
from equinox import filter_jit

from hebbax import tasks
from hebbax.data._toy import TOYS

RANDOM = sorted(name for name, function in TOYS.items() if function.random)
FIXED = sorted(set(TOYS) - set(RANDOM))


@pytest.mark.parametrize("name", sorted(TOYS))
def test_episode(name, key):
    family = tasks.toy(name)
    # As many points as the test set has, so that nothing is compiled twice.
    episode = filter_jit(family.sample)(key, 32, 64, query=2048)
    assert episode.x.shape == (32, 64, 2)
    assert episode.y.shape == (32, 64, TOYS[name].classes)
    assert episode.query_x.shape == (2048, 2)
    for y in map(np.asarray, (episode.y, episode.query_y)):
        np.testing.assert_array_equal(y.sum(axis=-1), np.ones(y.shape[:-1]))
        assert set(np.unique(y)) <= {0.0, 1.0}


def test_under_jit(key):
    family = tasks.toy("blobs5")
    got = filter_jit(lambda f, k: f.sample(k, 3, 7, 11))(family, key)
    expected = filter_jit(family.sample)(key, 3, 7, 11)
    np.testing.assert_allclose(got.x, expected.x, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got.query_y, expected.query_y)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_functions_are_one_task(name, key):
    family = tasks.toy(name)
    assert family.draw(key) is family
    x, y = filter_jit(family.test_set)()
    assert x.shape == (2048, 2)
    np.testing.assert_array_equal(y, filter_jit(family.test_set)()[1])


@pytest.mark.parametrize("name", RANDOM)
def test_random_functions_want_to_be_drawn(name, key):
    family = tasks.toy(name)
    for ask in (family.test_set, lambda: family.stream(key, 1, 1), lambda: family.query(key, 1)):
        with pytest.raises(ValueError, match=r"fix one with family.draw"):
            ask()
    task = filter_jit(family.draw)(key)
    assert task.draw(jax.random.key(9)) is task
    np.testing.assert_array_equal(filter_jit(task.test_set)()[0], filter_jit(task.test_set)()[0])
    other = filter_jit(family.draw)(jax.random.key(1))
    assert not all(map(np.array_equal, filter_jit(task.test_set)(), filter_jit(other.test_set)()))


def test_all_parts_of_a_drawn_task_agree(key):
    task = filter_jit(tasks.toy("blobs5").draw)(key)
    episode = filter_jit(task.sample)(jax.random.key(5), 32, 64, query=2048)
    parts = [
        (episode.x, episode.y),
        (episode.query_x, episode.query_y),
        filter_jit(task.test_set)(),
    ]
    flat = [(np.asarray(x).reshape(-1, 2), np.asarray(y).reshape(-1, 5)) for x, y in parts]
    centres = [y.T @ x / y.sum(axis=0)[:, None] for x, y in flat]
    np.testing.assert_allclose(centres[0], centres[1], atol=0.05)
    np.testing.assert_allclose(centres[0], centres[2], atol=0.05)


def test_one_output(key):
    family = tasks.toy("xor", outputs=1)
    episode = filter_jit(family.sample)(key, 4, 8, query=5)
    assert episode.y.shape == (4, 8, 1)
    assert episode.query_y.shape == (5, 1)
    x = np.asarray(episode.x)
    expected = (x[..., 0] > 0) != (x[..., 1] > 0)
    np.testing.assert_array_equal(np.asarray(episode.y)[..., 0], expected)
    two = np.asarray(filter_jit(tasks.toy("xor").sample)(key, 4, 8).y)
    np.testing.assert_array_equal(two[..., 1], expected)


@pytest.mark.parametrize(("name", "outputs"), [("xor", 3), ("xor", 0), ("blobs5", 1)])
def test_impossible_outputs(name, outputs):
    with pytest.raises(ValueError, match=f"outputs must be .* for {name}, .* got {outputs}"):
        tasks.toy(name, outputs=outputs)


def test_draws_under_vmap(key):
    family = tasks.toy("blobs2")
    keys = jax.random.split(key, 3)
    x, _ = jax.jit(jax.vmap(lambda k: family.draw(k).test_set()))(keys)
    np.testing.assert_allclose(
        x[1], filter_jit(family.draw(keys[1]).test_set)()[0], rtol=1e-6, atol=1e-6
    )


def test_keys_decide(key):
    family = tasks.toy("two_moons")
    first, again = (
        filter_jit(family.sample)(key, 2, 3),
        filter_jit(family.sample)(key, 2, 3),
    )
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, filter_jit(family.sample)(jax.random.key(1), 2, 3).x)
    assert not np.array_equal(first.x[0], first.x[1])
