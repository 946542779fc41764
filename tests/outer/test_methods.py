"""What all methods share, and how their estimates of the meta-gradient relate."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import Bowl, Chain, close, same

from hebbax.outer.methods import (
    EvolutionStrategy,
    Gradient,
    PersistentES,
    TruncatedGradient,
    Truncation,
)
from hebbax.outer.methods._evolution import _centred_ranks

THETA = jnp.array([0.1, -0.3])
STILL = optax.sgd(0.0)
KEY = jax.random.key(0)


def estimates(method, problem, steps, seeds, theta=THETA):
    """Return estimates `[seeds, steps, n]` of the gradient at a θ that does not move."""

    def one(key):
        k_begin, k_steps = jax.random.split(key)

        def body(carried, inputs):
            key, step = inputs
            estimate, carried = method.estimate(problem, theta, carried, key, step)
            return carried, estimate.gradient

        start = method.begin(problem, theta, k_begin)
        return jax.lax.scan(body, start, (jax.random.split(k_steps, steps), jnp.arange(steps)))[1]

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, seeds)))


def exact(problem, theta=THETA):
    """Return the expected gradient: noise does not bias that of a quadratic."""
    silent = Chain(problem.lifetime, problem.decay, noise=0.0)
    return np.asarray(jax.jit(jax.grad(lambda t: silent.loss(t, KEY)[0]))(theta))


def assert_mean(samples, expected, precision=0.05):
    """Hold the mean of independent samples to be as expected, within four standard errors.

    The standard errors must be small enough for that to mean something.
    """
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert np.all(error < precision * np.linalg.norm(expected))
    assert np.all(np.abs(samples.mean(axis=0) - expected) < 4 * error + 1e-6)


def test_evolution_strategy_agrees_with_the_gradient():
    problem = Chain()
    method = EvolutionStrategy(STILL, pairs=8, std=0.1)
    assert_mean(estimates(method, problem, 1, 4000)[:, 0], exact(problem))


@pytest.mark.parametrize("truncation", [1, 2, 3, 6])
def test_persistent_es_agrees_with_the_gradient(truncation):
    """Averaged over a lifetime, whatever the truncations are."""
    problem, lifetime = Chain(), 6 // truncation
    method = PersistentES(STILL, truncation=truncation, pairs=4, std=0.1)
    # Staggered at first: after two lifetimes every pair has gone through whole ones.
    samples = estimates(method, problem, 4 * lifetime, 4000)[:, 2 * lifetime :].mean(axis=1)
    assert_mean(samples, exact(problem))


def test_persistent_es_staggers_its_pairs():
    """Pairs of one step are at all points of their lifetimes, so each step's mean is unbiased."""
    problem = Chain()
    method = PersistentES(STILL, truncation=2, pairs=3, std=0.1)
    samples = estimates(method, problem, 7, 8000)[:, -1]
    assert_mean(samples, exact(problem), precision=0.1)


def test_truncation_biases_the_gradient():
    """What the last test could have missed: a short truncation does not see the whole effect."""
    problem = Chain()
    samples = estimates(TruncatedGradient(STILL, truncation=1), problem, 24, 500)[:, 12:]
    assert np.linalg.norm(samples.mean(axis=(0, 1))) < 0.6 * np.linalg.norm(exact(problem))


def test_truncation_as_long_as_the_lifetime_is_the_full_gradient():
    problem = Chain()
    full = Gradient(optax.adam(0.1), clip=1.0)
    cut = TruncatedGradient(optax.adam(0.1), clip=1.0, truncation=6)
    theta, other = THETA, THETA
    state, other_state = full.init(problem, theta, KEY), cut.init(problem, other, KEY)
    for step in range(4):
        key = jax.random.fold_in(KEY, step)
        theta, state, metrics = full.step(problem, theta, state, key)
        other, other_state, other_metrics = cut.step(problem, other, other_state, key)
        close(theta, other, rtol=1e-6)
        close(metrics, other_metrics, rtol=1e-5, atol=1e-7)
    assert float(np.max(np.abs(theta - THETA))) > 0.1


