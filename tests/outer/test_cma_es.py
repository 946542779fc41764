import threading
import warnings

import cma
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import same, train
from tiny_cma import OPTIONS, sphere

import hebbax as hx
from hebbax.outer.methods._cma_es import Search
from hebbax.rules._backprop import LearningRate


def by_cma(seed, start, std, steps, options):
    """Return what `cma`, called directly, thinks the best solution, and its sigma."""
    before = np.random.get_state()  # noqa: NPY002
    if options.get("BoundaryHandler") == "BoundPenalty":
        options = {**options, "BoundaryHandler": cma.BoundPenalty}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        strategy = cma.CMAEvolutionStrategy(
            start, std, {"verbose": -9, "verb_log": 0, "seed": seed, **options}
        )
    for _ in range(steps):
        rows = strategy.ask()
        strategy.tell(rows, sphere(rows).tolist())
    np.random.set_state(before)  # noqa: NPY002
    return np.asarray(strategy.result.xfavorite), strategy.sigma


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_reproduces_cma_called_directly(options):
    start = np.linspace(-1, 0.9, 7)
    favourite, std = by_cma(11, start, 0.3, 40, {"popsize": 9, **options})
    method = hx.methods.CMAES(0.3, 9, options=options)
    search = Search(method, start, 11)
    for step in range(40):
        rows = search.ask()
        assert rows.shape == (9, 7)
        search.tell(sphere(rows))
        np.random.standard_normal(step)  # noqa: NPY002  does not disturb the search
        if step % 3 == 2:
            search = Search.restore(method, search.state())
    np.testing.assert_array_equal(search.mean, favourite)
    assert search.std == std


def test_reproduces_cma_in_many_dimensions():
    """From 300 on `cma` adapts its step size otherwise, and draws in order to check it."""
    start = np.linspace(-1, 0.9, 301)
    favourite, std = by_cma(11, start, 0.3, 8, {"CMA_diagonal": True})
    method = hx.methods.CMAES(0.3, options={"CMA_diagonal": True})
    search = Search(method, start, 11)
    for step in range(8):
        if step == 3:
            # None of these is told, and the two members that measure the step come again.
            search, untold = Search.restore(method, search.state()), search
            for _ in range(2):
                untold.ask()
                untold.tell(np.full(untold.population, np.nan))
            untold.tell(sphere(untold.ask()))
        search.tell(sphere(search.ask()))
    np.testing.assert_array_equal(search.mean, favourite)
    assert search.std == std


@pytest.mark.parametrize("options", [{"bounds": [-1, 1]}, {"fixed_variables": {0: 0.25}}])
def test_what_meta_train_returns_is_a_solution(options):
    """The minimum lies at 5: with bounds, the search must end at them."""

    class Away(hx.objectives.AbstractObjective):
        def judge(self, rule, theta, net, predictions, episode, first=0, taken=None):
            return sum(jnp.sum((a - 5.0) ** 2) for a in jax.tree.leaves(theta)), {}

    rule = hx.Blur(states=2)
    theta = jax.tree.map(jnp.zeros_like, rule.init(jax.random.key(0)))
    result = train(
        rule=rule, theta=theta, objective=Away(1, 2, 2), steps=40, validation=1,
        method=hx.methods.CMAES(0.3, 8, seed=3, options=options),
    )  # fmt: skip
    numbers = np.concatenate([np.ravel(a) for a in jax.tree.leaves(result.theta)])
    assert numbers.max() <= 1 or "bounds" not in options
    assert numbers[0] == 0.25 or "fixed_variables" not in options
    last = result.history[-1]
    assert last["validation_loss"][0] == pytest.approx(np.sum((numbers - 5.0) ** 2), rel=1e-4)
    assert last["validation_loss"][0] < last["loss"][0] * 1.1


def test_a_start_outside_of_the_bounds():
    method = hx.methods.CMAES(options={"bounds": [-1, 1]})
    with pytest.raises(ValueError, match=r"must lie within the bounds \[-1, 1\] of CMAES"):
        Search(method, np.full(3, 2.0), 1)


def test_options_that_do_not_fit():
    method = hx.methods.CMAES(options={"CMA_stds": [1, 2, 3]})
    with pytest.raises(ValueError, match="cma cannot begin from 2 numbers with the options"):
        Search(method, np.zeros(2), 1)


