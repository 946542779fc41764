import pickle

import cma
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import same

import hebbax as hx
from hebbax.outer.methods._cma_es import Search
from hebbax.rules._backprop import LearningRate


def sphere(rows):
    return np.sum((np.asarray(rows) - 0.5) ** 2, axis=1)


def by_cma(seed, start, std, steps, options):
    """Return means and losses of `cma` called directly."""
    before = np.random.get_state()  # noqa: NPY002
    strategy = cma.CMAEvolutionStrategy(
        start, std, {"verbose": -9, "verb_log": 0, "seed": seed, **options}
    )
    for _ in range(steps):
        rows = strategy.ask()
        strategy.tell(rows, sphere(rows).tolist())
    np.random.set_state(before)  # noqa: NPY002
    return np.asarray(strategy.mean), strategy.sigma


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"CMA_diagonal": True},
        {"CMA_diagonal": 15},  # full from then on, with a sampler that `cma` makes anew
        {"bounds": [-1, 1]},
        {"CMA_elitist": True},
    ],
)
def test_reproduces_cma_called_directly(options):
    start = np.linspace(-1, 0.9, 7)
    mean, std = by_cma(11, start, 0.3, 40, {"popsize": 9, **options})
    search = Search(hx.methods.CMAES(0.3, 9, options=options), start, 11)
    for step in range(40):
        rows = search.ask()
        assert rows.shape == (9, 7)
        search.tell(sphere(rows))
        np.random.standard_normal(step)  # noqa: NPY002  does not disturb the search
        if step == 20:
            search = Search.restore(search.state())
    np.testing.assert_array_equal(search.mean, mean)
    assert search.std == std


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


class Evil:
    def __reduce__(self):
        return (print, ("this must not be run",))


@pytest.mark.parametrize("held", [Evil(), (Evil(), 1, 2, 3, 4), "nothing", 5])
def test_a_checkpoint_cannot_run_programs(held, capsys):
    with pytest.raises(ValueError, match="the state of cma cannot be read"):
        Search.restore({"cma": np.frombuffer(pickle.dumps(held), np.uint8)})
    assert "must not" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"std": 0.0}, "std must be positive"),
        ({"population": 1}, "population must be None or at least 2; got 1"),
        ({"restarts": -1}, "restarts must be at least 0"),
        ({"seed": 0}, "seed must be None or from 1"),
        ({"options": {"popsize": 3}}, "options may not hold 'popsize'"),
        ({"options": {"nonsense": 3}}, "'nonsense', which is no option of cma.CMAOptions"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        hx.methods.CMAES(**settings)
