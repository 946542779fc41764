import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import Bowl

import hebbax as hx
from hebbax._optax import updates
from hebbax.outer.methods import Gradient

THETA = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(3.0)}
KEY = jax.random.key(0)


def quadratic(theta, key):
    loss = jnp.sum(theta["a"] ** 2) + 10 * (theta["b"] - 1) ** 2
    return loss, {"a0": theta["a"][0]}


def run(method, loss, steps, theta=THETA):
    problem = Bowl(loss)
    state = method.init(problem, theta, KEY)
    for _ in range(steps):
        theta, state, metrics = method.step(problem, theta, state, KEY)
    return theta, state, metrics


def by_hand(optimizer, steps, clip=None):
    theta, state = THETA, optimizer.init(THETA)
    for _ in range(steps):
        gradient = {"a": 2 * theta["a"], "b": 20 * (theta["b"] - 1)}
        if clip is not None:
            norm = jnp.sqrt(jnp.sum(gradient["a"] ** 2) + gradient["b"] ** 2)
            gradient = jax.tree.map(lambda g, n=norm: g * min(1, clip / float(n)), gradient)
        change, state = updates(optimizer, gradient, state, theta)
        theta = optax.apply_updates(theta, change)
    return theta


def close(a, b):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-6), a, b)


def same(a, b):
    jax.tree.map(lambda p, q: np.testing.assert_array_equal(p, q), a, b)


@pytest.mark.parametrize("optimizer", [optax.adam(0.1), optax.sgd(0.01), optax.adamw(0.1)])
def test_equals_optax_by_hand(optimizer):
    theta, state, metrics = run(Gradient(optimizer), quadratic, 3)
    close(theta, by_hand(optimizer, 3))
    assert float(metrics["nonfinite"]) == 0
    assert int(state.step) == 3


@pytest.mark.parametrize("clip", [1.0, 41.0, 1e6])
def test_clipping_bounds_the_global_norm(clip):
    optimizer = optax.sgd(0.01)
    theta, _, metrics = run(Gradient(optimizer, clip=clip), quadratic, 1)
    close(theta, by_hand(optimizer, 1, clip))
    moved = jnp.concatenate([jnp.ravel(theta[n] - THETA[n]) for n in THETA])
    norm = np.sqrt(2.0**2 + 4.0**2 + 40.0**2)
    assert float(np.linalg.norm(moved)) == pytest.approx(0.01 * min(clip, norm), rel=1e-4)
    assert float(metrics["gradient_norm"]) == pytest.approx(norm, rel=1e-6)  # before clipping
    assert float(metrics["clipped"]) == (clip < norm)


@pytest.mark.parametrize("size", [1e20, 1e30])
def test_a_finite_gradient_is_clipped_however_large(size):
    def steep(theta, key):
        return size * (3 * jnp.sum(theta["a"]) + 4 * theta["b"]), {}

    theta, _, metrics = run(Gradient(optax.sgd(0.1), clip=1.0), steep, 1)
    norm = np.sqrt(2 * 3**2 + 4**2)
    assert float(metrics["gradient_norm"]) == pytest.approx(size * norm, rel=1e-6)
    assert float(metrics["nonfinite"]) == 0
    np.testing.assert_allclose(theta["b"], 3.0 - 0.1 * 4 / norm, rtol=1e-6)


def test_the_average_is_that_of_the_thetas_gone_through():
    """Weights fall by `average` from step to step and sum to one; θ itself goes on as without."""
    optimizer, average = optax.adam(0.1), 0.7
    method = Gradient(optimizer, clip=1.0, average=average)
    close(method.solution(THETA, method.start(THETA)), THETA)
    theta, state, _ = run(method, quadratic, 4)
    close(theta, by_hand(optimizer, 4, clip=1.0))
    weights = average ** np.arange(3, -1, -1)
    gone_through = [by_hand(optimizer, n, clip=1.0) for n in (1, 2, 3, 4)]
    expected = jax.tree.map(
        lambda *t: sum(w * a for w, a in zip(weights / weights.sum(), t, strict=True)),
        *gone_through,
    )
    close(method.solution(theta, state.optimizer), expected)


def test_without_an_average_theta_itself_is_found():
    method = Gradient(optax.adam(0.1))
    theta, state, _ = run(method, quadratic, 2)
    assert method.solution(theta, state.optimizer) is theta


def test_metrics():
    _, _, metrics = run(Gradient(optax.sgd(0.0)), quadratic, 1)
    assert float(metrics["loss"]) == 45
    assert float(metrics["a0"]) == 1


