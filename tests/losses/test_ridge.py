"""The few-shot ridge regression: recorded numbers, scikit-learn, what must hold, bad input."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from hebbax.losses._ridge import few_shot_ridge, normalize_targets, ridge_fit

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("HEBBAX_REFERENCE", ROOT / "../shared/reference"))
FILES = sorted((REFERENCE / "unsupervised").glob("*.npz")) if REFERENCE.is_dir() else []
TOLERANCE = {"float32": 1e-5, "float64": 1e-9}

judge = jax.jit(few_shot_ridge, static_argnames=("classes", "penalty", "weight_penalty"))


def case(n_a=12, n_b=10, units=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)

    def batch(n):
        labels = np.arange(n) % classes
        features = rng.normal(size=(n, units)) + 0.8 * labels[:, None]
        return jnp.asarray(features, float), jax.nn.one_hot(labels, classes)

    return (*batch(n_a), *batch(n_b))


@pytest.mark.reference
def test_every_file_is_found():
    assert FILES, f"no .npz in {REFERENCE / 'unsupervised'}"


@pytest.mark.reference
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_recorded_numbers(file, dtype):
    recorded, tolerance = np.load(file), TOLERANCE[dtype]
    penalty = float(recorded["ridge_factor"])

    def close(found, name):
        expected = recorded[name]
        bound = tolerance * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=bound, rtol=0, err_msg=name)

    steps = sorted({name.split("/")[1] for name in recorded.files if name.startswith("meta/step")})
    assert steps
    with jax.enable_x64(dtype == "float64"):
        for step in steps:
            names = ("feat_a", "y_a", "feat_b", "y_b")
            data = [jnp.asarray(recorded[f"meta/{step}/{name}"], dtype) for name in names]
            loss, metrics = judge(*data, penalty=penalty, weight_penalty=penalty)
            close(normalize_targets(data[1]), f"meta/{step}/target_a")
            close(normalize_targets(data[3]), f"meta/{step}/target_b")
            weights, intercept = ridge_fit(data[0], normalize_targets(data[1]), penalty)
            close(jnp.concatenate([weights, intercept]), f"meta/{step}/ridge_coef")
            close(data[2] @ weights + intercept, f"meta/{step}/pred_b")
            for term in ("test_term", "train_term", "ridge_term"):
                close(metrics[term], f"meta/{step}/{term}")
            close(loss, f"meta/{step}/value")
            assert loss.dtype == dtype
            prediction = recorded[f"meta/{step}/pred_b_normed"]
            label = recorded[f"meta/{step}/y_b"].argmax(axis=1)
            share = np.mean(prediction.argmax(axis=1) == label)
            assert float(metrics["accuracy"]) == pytest.approx(share)
            cosine = np.mean(np.sum(prediction * recorded[f"meta/{step}/target_b"], axis=1))
            assert float(metrics["cosine"]) == pytest.approx(cosine, abs=1e-5)


@pytest.mark.parametrize(("n", "units"), [(12, 5), (6, 20)], ids=["primal", "dual"])
def test_equals_scikit_learn(n, units):
    features, y, *_ = case(n_a=n, units=units)
    weights, intercept = ridge_fit(features, y, 0.7)
    expected = Ridge(alpha=0.7).fit(np.asarray(features, float), np.asarray(y, float))
    np.testing.assert_allclose(weights.T, expected.coef_, atol=1e-5)
    np.testing.assert_allclose(intercept[0], expected.intercept_, atol=1e-5)


def test_targets():
    y = jax.nn.one_hot(jnp.asarray([0, 0, 0, 1, 2]), 4)
    target = normalize_targets(y)
    np.testing.assert_allclose(jnp.sum(target**2, axis=1), 1, rtol=1e-6)
    assert abs(float(jnp.mean(target))) < 1e-7
    np.testing.assert_allclose(normalize_targets(3 * y - 7), target, atol=1e-6)


def test_loss_is_two_minus_two_cosines():
    loss, metrics = judge(*case(), weight_penalty=0.0)
    assert float(loss) == pytest.approx(2 * (1 - float(metrics["cosine"])), rel=1e-5)
    assert float(loss) == float(metrics["test_term"])
    full, same = judge(*case())
    assert float(full - loss) == pytest.approx(float(same["ridge_term"]), rel=1e-5)
    assert float(same["ridge_term"]) > 0


def test_range_of_the_loss():
    """Nothing is better than 0, worse than 4, and features of no use get 2 on average."""
    perfect, y = jax.nn.one_hot(jnp.arange(12) % 3, 3), jax.nn.one_hot(jnp.arange(12) % 3, 3)
    loss, metrics = judge(perfect, y, perfect, y, weight_penalty=0.0)
    assert 0 <= float(loss) < 1e-3
    assert float(metrics["accuracy"]) == 1
    # With two classes, the opposite of the truth.
    two = jax.nn.one_hot(jnp.arange(12) % 2, 2)
    worst, metrics = judge(two, two, two[:, ::-1], two, weight_penalty=0.0)
    assert 4 - 1e-3 < float(worst) <= 4 + 1e-6
    assert float(metrics["accuracy"]) == 0

    def random(key):
        a, b = jax.random.normal(key, (2, 60, 4))
        labels = jax.nn.one_hot(jnp.arange(60) % 3, 3)
        return few_shot_ridge(a, labels, b, labels, weight_penalty=0.0)[0]

    losses = jax.jit(jax.vmap(random))(jax.random.split(jax.random.key(0), 200))
    assert float(losses.min()) > 0
    assert float(losses.max()) < 4
    assert float(losses.mean()) == pytest.approx(2, abs=0.05)


def test_accuracy_is_about_the_first_columns():
    """Further columns are regressed but cannot be the answer."""
    features_a, y_a, features_b, y_b = case()
    extra_a, extra_b = 9 * features_a[:, :2], 9 * features_b[:, :2]
    wide_a, wide_b = jnp.concatenate([y_a, extra_a], 1), jnp.concatenate([y_b, extra_b], 1)
    _, all_columns = judge(features_a, wide_a, features_b, wide_b)
    _, labels = judge(features_a, wide_a, features_b, wide_b, classes=3)
    weights, intercept = ridge_fit(features_a, normalize_targets(wide_a))
    guess = np.argmax((features_b @ weights + intercept)[:, :3], axis=1)
    assert float(labels["accuracy"]) == pytest.approx(np.mean(guess == np.arange(10) % 3))
    assert float(labels["accuracy"]) != float(all_columns["accuracy"])


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_one_column_is_correct_where_it_is_nearer_to_its_label(share):
    rng = np.random.default_rng(0)
    y = (rng.random((300, 1)) < share).astype(np.float32)
    x = rng.normal(size=(300, 4)).astype(np.float32) + 0.7 * y
    fit = Ridge(alpha=1e-6).fit(x[:150], y[:150, 0])
    expected = np.mean((fit.predict(x[150:]) > 0.5) == y[150:, 0])
    _, metrics = judge(*map(jnp.asarray, (x[:150], y[:150], x[150:], y[150:])), penalty=1e-6)
    assert float(metrics["accuracy"]) == pytest.approx(expected)
    assert 0.6 < expected < 0.95


def test_one_column_of_noise_is_correct_by_chance_only():
    x, y = np.random.default_rng(1).normal(size=(2, 400, 1)).astype(np.float32)
    y = (y > 0).astype(np.float32)
    _, metrics = judge(*map(jnp.asarray, (x[:200], y[:200], x[200:], y[200:])))
    assert 0.35 < float(metrics["accuracy"]) < 0.65


def test_shifting_features_changes_nothing():
    """The intercept is not penalised, so it takes up any shift of the features."""
    features_a, y_a, features_b, y_b = case()
    loss, _ = judge(features_a, y_a, features_b, y_b)
    shifted, _ = judge(features_a + 5, y_a, features_b + 5, y_b)
    assert float(shifted) == pytest.approx(float(loss), rel=1e-4)


def test_gradient_is_finite_and_right():
    features_a, y_a, features_b, y_b = case()

    def loss(features_a, features_b):
        return few_shot_ridge(features_a, y_a, features_b, y_b)[0]

    jax.test_util.check_grads(jax.jit(loss), (features_a, features_b), 1, ["rev"], atol=2e-2)
    dead = jnp.zeros_like(features_a), jnp.zeros_like(features_b)
    gradient = jax.jit(jax.grad(loss, (0, 1)))(*dead)
    assert all(np.all(np.isfinite(g)) for g in gradient)


def test_bad_input(unchecked):
    features_a, y_a, features_b, y_b = case()
    with pytest.raises(ValueError, match=r"penalty must be positive; got 0\."):
        few_shot_ridge(features_a, y_a, features_b, y_b, penalty=0)
    with pytest.raises(ValueError, match=r"features_a .* as many rows.*\[12, 5\] and \[11, 3\]"):
        few_shot_ridge(features_a, y_a[1:], features_b, y_b)
    with pytest.raises(ValueError, match=r"features_b .* as many rows"):
        few_shot_ridge(features_a, y_a, features_b[0], y_b)
    with pytest.raises(ValueError, match="as many features and as many targets"):
        few_shot_ridge(features_a, y_a, features_b[:, 1:], y_b)
    with pytest.raises(ValueError, match="as many features and as many targets"):
        few_shot_ridge(features_a, y_a, features_b, y_b[:, 1:])
    for classes in (1, 4):
        with pytest.raises(ValueError, match="classes must be None or between 2 and the 3"):
            few_shot_ridge(features_a, y_a, features_b, y_b, classes=classes)
