import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import RULE, XOR, Bowl, Chain, Distance

import hebbax as hx
from hebbax.doctor._advice import Evidence, advise
from hebbax.doctor._diagnosis import diagnose_problem, growth_rate, series, split_halves
from hebbax.doctor._memory import Memory, device_memory, spelt_bytes
from hebbax.doctor._probing import Sampling

THETA = jnp.asarray([0.3, -0.2, 0.1])
FEW = Sampling(episodes=8, pairs=16, checks=4)


def of_chain(lifetime, sampling=FEW, unrolls=None, theta=THETA, **settings):
    return diagnose_problem(
        lambda _, steps: Chain(steps, **settings), None, theta, lifetime,
        sampling=sampling, unrolls=unrolls,
    )  # fmt: skip


def of_bowl(function, lifetime=1, sampling=FEW, theta=THETA):
    return diagnose_problem(
        lambda *_: Bowl(lambda t, k: (function(t, k), {})), None, theta, lifetime,
        sampling=sampling, unrolls=[lifetime],
    )  # fmt: skip


class Ramp(Chain):
    """A chain whose loss is its last state: dL/dθ = 1 + decay + … + decay^(steps - 1)."""

    def advance(self, theta, particle, unroll, taken=None):
        def update(state, index):
            after = self.decay * state + theta
            return jnp.where(True if taken is None else index < taken, after, state), None

        state, _ = jax.lax.scan(update, particle.nets, jnp.arange(unroll))
        return particle, (jnp.sum(state), {})


def test_a_decaying_chain_is_well_behaved():
    begin = time.perf_counter()
    found = of_chain(10, decay=0.5)
    elapsed = time.perf_counter() - begin
    assert [m.unroll for m in found.measurements] == [1, 2, 5, 10, 20, 50]
    # One program serves all lengths, and the first waits for it.
    first, *others = (m.compile_seconds for m in found.measurements)
    assert first > 1e-2 > max(others) >= 0
    assert first + sum(others) + sum(m.seconds for m in found.measurements) <= elapsed
    assert abs(found.growth) < 0.02
    assert found.advice.method == "Gradient"
    for m in found.measurements:
        assert m.fd_cosine > 0.9999
        assert m.fd_difference < 0.01
        assert m.fd_error < 0.01
        assert m.es_cosine > 0.999
        assert m.nonfinite == 0
    assert found.at(5).truncation_cosine > 0.95
    assert found.at(1).truncation_cosine < found.at(5).truncation_cosine
    assert math.isnan(found.at(10).truncation_cosine)
    with pytest.raises(KeyError):
        found.at(3)


def test_statistics_are_those_of_the_episodes():
    sampling = Sampling(episodes=6, pairs=4, checks=2)
    found = of_chain(4, sampling, [4], decay=0.7, noise=0.5).at(4)
    keys = jax.random.split(jax.random.split(jax.random.key(0))[0], 6)
    problem = Chain(4, decay=0.7, noise=0.5)
    differentiate = jax.jit(jax.value_and_grad(lambda t, k: problem.loss(t, k)[0]))
    each = [differentiate(THETA, k) for k in keys]
    losses, gradients = (np.asarray(a, np.float64) for a in zip(*each, strict=True))
    mean, variance = gradients.mean(axis=0), gradients.var(axis=0, ddof=1).sum()
    assert found.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert found.norm == pytest.approx(np.linalg.norm(mean), rel=1e-5)
    assert found.rms_norm**2 == pytest.approx((gradients**2).sum() / 6, rel=1e-5)
    assert found.variance == pytest.approx(variance, rel=1e-4)
    assert found.snr == pytest.approx((mean @ mean - variance / 6) / variance, rel=1e-3)


def test_halves_agree_as_far_as_noise_lets_them():
    random = np.random.default_rng(1)
    signal = random.normal(size=50)
    signal /= np.linalg.norm(signal)
    rows = 0.5 * signal + random.normal(size=(4096, 50)) / math.sqrt(50)
    found = dict(split_halves(rows))
    assert list(found) == [2**i for i in range(12)]
    for count in (16, 64, 1024):
        # Signal 1/4 of the noise for each row.
        assert found[count] == pytest.approx(count / (count + 4), abs=0.05)
    assert dict(split_halves(rows[:1])) == {}
    own = of_chain(4, Sampling(episodes=6, pairs=4, checks=2), [4], noise=0.0).at(4)
    assert own.half_cosines == ((1, pytest.approx(1)), (2, pytest.approx(1)))