def nan_loss(theta, key):
    return quadratic(theta, key)[0] + jnp.nan, {}


def infinite_loss(theta, key):
    return quadratic(theta, key)[0] * jnp.inf, {}


def nan_gradient(theta, key):
    # The root's derivative at 0 is infinite, and 0 times that is NaN; the value is fine.
    return quadratic(theta, key)[0] + jnp.sqrt(0 * theta["b"]), {}


@pytest.mark.parametrize("loss", [nan_loss, infinite_loss, nan_gradient])
@pytest.mark.parametrize(("clip", "average"), [(None, None), (1.0, None), (1.0, 0.9)])
def test_what_is_not_finite_changes_nothing_and_is_counted(loss, clip, average):
    method = Gradient(optax.adam(0.1), clip=clip, average=average)
    theta, state, _ = run(method, quadratic, 2)
    after, state_after, metrics = method.step(Bowl(loss), theta, state, KEY)
    same(after, theta)
    same(state_after.optimizer, state.optimizer)
    assert float(metrics["nonfinite"]) == 1
    after, state_after, metrics = method.step(Bowl(quadratic), after, state_after, KEY)
    assert float(metrics["nonfinite"]) == 0
    assert float(after["b"]) < float(theta["b"])


def test_fingerprint_is_that_of_what_is_computed():
    made = {
        name: Gradient(make(), clip).fingerprint(jnp.ones(()))
        for name, (make, clip) in {
            "adam": (lambda: optax.adam(1e-3), None),
            "faster": (lambda: optax.adam(1e-2), None),
            "clipped": (lambda: optax.adam(1e-3), 1.0),
            "clipped higher": (lambda: optax.adam(1e-3), 2.0),
            "sgd": (lambda: optax.sgd(1e-3), None),
            "array": (lambda: optax.sgd(jnp.float32(1e-2)), None),
            "other array": (lambda: optax.sgd(jnp.float32(1e-1)), None),
            "schedule": (lambda: optax.sgd(optax.cosine_decay_schedule(1e-3, 10)), None),
            "longer": (lambda: optax.sgd(optax.cosine_decay_schedule(1e-3, 20)), None),
            "table": (lambda: optax.sgd(lambda n: jnp.array([1.0, 2.0])[n % 2]), None),
            "other table": (lambda: optax.sgd(lambda n: jnp.array([1.0, 3.0])[n % 2]), None),
        }.items()
    }
    assert len(set(made.values())) == len(made)
    assert Gradient(optax.adam(1e-3)).fingerprint(jnp.ones(())) == made["adam"]
    again = Gradient(optax.sgd(optax.cosine_decay_schedule(1e-3, 10)))
    assert again.fingerprint(jnp.ones(())) == made["schedule"]


def test_fingerprint_is_of_the_theta_that_is_found():
    """What an optimiser does may depend on the leaves: which are masked, and which are labelled."""
    theta = {"matrix": jnp.ones((2, 2)), "number": jnp.ones(())}

    def decayed(rate):
        big = lambda theta: jax.tree.map(lambda a: a.ndim > 1, theta)  # noqa: E731
        return Gradient(optax.adamw(1e-2, weight_decay=rate, mask=big)).fingerprint(theta)

    assert decayed(0.1) == decayed(0.1) != decayed(50.0)

    def labelled(rate):
        each = {"a": optax.adam(1e-2), "b": optax.sgd(rate)}
        optimizer = optax.multi_transform(each, {"matrix": "a", "number": "b"})
        return Gradient(optimizer).fingerprint(theta)

    assert labelled(0.1) == labelled(0.1) != labelled(0.2)


def test_bad_settings(unchecked):
    with pytest.raises(ValueError, match=r"optimizer must be an optax\.GradientTransformation"):
        Gradient(1e-3)
    for clip in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="clip must be None or a finite number above 0"):
            Gradient(optax.adam(1e-3), clip=clip)


@pytest.mark.parametrize(
    ("make", "wants"),
    [
        (lambda rate: optax.lbfgs(rate), "'value', 'grad', and 'value_fn'"),
        (lambda rate: optax.chain(optax.adam(rate), optax.contrib.reduce_on_plateau()), "'value'"),
    ],
)
def test_optimisers_that_want_more_than_gradients_are_refused(make, wants):
    for refused in (lambda: Gradient(make(0.1)), lambda: hx.Backprop(make)):
        with pytest.raises(
            ValueError, match=f"must follow gradients alone; this one wants {wants}"
        ):
            refused()
    Gradient(optax.masked(optax.adam(0.1), {"a": True}))