def test_particles_end_apart_and_go_on_where_they_were():
    problem = Chain()
    method = TruncatedGradient(STILL, truncation=2, particles=3)
    lives = method.begin(problem, THETA, KEY)
    estimate = jax.jit(lambda *given: method.estimate(problem, THETA, *given))
    positions = []
    for step in range(6):
        key = jax.random.fold_in(KEY, step)
        _, lives = estimate(lives, key, jnp.asarray(step))
        positions.append(lives.particle.position.tolist())
    # After a truncation each: 2 = just begun, 6 = at the end.
    assert positions[3:] == [[2, 4, 6], [4, 6, 2], [6, 2, 4]] or all(
        sorted(row) == [2, 4, 6] for row in positions[3:]
    )
    assert all(b == a % 6 + 2 for a, b in zip(*map(np.ravel, positions[3:5]), strict=True))


def test_lengths_that_are_drawn_and_grow():
    schedule = Truncation(
        (2, 4), 20, spread=1.0, final_unroll=(8, 15), unroll_growth=100, final_count=2000,
        count_growth=10,
    )  # fmt: skip
    keys = jax.random.split(KEY, 500)

    def unrolls(step):
        return np.asarray(jax.vmap(lambda k: schedule.draw_unroll(k, jnp.asarray(step)))(keys))

    assert set(unrolls(0)) == {2, 3, 4}
    assert set(unrolls(50)) == set(range(5, 11)) or set(unrolls(50)) == set(range(5, 10))
    assert set(unrolls(100)) == set(unrolls(10_000)) == set(range(8, 16))

    def counts(step):
        return np.asarray(jax.vmap(lambda k: schedule.draw_count(k, jnp.asarray(step), 1))(keys))

    assert counts(0).min() == 1  # cut off below
    assert np.median(counts(0)) == pytest.approx(20, abs=4)
    assert np.median(counts(10)) == pytest.approx(2000, abs=400)
    assert schedule.longest == 15


def test_random_unrolls_take_as_many_updates_as_drawn():
    problem = Chain()
    method = TruncatedGradient(STILL, truncation=Truncation((1, 3), 1))
    drawn = set()
    lives = method.begin(problem, THETA, KEY)
    estimate_at = jax.jit(lambda k: method.estimate(problem, THETA, lives, k, jnp.asarray(0)))
    by_hand = {n: jax.jit(jax.grad(lambda t, k, n=n: Chain(n).loss(t, k)[0])) for n in (1, 2, 3)}
    for step in range(12):
        key = jax.random.fold_in(KEY, step)
        estimate, after = estimate_at(key)
        position = int(after.particle.position[0])
        drawn.add(position)
        close(estimate.gradient, by_hand[position](THETA, key), rtol=1e-5)
    assert drawn == {1, 2, 3}


class Breaks(Chain):
    """A chain that is not a number once it has had `after` updates."""

    def __init__(self, after, **settings):
        super().__init__(**settings)
        self.after = after

    def advance(self, theta, particle, unroll, taken=None):
        after, (loss, metrics) = super().advance(theta, particle, unroll, taken)
        broken = after.position >= self.after
        loss = jnp.where(broken, jnp.nan, loss)
        nets = jnp.where(broken, jnp.nan, after.nets)
        return eqx.tree_at(lambda p: p.nets, after, nets), (loss, metrics)


@pytest.mark.parametrize(
    "method",
    [
        TruncatedGradient(optax.sgd(0.1), truncation=2, particles=3),
        PersistentES(optax.sgd(0.1), truncation=2, pairs=3, std=0.1),
    ],
)
def test_particles_that_break_are_left_out_and_begin_anew(method):
    problem = Breaks(after=4)
    theta, state = THETA, jax.jit(lambda: method.init(problem, THETA, KEY))()
    take = jax.jit(lambda *given: method.step(problem, *given))
    shares = []
    for step in range(6):
        key = jax.random.fold_in(KEY, step)
        theta, state, metrics = take(theta, state, key)
        shares.append(round(float(metrics["nonfinite"]) * 3))
        assert np.isfinite(metrics["loss"]) or shares[-1] == 3
        assert np.all(np.isfinite(theta))
    assert 0 < sum(shares) < 18
    assert not np.array_equal(theta, THETA)


def test_evolution_strategy_leaves_out_broken_pairs():
    def cliff(theta, key):
        return jnp.where(theta[0] > 0.15, jnp.nan, jnp.sum(theta**2)), {}

    method = EvolutionStrategy(optax.sgd(0.1), pairs=64, std=0.05)
    problem = Bowl(cliff)
    state = method.init(problem, THETA, KEY)
    _, _, metrics = jax.jit(lambda *given: method.step(problem, *given))(THETA, state, KEY)
    assert 0.1 < float(metrics["nonfinite"]) < 0.9
    assert np.isfinite(metrics["gradient_norm"])