@pytest.mark.parametrize("unroll", [1, 2, 3])
def test_truncation_cosine_by_hand(unroll):
    decay, lifetime, theta = 0.8, 6, np.asarray([0.5, -0.4, 0.05])
    state, whole, cut = np.zeros(3), np.zeros(3), np.zeros(3)
    sums = np.zeros((2, 3))
    for step in range(lifetime):
        cut = np.zeros(3) if step % unroll == 0 else cut
        state, whole, cut = decay * state + theta, decay * whole + 1, decay * cut + 1
        sums += 2 * (state - 1) * np.stack([whole, cut])
    expected = sums[0] @ sums[1] / np.prod(np.linalg.norm(sums, axis=1))
    found = of_chain(
        lifetime, unrolls=[unroll], theta=jnp.asarray(theta, float), decay=decay, noise=0.0
    )
    assert expected < 0.9999
    assert found.at(unroll).truncation_cosine == pytest.approx(expected, abs=1e-4)


def test_an_exploding_chain_grows_at_the_known_rate():
    ramp = diagnose_problem(
        lambda _, steps: Ramp(steps, decay=3.0), None, THETA, 10, sampling=FEW, unrolls=[5, 10, 15]
    )
    assert ramp.growth == pytest.approx(math.log(3), rel=0.01)
    assert ramp.advice.method == "EvolutionStrategy"
    assert "explodes" in ramp.advice.decision
    assert "factor of 3.00" in ramp.advice.decision
    # The loss is quadratic in the state, so that its gradient grows twice as fast.
    chain = of_chain(20, decay=3.0, noise=0.0, unrolls=[10, 16, 20])
    assert chain.growth == pytest.approx(2 * math.log(3), rel=0.05)
    assert chain.advice.method == "EvolutionStrategy"


def test_long_exploding_lifetimes_are_cut_for_pes():
    found = of_chain(100, decay=3.0, unrolls=[10, 20])
    assert found.at(100).nonfinite == 1
    assert math.isnan(found.at(100).loss)
    assert found.advice.method == "PersistentES"
    assert found.advice.truncation == 10
    assert "100% of the episodes have no finite gradient" in found.advice.decision
    assert "PersistentES with truncation=10" in found.advice.sentence


def test_a_wrong_derivative_is_found_out():
    @jax.custom_vjp
    def wrong(theta):
        return jnp.sum(theta**2)

    wrong.defvjp(lambda theta: (wrong(theta), theta), lambda theta, g: (3 * g * theta,))
    found = of_bowl(lambda theta, _: wrong(theta))
    m = found.at(1)
    assert m.fd_cosine > 0.999
    assert m.fd_difference == pytest.approx(0.5, abs=0.01)
    assert m.fd_error < 0.01
    assert found.advice.method == "EvolutionStrategy"
    assert "differs by 50% from finite differences" in found.advice.decision

    right = of_bowl(lambda theta, _: jnp.sum(theta**2))
    assert right.at(1).fd_difference < 0.01
    assert right.advice.method == "Gradient"


def test_no_gradient_at_all():
    found = of_bowl(lambda theta, _: jnp.mean((theta > 0).astype(float)))
    assert found.at(1).norm == 0
    assert found.advice.method == "EvolutionStrategy"
    assert "exactly zero" in found.advice.decision


def test_a_rugged_loss_calls_for_an_evolution_strategy():
    """Ripples too fine for the noise to see: slope 1, height 1e-4."""

    def rugged(theta, key):
        phase = jax.random.uniform(key, theta.shape, maxval=2 * jnp.pi)
        return jnp.sum(theta + 1e-4 * jnp.sin(1e4 * theta + phase)) / 10

    m = (found := of_bowl(rugged, sampling=Sampling(episodes=16, pairs=64))).at(1)
    # Of cos(phase), variance 1/2, over 10, for each of three numbers.
    assert m.variance == pytest.approx(3 * 0.5 / 100, rel=0.5)
    assert abs(m.es_cosine) < 0.95
    # Of an ES estimate of the gradient g in three dimensions: (3 + 1) |g|², half for two pairs.
    assert m.es_variance == pytest.approx(4 * 3 / 100 / 2, rel=0.5)
    assert found.advice.method == "Gradient"

    ripples = of_bowl(
        lambda t, k: rugged(t, k) - jnp.sum(t) / 10, sampling=Sampling(episodes=16, pairs=64)
    )
    assert ripples.at(1).es_variance < 0.1 * ripples.at(1).variance
    assert ripples.advice.method == "EvolutionStrategy"
    assert "The gradient is noisy" in ripples.advice.decision


