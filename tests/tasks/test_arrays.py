import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equinox import filter_jit

from hebbax import tasks


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    x = np.arange(60.0)[:, None] + np.array([0.0, 100.0])[None, :]
    return x, rng.permutation(np.repeat([0, 1, 2], 20)), x[:9] + 0.5, np.repeat([0, 1, 2], 3)


@pytest.fixture
def family(arrays):
    return tasks.from_arrays(*arrays, standardize=False)


def test_sizes(family):
    assert (family.name, family.inputs, family.outputs) == ("arrays", 2, 3)
    x, y = family.test_set()
    assert x.shape == (9, 2)
    assert y.shape == (9, 3)


def test_rows_keep_their_labels(arrays, family, key):
    label_of = dict(zip(arrays[0][:, 0].tolist(), arrays[1].tolist(), strict=True))
    episode = filter_jit(family.sample)(key, steps=5, batch=8, query=30)
    for x, y in ((episode.x, episode.y), (episode.query_x, episode.query_y)):
        labels = np.argmax(np.asarray(y).reshape(-1, 3), axis=1)
        rows = np.asarray(x).reshape(-1, 2)
        assert [label_of[v] for v in rows[:, 0].tolist()] == labels.tolist()


def test_query_and_support_are_disjoint_and_cover_the_training_part(arrays, family, key):
    episode = filter_jit(family.sample)(key, steps=50, batch=40, query=2000)
    support = set(np.asarray(episode.x)[..., 0].ravel().tolist())
    query = set(np.asarray(episode.query_x)[:, 0].tolist())
    assert not support & query
    assert support | query == set(arrays[0][:, 0].tolist())
    assert len(query) == 9  # three of the twenty rows of every class
    held = set(np.asarray(family.test_set()[0])[:, 0].tolist())
    assert not held & (support | query)


def test_every_class_is_on_both_sides(key):
    family = tasks.wine()
    episode = filter_jit(family.sample)(key, 10, 50, query=500)
    assert (episode.y.sum(axis=(0, 1)) > 0).all()
    assert (episode.query_y.sum(axis=0) > 0).all()


def test_standardized_columns(arrays):
    family = tasks.from_arrays(*arrays)
    np.testing.assert_allclose(family.train_x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(family.train_x.std(axis=0), 1, rtol=1e-5)


def test_draw_is_the_family_itself(family, key):
    assert family.draw(key) is family


def test_no_query(family, key):
    episode = filter_jit(family.sample)(key, 2, 3)
    assert episode.query_x.shape == (0, 2)
    assert episode.query_y.shape == (0, 3)


def test_no_rows_left_for_queries(key):
    family = tasks.from_arrays(np.eye(2), [0, 1], np.eye(2), [0, 1])
    assert filter_jit(family.sample)(key, 1, 4).x.shape == (1, 4, 2)
    with pytest.raises(ValueError, match="no class with two training rows"):
        family.sample(key, 1, 4, query=3)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 3, 0), "steps must be a whole number of at least 1; got 0"),
        ((1, -2, 0), "batch must be .* got -2"),
        ((1, 1, -1), "query must be a whole number of at least 0; got -1"),
    ],
)
def test_impossible_counts(family, key, sizes, message):
    with pytest.raises(ValueError, match=message):
        family.sample(key, *sizes)