def test_ranks_do_not_depend_on_the_scale_of_losses():
    def loss(scale):
        return Bowl(lambda theta, key: (scale * jnp.sum((theta - 1) ** 2) ** 3, {}))

    method = EvolutionStrategy(STILL, pairs=8, std=0.05, ranks=True)

    @jax.jit
    def estimate(scale):
        return method.estimate(loss(scale), THETA, (), KEY, jnp.asarray(0))

    (one, _), (many, _) = estimate(1.0), estimate(1000.0)
    same(one.gradient, many.gradient)
    slope = jax.grad(lambda t: jnp.sum((t - 1) ** 2))(THETA)
    assert float(one.gradient @ slope) > 0


def test_equal_losses_do_not_move_theta():
    method = EvolutionStrategy(STILL, pairs=8, ranks=True)
    flat = Bowl(lambda theta, key: (jnp.zeros(()), {}))
    found, _ = jax.jit(lambda: method.estimate(flat, THETA, (), KEY, jnp.asarray(0)))()
    np.testing.assert_array_equal(found.gradient, 0)


def test_ties_share_their_mean_rank():
    losses = jnp.asarray([[3.0, 1.0], [1.0, 1.0], [jnp.nan, 2.0]])
    expected = (np.asarray([[4, 1], [1, 1], [5, 3]]) / 5) - 0.5
    np.testing.assert_allclose(_centred_ranks(losses), expected, atol=1e-7)


def test_truncations_must_make_up_the_lifetime():
    method = TruncatedGradient(STILL, truncation=4)
    with pytest.raises(ValueError, match="unroll must divide the objective's steps, 6; got 4"):
        method.begin(Chain(6), THETA, KEY)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Truncation(0), "unroll must be a whole number of at least 1"),
        (lambda: Truncation((3, 2), 4), "unroll must be a range .low, high. that is not empty"),
        (lambda: Truncation((2, 3)), "count must be given"),
        (lambda: Truncation(2, 0), "count must be None or a whole number of at least 1; got 0"),
        (lambda: Truncation(2, 3, spread=-1.0), "spread must be a finite number of at least 0"),
        (lambda: Truncation(2, 3, final_unroll=4), "final_unroll and unroll_growth belong"),
        (lambda: Truncation(2, 3, count_growth=4), "final_count and count_growth belong"),
        (
            lambda: TruncatedGradient(STILL, particles=0),
            "particles must be a whole number of at least 1; got 0",
        ),
        (lambda: TruncatedGradient(1e-3), "optimizer must be an optax"),
        (
            lambda: EvolutionStrategy(STILL, pairs=0),
            "pairs must be a whole number of at least 1; got 0",
        ),
        (lambda: EvolutionStrategy(STILL, std=0.0), "std must be a finite number above 0"),
        (lambda: PersistentES(STILL, std=float("inf")), "std must be a finite number above 0"),
        (lambda: PersistentES(STILL, clip=-1.0), "clip must be None or a finite number above 0"),
        (
            lambda: Gradient(STILL, average=1.0),
            r"average must be None or a finite number in \(0, 1\); got 1.0",
        ),
    ],
)
def test_bad_settings(unchecked, make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_fingerprints_tell_settings_apart():
    made = [
        Gradient(STILL),
        Gradient(STILL, clip=1.0),
        Gradient(STILL, average=0.5),
        TruncatedGradient(STILL),
        TruncatedGradient(STILL, truncation=5),
        TruncatedGradient(STILL, truncation=Truncation(5, 3)),
        TruncatedGradient(STILL, particles=2),
        EvolutionStrategy(STILL),
        EvolutionStrategy(STILL, std=0.02),
        EvolutionStrategy(STILL, ranks=True),
        PersistentES(STILL, pairs=3),
        PersistentES(STILL, pairs=4),
    ]
    prints = [(type(m).__name__, m.fingerprint(THETA)) for m in made]
    assert len(set(prints)) == len(made)
    assert TruncatedGradient(STILL, truncation=5).fingerprint(THETA) == made[4].fingerprint(THETA)