def test_episodes_that_are_not_finite_are_counted_and_left_out():
    def sometimes(theta, key):
        return jnp.where(jax.random.bernoulli(key), jnp.sum(theta**2), jnp.nan)

    found = of_bowl(sometimes, sampling=Sampling(episodes=16, pairs=32))
    m = found.at(1)
    assert 0 < m.nonfinite < 1
    assert m.norm == pytest.approx(float(np.linalg.norm(2 * THETA)), rel=1e-4)
    assert m.fd_difference < 0.01
    assert found.advice.method == "EvolutionStrategy"
    assert "have no finite gradient" in found.advice.decision


def evidence(**changes):
    usual = {
        "lifetime": 10, "growth": 0.05, "nonfinite": 0.0, "snr": 0.3, "flat": False,
        "es_ratio": 20.0, "fd": ((0.01, 0.005),), "truncation": {1: 0.5, 2: 0.92, 5: 0.99},
        "memory": 10**6, "limit": 10**9, "segments": False,
    }  # fmt: skip
    return Evidence(**{**usual, **changes})


@pytest.mark.parametrize(
    ("changes", "method", "truncation", "said"),
    [
        ({}, "Gradient", None, "Nothing measured speaks against it"),
        ({"growth": 0.7}, "EvolutionStrategy", None, "explodes"),
        ({"growth": 0.68}, "Gradient", None, "Nothing"),
        ({"growth": math.nan, "es_ratio": math.nan}, "Gradient", None, "Nothing"),
        ({"growth": 0.7, "lifetime": 60}, "PersistentES", 6, "explodes"),
        ({"growth": 0.7, "lifetime": 61}, "PersistentES", 1, "explodes"),
        ({"growth": 1e6}, "EvolutionStrategy", None, "explodes"),
        ({"nonfinite": 0.2}, "EvolutionStrategy", None, "20% of the episodes"),
        ({"es_ratio": 0.4}, "EvolutionStrategy", None, "noisy"),
        ({"es_ratio": 0.6}, "Gradient", None, "Nothing"),
        ({"memory": 6 * 10**8}, "TruncatedGradient", 2, "remat='segments'"),
        ({"memory": 6 * 10**8, "limit": None}, "Gradient", None, "Nothing"),
        ({"memory": 6 * 10**8, "segments": True}, "TruncatedGradient", 2, "more than 50%."),
        ({"memory": 6 * 10**8, "truncation": {5: 0.2}}, "EvolutionStrategy", None, "600.0 MB"),
        ({"memory": 6 * 10**8, "truncation": {}}, "EvolutionStrategy", None, "600.0 MB"),
        ({"fd": ((0.5, 0.01),)}, "EvolutionStrategy", None, "The gradient is wrong"),
        ({"fd": ((0.5, 0.3),)}, "Gradient", None, "Nothing"),
        ({"fd": ((math.nan, math.nan),)}, "Gradient", None, "Nothing"),
        ({"flat": True}, "EvolutionStrategy", None, "exactly zero"),
    ],
)
def test_rules_of_advice(changes, method, truncation, said):
    advice = advise(evidence(**changes))
    assert (advice.method, advice.truncation) == (method, truncation)
    assert said in advice.decision
    assert advice.decision not in advice.findings
    assert advice.findings
    assert hasattr(hx.methods, advice.method)
    assert advice.method in advice.sentence


def test_findings_say_what_was_measured():
    text = " ".join(advise(evidence()).findings)
    assert "agrees with finite differences to 1.0%" in text
    assert "1.051 per update" in text
    assert "20 times the variance" in text
    assert "1.0 MB" in text
    assert "Truncations of 2 updates" in text
    assert "cosine of 0.92" in text
    biased = " ".join(advise(evidence(truncation={1: 0.1, 2: 0.3})).findings)
    assert "Truncation is biased: the best, of 2 updates, has a cosine of 0.30" in biased


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        (1, (1, 2, 5)),
        (3, (1, 2, 3, 5, 10)),
        (10, (1, 2, 5, 10, 20, 50)),
        (15, (1, 2, 5, 10, 15, 20, 50)),
        (1000, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)),
    ],
)
def test_series(lifetime, expected):
    assert series(lifetime) == expected


def test_growth_rate():
    assert growth_rate([1, 2, 4, 8], [3.0**n for n in (1, 2, 4, 8)]) == pytest.approx(math.log(3))
    # Short unrolls do not count where there are enough long ones.
    assert growth_rate([1, 8, 12, 16], [1e9, 1.0, 1.0, 1.0]) == pytest.approx(0, abs=1e-12)
    assert growth_rate([1, 2, 3], [1.0, math.inf, math.e**2]) == pytest.approx(1)
    assert math.isnan(growth_rate([1, 2], [1.0, math.nan]))
    assert math.isnan(growth_rate([1, 2], [0.0, 1.0]))