X, Y = np.eye(4), np.array([0, 1, 0, 1])
NAN = np.where(np.arange(4)[:, None] == 2, np.nan, X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[0], Y, X, Y), r"x must have two axes \[n, in\]; got the shape \(4,\)"),
        ((X, Y, X[None], Y), r"test_x must have two axes .* \(1, 4, 4\)"),
        ((X[:0], Y[:0], X, Y), r"x must not be empty; got the shape \(0, 4\)"),
        ((X, Y, X[:, :0], Y), "test_x must not be empty"),
        ((X, Y[:3], X, Y), "y must have a label for each row of x; got 4 rows and 3"),
        ((X, Y, X, Y[:2]), "test_y must have a label for each row of test_x; got 4 rows and 2"),
        ((X, Y, X[:, :2], Y), "test_x must have the columns of x, 4; got 2"),
        ((NAN, Y, X, Y), "x must be finite as float32; got nan in row 2, column 0"),
        ((X, Y, X + np.inf, Y), "test_x must be finite"),
        ((X * 1e300, Y, X, Y), "x must be finite as float32; got inf in row 0, column 0"),
        ((X.astype(str), Y, X, Y), "x must hold real numbers"),
        ((X + 1j, Y, X, Y), "x must hold real numbers; got complex128"),
        ((X, Y / 2, X, Y), "y must hold whole numbers; got float64"),
        ((X, Y[:, None], X, Y), r"y must have one axis \[n\]; got the shape \(4, 1\)"),
        ((X, Y - 1, X, Y), "y must count classes from 0; got -1 in row 0"),
        ((X, Y * 3, X, Y), "every class from 0 to 3, its largest label; got none of 1, 2"),
        ((X, Y * 0, X, Y), "y must hold at least two classes; got class 0 only"),
        ((X, Y, X, Y * 2), "test_y must hold classes of y, up to 1; got the label 2"),
        ((X, Y * 2**40, X, Y), "must hold class numbers below"),
        ((X, Y, X, Y[:0]), "test_y must not be empty"),
        ((X, Y + 0.9, X, Y), "y must hold whole numbers"),
        ((X, Y + 2**32 + 7, X, Y), "must hold class numbers below"),
        ((np.ma.masked_equal(X, 1), Y, X, Y), "x must have a value everywhere"),
        (([*np.ma.masked_equal(X, 1)], Y, X, Y), "x must have a value everywhere"),
        ((X, Y, X, np.ma.masked_equal(Y, 1)), "test_y must have a value everywhere"),
        ((X * 1e-30, Y, X * 1e10, Y), "test_x must be finite as float32"),
    ],
)
def test_bad_arrays(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        tasks.from_arrays(*arguments)
    assert "\n" not in str(error.value)


def test_a_column_of_seconds_since_1970_is_not_constant():
    x = np.random.default_rng(0).normal(size=(50, 2)) * [1.0, 20.0] + [0.0, 1.7e9]
    family = tasks.from_arrays(x, np.arange(50) % 2, x, np.arange(50) % 2)
    expected = (x - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(family.test_x, expected, rtol=1e-5, atol=1e-6)


def test_a_constant_column_becomes_zero_in_double_precision_too():
    x = np.stack([np.arange(9.0), np.full(9, 0.1) * 3], axis=1)
    assert not np.any(tasks.from_arrays(x, np.arange(9) % 2, x, np.arange(9) % 2).train_x[:, 1])


def test_an_array_that_could_have_been_masked_will_do():
    masked = np.ma.array(X)
    np.testing.assert_array_equal(
        tasks.from_arrays(masked, Y, X, Y).train_x, tasks.from_arrays(X, Y, X, Y).train_x
    )


def test_lists_and_jax_arrays_will_do():
    family = tasks.from_arrays(jnp.eye(4), Y.tolist(), X.tolist(), jnp.asarray(Y), name="mine")
    assert family.name == "mine"
    assert family.train_x.dtype == jnp.float32


def test_under_jit_and_vmap(family):

    keys = jax.random.split(jax.random.key(4), 3)

    @eqx.filter_jit
    def many(family, keys):
        return jax.vmap(lambda key: family.sample(key, 2, 5, query=4))(keys)

    episodes = many(family, keys)
    one = filter_jit(family.sample)(keys[1], 2, 5, query=4)
    np.testing.assert_array_equal(episodes.x[1], one.x)
    np.testing.assert_array_equal(episodes.query_y[1], one.query_y)
    assert not np.array_equal(episodes.x[0], episodes.x[1])
