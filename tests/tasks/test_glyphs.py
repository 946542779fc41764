import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax import tasks
from hebbax.tasks import _glyphs


@pytest.fixture(scope="module")
def upright():
    """Return tasks whose images differ by character and face only."""
    return tasks.glyphs(5, 12, rotation=0.0, shift=0.0, zoom=1.0)


@pytest.fixture(scope="module")
def task(upright):
    return upright.draw(jax.random.key(0))


def _labels(y):
    return np.asarray(y).argmax(axis=-1)


def _seen(x, y):
    """Return the different pairs of label and image."""
    images = np.rint(255 * np.asarray(x).reshape(-1, 144)).astype(int)
    return {(int(n), i.tobytes()) for n, i in zip(_labels(y).ravel(), images, strict=True)}


def test_no_digits_and_no_two_alike():
    characters = _glyphs.characters()
    assert len(characters) > 300
    assert not set(characters) & set("0123456789")
    # Latin, Greek and Cyrillic look the same here.
    assert len(set(characters) & {"A", "\u0391", "\u0410"}) == 1
    for expected in "Aaßψж€∂":
        assert expected in characters


def test_images_show_the_characters_of_the_task(upright, task):
    x, y = eqx.filter_jit(task.test_set)()
    assert x.shape == (5 * 4, 144)
    assert float(x.min()) >= 0
    assert 0.5 < float(x.max()) <= 1
    # Upright and in the middle, an image is the middle of the atlas'.
    faces = jnp.tile(task.faces[12:], 5)
    large = np.asarray(upright.pixels[task.characters[_labels(y)], faces], np.float32) / 255
    assert large.shape[1:] == (18, 18)
    np.testing.assert_allclose(x.reshape(20, 12, 12), large[:, 3:15, 3:15], atol=1e-6)


def test_support_and_query_come_from_other_faces(task, key):
    x, y = eqx.filter_jit(task.stream)(key, 20, 50)
    q, r = eqx.filter_jit(task.query)(key, 300)
    shown = eqx.filter_jit(task.test_set)()
    assert x.shape == (20, 50, 144)
    assert q.shape == (300, 144)
    support, query, shown = (_seen(*batch) for batch in ((x, y), (q, r), shown))
    assert 50 < len(support) <= 5 * 12
    assert query == shown
    assert len(query) == 5 * 4
    # What two faces draw alike may be in both.
    assert len(query - support) > 5


def test_rotation_and_shift_are_targets(key):
    family = tasks.glyphs(4, 16, rotation=180.0, shift=4.0, zoom=1.0, pose=True)
    x, y = eqx.filter_jit(lambda family: family.draw(key).query(key, 400))(family)
    labels, (sine, cosine, right, down) = np.asarray(y[:, :4]), np.asarray(y[:, 4:]).T
    np.testing.assert_array_equal(labels.sum(axis=1), 1)
    np.testing.assert_allclose(sine**2 + cosine**2, 1, rtol=1e-5)
    assert min(np.ptp(sine), np.ptp(cosine), np.ptp(right), np.ptp(down)) > 1.8
    # Where the ink is tells the shift.
    images = np.asarray(x).reshape(-1, 16, 16)
    place = np.arange(16) - 7.5
    ink = images.sum(axis=(1, 2))
    for axis, shift in ((1, right), (2, down)):
        centre = (images.sum(axis=axis) * place).sum(axis=1) / np.maximum(ink, 1e-3)
        assert np.corrcoef(centre, shift)[0, 1] > 0.8


def test_rotation_by_a_quarter_turns_the_image(task):
    one, nothing = jnp.ones(1), jnp.zeros(1)
    label, face = jnp.zeros(1, int), jnp.zeros(1, int)
    rows = eqx.filter_jit(task._rows)
    plain, _ = rows(label, face, nothing, one, nothing, nothing)
    turned, _ = rows(label, face, one * jnp.pi / 2, one, nothing, nothing)
    plain, turned = (np.asarray(a).reshape(12, 12) for a in (plain, turned))
    np.testing.assert_allclose(turned, np.rot90(plain, -1), atol=1e-3)


def test_tasks_differ_and_are_decided_by_the_key(upright):
    keys = jax.random.split(jax.random.key(1), 6)
    draws = jax.jit(jax.vmap(lambda k: upright.draw(k).characters))(keys)
    assert draws.shape == (6, 5)
    assert all(len(set(task)) == 5 for task in np.asarray(draws).tolist())
    assert len({tuple(task) for task in np.asarray(draws).tolist()}) == 6
    sample = eqx.filter_jit(upright.sample)
    once, again = (sample(jax.random.key(2), 2, 3, 4) for _ in range(2))
    np.testing.assert_array_equal(once.x, again.x)
    with pytest.raises(ValueError, match="fix one with family"):
        upright.stream(jax.random.key(0), 1, 1)
    fixed = upright.draw(jax.random.key(3))
    assert fixed.draw(jax.random.key(4)) is fixed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ways": 1}, r"ways must be a whole number in \[2, \d+\]; got 1"),
        ({"size": 2}, r"size must be a whole number in \[4, 64\]; got 2"),
        ({"rotation": 200.0}, r"rotation must be a finite number in \[0, 180\]; got 200.0"),
        ({"shift": 8.0}, r"shift must be a finite number in \[0, 7\]; got 8.0"),
        ({"zoom": 0.5}, r"zoom must be a finite number in \[1, 4\]; got 0.5"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        tasks.glyphs(**settings)