def test_of_a_rule_and_a_family(family):
    objective = hx.objectives.OnlineCrossEntropy(steps=9, batch=4, query=8)
    grown = hx.Curriculum(objective, unrolls=[1, 2], every=5)
    theta = RULE.init(jax.random.key(0))
    told = []
    found = hx.diagnose(
        RULE, theta, family, grown, unrolls=[1],
        sampling=Sampling(episodes=3, pairs=2, checks=2), listener=told.append,
    )  # fmt: skip
    assert [m.unroll for m in found.measurements] == [1, 2]
    assert tuple(told) == found.measurements
    assert found.lifetime == 2
    assert found.numbers == sum(leaf.size for leaf in jax.tree.leaves(theta))
    assert found.at(2).fd_difference < 0.05
    assert math.isfinite(found.at(1).truncation_cosine)
    assert found.at(2).compile_seconds < found.at(1).compile_seconds


def test_of_an_objective_of_a_users_own():
    rule = hx.Backprop("sgd")
    theta = rule.init(jax.random.key(0))
    objective = Distance(steps=2, batch=4, query=4)
    found = hx.diagnose(
        rule, theta, XOR, objective, unrolls=[1], sampling=Sampling(2, pairs=2, checks=1)
    )
    expected = 2 * abs(float(theta.learning_rate) - 0.5)
    for m in found.measurements:
        assert m.norm == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"unrolls": [0]}, "unrolls must be at least 1; got 0"),
        ({"tasks": 0}, "tasks must be at least 1; got 0"),
        ({"runs": 0}, "runs must be at least 1; got 0"),
        ({"family": ()}, "family must be a task family, or several of them; got none"),
        ({"objective": len}, "objective must be one of hebbax.objectives"),
    ],
)
def test_bad_settings(unchecked, settings, said):
    settings = {"family": XOR, "objective": hx.objectives.QueryCrossEntropy(steps=2), **settings}
    first = settings.pop("family"), settings.pop("objective")
    with pytest.raises(ValueError, match=said):
        hx.diagnose(RULE, RULE.init(jax.random.key(0)), *first, **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"episodes": 1}, "episodes must be at least 2; got 1"),
        ({"pairs": 1}, "pairs must be at least 2; got 1"),
        ({"checks": 0}, "checks must be at least 1; got 0"),
        ({"std": 0.0}, "std must be positive and finite; got 0.0"),
        ({"std": math.inf}, "std must be positive and finite; got inf"),
    ],
)
def test_bad_sampling(settings, said):
    with pytest.raises(ValueError, match=said):
        Sampling(**settings)


def test_memory():
    program = jax.jit(lambda x: x @ x).lower(jnp.ones((64, 64))).compile()
    memory = Memory.of(program)
    assert memory.arguments == memory.outputs == 4 * 64 * 64
    assert memory.peak == memory.arguments + memory.outputs + memory.temporaries
    assert Memory(10, 5, 3, 4).peak == 14
    there = device_memory()
    assert there is None or there > 10**7
    assert [spelt_bytes(n) for n in (0, 999, 1000, 43_800_000, 999_999_999, 3 * 10**12)] == [
        "0 B", "999 B", "1.0 kB", "43.8 MB", "1.00 GB", "3000.00 GB",
    ]  # fmt: skip


def test_regression_is_diagnosed_and_forecast():
    rule, family = hx.Backprop("sgd"), hx.tasks.sinusoids()
    objective = hx.objectives.QueryLoss(steps=3, batch=5, query=8)
    found = hx.diagnose(
        rule, rule.init(jax.random.key(0)), family, objective, hidden=(6,),
        sampling=Sampling(episodes=4, pairs=4, checks=2),
    )  # fmt: skip
    assert [m.unroll for m in found.measurements][:3] == [1, 2, 3]
    for measured in found.measurements:
        # A squared error of sines whose amplitude is 2.5 or so.
        assert 0.1 < measured.loss < 30
        assert measured.nonfinite == 0
        assert measured.fd_cosine > 0.99
    ahead = hx.forecast(
        rule, family, objective, hx.methods.Gradient(optax.sgd(1e-3)), hidden=(6,), steps=4,
        key=jax.random.key(0), validation=2, log_every=2, checkpoint_every=2, seconds=0.0,
    )  # fmt: skip
    assert ahead.theta == 1
    assert ahead.networks == {"1-6-1": 19}