def test_threads_do_not_disturb_each_other():
    """Two searches and NumPy's own numbers, drawn at once."""

    def search(seed, found):
        search = Search(hx.methods.CMAES(0.3, 9, options={"CMA_diagonal": 20}), np.zeros(7), seed)
        for _ in range(60):
            search.tell(sphere(search.ask()))
        found[seed] = search.mean

    expected, found, drawn = {}, {}, []
    for seed in (1, 2):
        search(seed, expected)
    np.random.seed(5)  # noqa: NPY002
    straight = np.random.standard_normal(1000)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    threads = [threading.Thread(target=search, args=(seed, found)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    drawn = [np.random.standard_normal() for _ in range(1000)]  # noqa: NPY002
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(drawn, straight)
    for seed in (1, 2):
        np.testing.assert_array_equal(found[seed], expected[seed])


def test_does_not_disturb_others():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.standard_normal(4)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    search = Search(hx.methods.CMAES(0.3), np.zeros(3), 1)
    search.tell(sphere(search.ask()))
    np.testing.assert_array_equal(np.random.standard_normal(4), expected)  # noqa: NPY002


def test_meta_train_reproduces_cma_called_directly():
    """The loss of the outer loop's own problem, evaluated one member at a time."""
    rule, family = hx.Blur(feedback="error"), hx.tasks.toy("xor")
    objective = hx.objectives.QueryCrossEntropy(steps=2, batch=4, query=8)
    key = jax.random.key(3)
    theta = rule.init(jax.random.key(1))
    result = hx.meta_train(
        rule, family, objective, hx.methods.CMAES(0.2, 5, seed=7), hidden=(), steps=4, key=key,
        theta=theta, validation=1, log_every=1, checkpoint_every=4,
    )  # fmt: skip
    from jax.flatten_util import ravel_pytree

    from hebbax.outer._problem import Problem

    flat, unravel = ravel_pytree(theta)
    loss = jax.jit(lambda t, k: Problem(rule, [family], objective).loss(t, k)[0])
    k_train = jax.random.split(key, 3)[1]
    before = np.random.get_state()  # noqa: NPY002
    strategy = cma.CMAEvolutionStrategy(
        np.asarray(flat, float), 0.2, {"popsize": 5, "seed": 7, "verbose": -9, "verb_log": 0}
    )
    for step in range(4):
        rows = strategy.ask()
        k_step = jax.random.fold_in(k_train, step)
        losses = [float(loss(unravel(jnp.asarray(row, jnp.float32)), k_step)) for row in rows]
        assert result.history[step]["loss"][0] == pytest.approx(np.mean(losses), rel=1e-4)
        assert result.history[step]["best_loss"][0] == pytest.approx(np.min(losses), rel=1e-4)
        strategy.tell(rows, losses)
    np.random.set_state(before)  # noqa: NPY002
    found = ravel_pytree(jax.tree.map(lambda a: a[0], result.thetas))[0]
    np.testing.assert_allclose(found, strategy.mean, rtol=1e-4, atol=1e-5)


def test_losses_that_are_not_finite_are_worst():
    """As if they had been the largest; a population of nothing else changes nothing."""
    mine, other = (Search(hx.methods.CMAES(0.3, 6), np.zeros(4), 3) for _ in range(2))
    rows = mine.ask()
    np.testing.assert_array_equal(rows, other.ask())
    losses = sphere(rows)
    worst = np.argmax(losses)
    mine.tell(np.where(np.arange(6) == worst, np.nan, losses))
    other.tell(losses)
    np.testing.assert_allclose(mine.mean, other.mean, rtol=1e-12)
    before = mine.mean
    mine.ask()
    mine.tell(np.full(6, np.inf))
    np.testing.assert_array_equal(mine.mean, before)


def test_restarts_with_twice_the_population():
    method = hx.methods.CMAES(0.3, 4, restarts=2, options={"maxiter": 3})
    search = Search(method, np.zeros(3), 1)
    sizes, restarted = [], []
    for _ in range(12):
        rows = search.ask()
        sizes.append(len(rows))
        search.tell(sphere(rows))
        restarted.append(search.restart_if_over(method))
    assert sizes == [4] * 3 + [8] * 3 + [16] * 6
    assert sum(restarted) == 2


@pytest.mark.slow
def test_restarts_in_meta_train(tmp_path):
    """Runs of unequal populations go on side by side, and after an interruption."""
    settings = {
        "hidden": (), "key": jax.random.key(0), "runs": 2, "validation": 1, "log_every": 2,
        "checkpoint_every": 4,
    }  # fmt: skip
    first = (
        hx.Hebbian(), hx.tasks.toy("xor"), hx.objectives.QueryAccuracy(steps=1, batch=4, query=8),
        hx.methods.CMAES(0.1, 4, restarts=1, options={"maxiter": 2}),
    )  # fmt: skip
    whole = hx.meta_train(*first, steps=8, **settings)
    hx.meta_train(*first, steps=4, directory=tmp_path, **settings)
    again = hx.meta_train(*first, steps=8, directory=tmp_path, **settings)
    same(again.thetas, whole.thetas)
    assert whole.history[-1]["population"] == [8.0, 8.0]


def test_learns():
    class Target(hx.objectives.AbstractObjective):
        def judge(self, rule, theta, net, predictions, episode, first=0, taken=None):
            return jnp.sum((theta.learning_rate - 0.7) ** 2), {}

    result = hx.meta_train(
        hx.Backprop("sgd"), hx.tasks.toy("xor"), Target(1, 1, 1),
        hx.methods.CMAES(0.1, 8, options={"CMA_on": 1}), hidden=(), steps=30,
        key=jax.random.key(0), theta=LearningRate(jnp.float32(0.1)), validation=1,
        log_every=10, checkpoint_every=30,
    )  # fmt: skip
    assert float(result.theta.learning_rate) == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"std": 0.0}, "std must be positive"),
        ({"population": 1}, "population must be None or at least 2; got 1"),
        ({"restarts": -1}, "restarts must be at least 0"),
        ({"seed": 0}, "seed must be None or from 1"),
        ({"options": {"popsize": 3}}, "options may not hold 'popsize'"),
        ({"options": {"nonsense": 3}}, "'nonsense', which is no option of cma.CMAOptions"),
        ({"options": {"integer_variables": [0]}}, "options may not hold 'integer_variables'"),
        ({"options": {"termination_callback": print}}, "not hold 'termination_callback'"),
        ({"options": {"timeout": 3}}, "options may not hold 'timeout'"),
        ({"options": {"CMA_sampler": object}}, "options may not hold 'CMA_sampler'"),
        ({"options": {"transformation": [abs, abs]}}, "options may not hold 'transformation'"),
        ({"options": {"CMA_mirrormethod": 0}}, "CMA_mirrormethod must be 1 or 2"),
        ({"options": {"AdaptSigma": object}}, "the option AdaptSigma must be True or False"),
        ({"options": {"BoundaryHandler": object}}, "BoundaryHandler must be one of BoundNone"),
        ({"options": {"tolfun": print}}, "the option tolfun must be made of numbers"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        hx.methods.CMAES(**settings)
