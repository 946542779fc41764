import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax import tasks
from hebbax.tasks._drift import CHOICES, Choices, Epochs
from hebbax.tasks._hyperplanes import _lately

FAMILIES = [
    tasks.drifting("mixtures", 3, 5),
    tasks.drifting("hyperplanes", 4, 2),
    tasks.drifting("permuted_digits"),
    tasks.drifting("rotated_digits"),
]
NAMES = [family.name for family in FAMILIES]


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_an_episode(family, key):
    episode = jax.jit(lambda k: family.sample(k, 6, 8, 5))(key)
    assert episode.x.shape == (6, 8, family.inputs)
    assert episode.query_x.shape == (5, family.inputs)
    assert np.isfinite(episode.x).all()
    np.testing.assert_array_equal(episode.y.sum(axis=-1), 1)
    np.testing.assert_array_equal(episode.query_y.sum(axis=-1), 1)
    assert not np.array_equal(episode.x[0], episode.x[1])


@pytest.mark.parametrize("family", FAMILIES[:2], ids=NAMES[:2])
def test_a_history_is_fixed_by_the_task_and_rows_by_the_key(family, key):
    task = family.draw(key)
    assert task.draw(jax.random.key(7)) is task
    shown = eqx.filter_jit(lambda task: task.test_set()[0])
    np.testing.assert_array_equal(shown(task), shown(family.draw(key)))
    assert not np.array_equal(shown(task), shown(family.draw(jax.random.key(7))))
    with pytest.raises(ValueError, match=r"fix one with family\.draw"):
        family.stream(key, 1, 2)


def kinds(kind, times, interval):
    turns = jnp.asarray(times, float) / interval
    number = jnp.floor(turns).astype(int)
    fraction = jnp.where(kind == 1, turns - jnp.floor(turns), 0.0)
    return Epochs(jnp.asarray(kind), number, fraction)


def test_states_move_or_jump(key):
    @eqx.filter_jit
    def states(kind, times, shape):
        return kinds(kind, times, 100).between(key, shape)

    moving = states(1, [0, 1, 2, 50, 99, 100], (3,))
    assert np.abs(moving[1] - moving[0]).max() < 0.1
    assert np.abs(moving[5] - moving[4]).max() < 0.1
    assert np.abs(moving[5] - moving[0]).max() > 0.3
    jumping = states(2, [0, 99, 100, 199], (3,))
    np.testing.assert_array_equal(jumping[0], jumping[1])
    np.testing.assert_array_equal(jumping[2], jumping[3])
    assert np.abs(jumping[2] - jumping[1]).max() > 0.3
    # A state has deviation 1 on the way to the next, too.
    many = states(1, [50], (10_000,))
    assert 0.97 < many.std() < 1.03


def test_waves(key):
    values = Choices(key).waves(jnp.arange(100_000.0), 3, 100.0, 1000.0)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=0.02)


def test_choices_are_used_once(key):
    choices = Choices(key)
    first = choices.some(CHOICES - 1)
    assert choices.one() not in first
    with pytest.raises(ValueError, match="2048 numbers at most"):
        choices.one()


def test_boundaries_differ_far_apart_in_time(key):
    """What is learnt of a mixture's beginning is of less use the later it is."""
    family = tasks.drifting("mixtures", 2, 4)

    def lost(key):
        task, when = family.draw(key), jnp.asarray([0.0, 32.0, 40_000.0])
        k_history, k_choices = jax.random.split(task.task_key)
        x, y = task.rows(Choices(k_choices), k_history, key, when, 256)

        def nearest(x, y, other_x, other_y):
            distance = ((other_x[:, None] - x[None]) ** 2).sum(axis=2)
            return (y[jnp.argmin(distance, axis=1)] == other_y).mean()

        return nearest(x[0], y[0], x[1], y[1]), nearest(x[0], y[0], x[2], y[2])

    soon, late = jax.jit(jax.vmap(lost))(jax.random.split(key, 32))
    assert soon.mean() > late.mean() + 0.1


def test_heights_are_compared_with_those_of_late():
    height = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5, 2)), jnp.float32)
    usual = jax.jit(_lately)(height, jnp.asarray(7.0)).reshape(-1, 2)
    earlier = np.concatenate([height[:1], height]).reshape(-1, 2)
    for row in (0, 3, 19):
        weight = np.exp(-np.arange(5 + row)[::-1] / 7)
        expected = weight @ earlier[: 5 + row] / weight.sum()
        np.testing.assert_allclose(usual[row], expected, rtol=1e-5)


def test_bad_names_and_sizes():
    with pytest.raises(ValueError, match="drifting family"):
        tasks.drifting("mixture")
    with pytest.raises(ValueError, match="inputs must be at least 2; got 1"):
        tasks.drifting("mixtures", 1, 2)
    with pytest.raises(ValueError, match="64 inputs and 10 outputs"):
        tasks.drifting("rotated_digits", 8, 2)
    with pytest.raises(ValueError, match="change"):
        tasks.drifting_images(tasks.digits(), "mirrored")
    with pytest.raises(ValueError, match="square and grey"):
        tasks.drifting_images(tasks.wine())
