"""What a single worker and the learner do, each alone and in this process."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_runs import ES, SEARCH, SOME, TRUNCATED, XOR, setup_of, stacked, truncated_setup

import hebbax as hx
from hebbax.cluster import _workers as _ray_workers
from hebbax.cluster._ray import Ray
from hebbax.cluster._worker_pool import Answer, WorkerPool
from hebbax.outer.methods._method import Estimate
from hebbax.rules._backprop import LearningRate

# The work of a single worker, in this process


def test_a_worker_estimates_what_its_method_does():
    setup, theta = truncated_setup(), LearningRate(jnp.asarray(0.3))
    worker = _ray_workers.Estimator(setup, 7)
    first, second = worker.compute(1, 0, theta), worker.compute(1, 5, theta)

    key, problem, carried = jax.random.fold_in(setup.key, 7), setup.problem(), None
    estimate = jax.jit(lambda *given: TRUNCATED.estimate(problem, *given))
    for count, found in enumerate((first, second)):
        _, k_begin, k_estimate = jax.random.split(jax.random.fold_in(key, count), 3)
        if carried is None:
            carried = jax.jit(lambda key: TRUNCATED.begin(problem, theta, key))(k_begin)
        step = jnp.asarray(5 * count)
        expected, carried = estimate(theta, carried, k_estimate, step)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), found, expected)


def test_workers_differ_and_begin_anew_with_another_lineage():
    theta = LearningRate(jnp.asarray(0.3))
    worker, other = (_ray_workers.Estimator(truncated_setup(), n) for n in (0, 1))
    assert worker.compute(1, 0, theta).loss != other.compute(1, 0, theta).loss
    assert _left(worker) == 1
    worker.compute(2, 0, theta)
    assert _left(worker) == 1
    worker.compute(2, 0, theta)
    assert _left(worker) == 0


def _left(worker):
    (found,) = _ray_workers.lives(worker._carried)
    return int(found.left[0])


def test_every_lifetime_has_an_architecture_of_its_own():
    theta = LearningRate(jnp.asarray(0.3))
    worker = _ray_workers.Estimator(setup_of(TRUNCATED, SOME), 0)
    seen = []
    for _ in range(16):
        assert np.isfinite(worker.compute(1, 0, theta).loss)
        nets = _ray_workers.lives(worker._carried)[0].particle.nets
        shapes = {len(leaf.shape) and leaf.shape[-1] for leaf in jax.tree.leaves(nets)}
        assert shapes == {3, XOR.outputs}
        seen.append(worker._hidden)
    # Two truncations make a lifetime, and the architecture holds as long.
    assert seen[::2] == seen[1::2]
    assert set(seen) == {(3,), (3, 3)}


def test_whole_lifetimes_draw_at_every_estimate_and_populations_at_every_step():
    theta = LearningRate(jnp.asarray(0.3))
    worker = _ray_workers.Estimator(setup_of(ES, SOME), 0)
    seen = set()
    for _ in range(12):
        assert np.isfinite(worker.compute(1, 0, theta).loss)
        seen.add(worker._hidden)
    assert seen == {(3,), (3, 3)}

    only = hx.Architectures(layers=(2, 2), units=(3, 3))
    setup = setup_of(SEARCH, only)
    rows = np.asarray([[0.3], [0.3]], np.float32)
    losses, metrics = _ray_workers.Evaluator(setup, 0).compute(2, 0, rows)
    assert losses[0] == losses[1]
    assert metrics["accuracy"].shape == (2,)
    plain = setup_of(SEARCH, (3, 3))
    expected, _ = _ray_workers.Evaluator(plain, 5).compute(2, 0, rows)
    np.testing.assert_array_equal(losses, expected)


def test_a_worker_of_another_version_is_refused():
    place = dataclasses.replace(_ray_workers.Place.like_here(1.0, 0.0), versions={"hebbax": "0"})
    with pytest.raises(RuntimeError, match="install the same versions"):
        place.settle()


# The learner, with a worker pool that plays its part


class ScriptedPool(WorkerPool):
    """Gives answers that are written down, and notes what it was asked."""

    idle = ()

    def __init__(self, answers, idle=()):
        self.answers, self.idle, self.sent = list(answers), list(idle), []

    def share(self, value, size):
        return value

    def send(self, index, tag, *arguments):
        self.idle.remove(index)
        self.sent.append((index, tag))

    def receive(self):
        return self.answers.pop(0)


def estimate(gradient, loss=1.0, nonfinite=0.0):
    loss = jnp.asarray(loss)
    rate = LearningRate(jnp.asarray(gradient))
    return Estimate(rate, loss, jnp.asarray(nonfinite), {"accuracy": loss})


@pytest.fixture
def learner():
    """Return an engine that has no workers and a state at version 9."""
    method = hx.methods.Gradient(optax.sgd(1.0), clip=5.0)
    engine = Ray(batch=2, staleness=3).engine(setup_of(method))
    thetas = jax.tree.map(lambda a: a[None], LearningRate(jnp.asarray(0.5)))
    state = engine.start(thetas, jax.random.key(0))
    return engine, dataclasses.replace(state, version=jnp.asarray(9, jnp.int32))


def test_old_estimates_and_those_of_another_theta_are_dropped(learner):
    engine, state = learner
    engine._lineage = 2
    good, better = estimate(1.0), estimate(2.0)
    pool = ScriptedPool(
        [
            Answer((2, 5), estimate(9.0)),  # four versions old: one more than allowed
            Answer((2, 6), good),
            Answer((1, 9), estimate(9.0)),  # of a θ that was given up
            Answer((2, 9), lost=True),
            Answer(None, 123),  # a new worker is ready
            Answer((2, 9), better),
        ],
        idle=[4, 5],
    )
    estimates, ages, stale = engine._collect(pool, state)
    assert estimates[0] is good
    assert estimates[1] is better
    assert (ages, stale) == ([3, 0], 2)
    assert pool.sent == [(4, (2, 9)), (5, (2, 9))]


def test_a_meta_step_follows_the_mean_of_what_is_finite_and_clips_it(learner):
    engine, state = learner
    parts = [
        estimate(1.0, 2.0, 0.5), estimate(2.0, 4.0), estimate(np.nan), estimate(9.0, np.inf),
        estimate(9.0, nonfinite=1.0),
    ]  # fmt: skip
    after, metrics = engine._follow(state, stacked(*parts))
    np.testing.assert_allclose(after.theta.learning_rate, 0.5 - 1.5)
    np.testing.assert_allclose(metrics["loss"], 3.0)
    np.testing.assert_allclose(metrics["nonfinite"], (0.5 + 0 + 3) / 5)
    assert (after.version, after.streaks.length[0]) == (10, 0)
    # The mean is clipped, not its parts: 30 and -24 make 3, which is let through.
    after, metrics = engine._follow(state, stacked(estimate(30.0), estimate(-24.0)))
    np.testing.assert_allclose(after.theta.learning_rate, 0.5 - 3)
    after, metrics = engine._follow(state, stacked(estimate(30.0), estimate(30.0)))
    np.testing.assert_allclose(after.theta.learning_rate, 0.5 - 5, rtol=1e-6)
    assert metrics["clipped"] == 1


def test_nothing_finite_changes_nothing_but_is_counted(learner):
    engine, state = learner
    after, metrics = engine._follow(state, stacked(estimate(np.nan), estimate(np.inf)))
    assert after.theta.learning_rate == 0.5
    assert metrics["nonfinite"] == 1
    assert (after.version, after.streaks.length[0], after.streaks.since[0]) == (10, 1, 9)


def test_theta_put_back_keeps_the_version_and_the_workers_numbers(learner):
    engine, state = learner
    good = dataclasses.replace(state, version=jnp.asarray(3), theta=LearningRate(jnp.ones(())))
    state = dataclasses.replace(state, born=jnp.asarray(5))
    back = engine.replace_runs(state, good, [0])
    assert (back.version, back.born, back.theta.learning_rate) == (9, 5, 1)
    assert engine.replace_runs(state, good, [None]) is state
