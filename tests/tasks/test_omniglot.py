import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_files as files
from equinox import filter_jit

import hebbax.data
from hebbax import tasks


@pytest.fixture
def family():
    """Six characters whose only 'pixels' are the numbers of character and drawer."""
    character, drawer = np.meshgrid(np.arange(6.0), np.arange(20.0), indexing="ij")
    pixels = jnp.asarray(np.stack([character, drawer], axis=-1), jnp.float32)
    return tasks.OmniglotFamily(pixels=pixels, name="omniglot", inputs=2, outputs=4)


def test_a_task_is_one_mapping_of_characters(family, key):
    task = filter_jit(family.draw)(key)
    x, y = map(np.asarray, filter_jit(task.test_set)())
    assert x.shape == (4 * 5, 2)
    np.testing.assert_array_equal(np.argmax(y, axis=1), np.repeat(np.arange(4), 5))
    mapping = {int(c): int(v) for c, v in zip(x[:, 0], np.argmax(y, axis=1), strict=True)}
    assert len(mapping) == 4
    episode = filter_jit(task.sample)(jax.random.key(3), 20, 30, query=50)
    for inputs, targets in (
        (np.asarray(episode.x).reshape(-1, 2), np.asarray(episode.y).reshape(-1, 4)),
        (np.asarray(episode.query_x), np.asarray(episode.query_y)),
    ):
        for character, label in zip(inputs[:, 0], np.argmax(targets, axis=1), strict=True):
            assert mapping[int(character)] == int(label)


def test_drawers_are_kept_apart(family, key):
    task = filter_jit(family.draw)(key)
    episode = filter_jit(task.sample)(jax.random.key(3), 40, 40, query=400)
    support = set(np.asarray(episode.x)[..., 1].ravel().tolist())
    query = set(np.asarray(episode.query_x)[:, 1].tolist())
    test = set(np.asarray(filter_jit(task.test_set)()[0])[:, 1].tolist())
    assert len(support) == 15
    assert query == test
    assert not support & query


def test_tasks_differ(family, key):
    first, second = filter_jit(family.draw)(key), filter_jit(family.draw)(jax.random.key(1))
    assert not np.array_equal(filter_jit(first.test_set)()[0], filter_jit(second.test_set)()[0])
    assert first.draw(jax.random.key(8)) is first
    with pytest.raises(ValueError, match=r"fix one with family.draw"):
        family.test_set()


def test_under_vmap(family, key):
    keys = jax.random.split(key, 3)
    episodes = jax.jit(jax.vmap(lambda k: family.sample(k, 2, 3, 4)))(keys)
    np.testing.assert_array_equal(episodes.x[2], filter_jit(family.sample)(keys[2], 2, 3, 4).x)


@pytest.fixture
def on_disk(tmp_path, monkeypatch):
    ink = np.random.default_rng(0).random((3, 20, 105, 105)) < 0.1
    (tmp_path / "omniglot").mkdir()
    np.savez(
        tmp_path / "omniglot" / "omniglot_105_bits.npz",
        **files.omniglot_arrays("background", ink),
        **files.omniglot_arrays("evaluation", ink[:2]),
    )
    monkeypatch.setenv("HEBBAX_DATA", str(tmp_path))
    return ink


def test_constructor(on_disk):
    family = tasks.omniglot(ways=3, size=15, standardize=False)
    assert (family.inputs, family.outputs) == (225, 3)
    blocks = on_disk.reshape(3, 20, 15, 7, 15, 7).mean(axis=(3, 5)).reshape(3, 20, 225)
    np.testing.assert_allclose(family.pixels, blocks, rtol=1e-4, atol=1e-6)
    assert tasks.omniglot(ways=2, size=15, split="evaluation").pixels.shape == (2, 20, 225)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ways": 1}, r"ways must be a whole number in \[2, 3\]; got 1"),
        ({"ways": 4}, "ways must be .* got 4"),
        ({"ways": 3, "split": "evaluation"}, r"ways must be a whole number in \[2, 2\]; got 3"),
        ({"split": "test"}, "split must be one of background, evaluation; got 'test'"),
        ({"size": 106}, r"size must be a whole number in \[1, 105\]; got 106"),
    ],
)
def test_bad_options(on_disk, arguments, message):
    with pytest.raises(ValueError, match=message):
        tasks.omniglot(**({"ways": 2, "size": 7} | arguments))


@pytest.mark.data
@pytest.mark.slow
def test_real_omniglot(key):
    if {row.name: row.found for row in hebbax.data.available()}["omniglot"] is None:
        pytest.skip("no Omniglot here")
    family = tasks.omniglot(ways=10, size=14, split="evaluation")
    task = filter_jit(family.draw)(key)
    support = task.pixels[task.characters][:, task.drawers[:15]].mean(axis=1)
    x, y = filter_jit(task.test_set)()
    guess = np.argmax(x @ support.T - 0.5 * (support**2).sum(axis=1)[None, :], axis=1)
    assert (guess == np.argmax(y, axis=1)).mean() > 0.3
