import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import (
    AVERAGED,
    OBJECTIVE,
    RULE,
    XOR,
    Delta,
    Distance,
    close,
    differ,
    logged,
    same,
    same_result,
    train,
)

import hebbax as hx
from hebbax._optax import updates
from hebbax.outer._problem import Problem
from hebbax.rules._backprop import LearningRate


def test_loss_falls_on_xor():
    result = train(
        rule=hx.Blur(feedback="error", synapse_update=0.01),
        objective=hx.objectives.QueryCrossEntropy(steps=5, batch=32, query=32),
        method=hx.methods.Gradient(optax.adam(3e-2), clip=10.0),
        hidden=(8,),
        steps=200,
        log_every=25,
        checkpoint_every=50,
        validation=8,
    )
    losses = [line["loss"][0] for line in result.history]
    validations = [
        line["validation_loss"][0] for line in result.history if "validation_loss" in line
    ]
    assert len(losses) == 8
    assert losses[-1] < losses[0] - 0.05
    assert len(validations) == 4
    assert result.loss == pytest.approx(min(validations))
    assert result.step == 50 * (1 + validations.index(min(validations)))
    assert all(line["nonfinite"] == [0] for line in result.history)


def test_one_meta_step_by_hand(key):
    """θ after one step is that of the optimiser on the gradient of the meta-loss."""
    result = train(steps=1, tasks=2)
    k_init, k_train, _ = jax.random.split(key, 3)
    theta = RULE.init(jax.random.split(k_init, 1)[0])
    loss = Problem(RULE, [XOR], OBJECTIVE, (), tasks=2).loss
    (value, _), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(
        theta, jax.random.fold_in(k_train, 0)
    )
    change, _ = updates(optax.adam(1e-2), gradient, optax.adam(1e-2).init(theta), theta)
    close(result.theta, optax.apply_updates(theta, change), rtol=1e-4, atol=1e-6)
    assert result.history[0]["loss"][0] == pytest.approx(float(value), rel=1e-5)


def test_same_key_same_theta(straight):
    same_result(train(), straight[0])


def test_another_key_another_theta(straight):
    differ(train(key=jax.random.key(1), steps=5).theta, straight[0].theta)


def test_runs_are_single_runs_side_by_side(key):
    many = train(rule=Delta(), runs=3)
    starts = jax.vmap(Delta().init)(jax.random.split(jax.random.split(key, 3)[0], 3))
    singles = [
        train(rule=Delta(), theta=jax.tree.map(lambda a, i=i: a[i], starts)) for i in range(3)
    ]
    for index, single in enumerate(singles):
        mine = jax.tree.map(lambda a, i=index: a[i], many.thetas)
        close(mine, jax.tree.map(lambda a: a[0], single.thetas), rtol=1e-4, atol=1e-5)
    validations = np.array(
        [line["validation_loss"] for line in many.history if "validation_loss" in line]
    )
    assert validations.shape == (2, 3)
    where, run = np.unravel_index(validations.argmin(), validations.shape)
    assert (many.run, many.step) == (run, 10 * (where + 1))
    assert many.loss == pytest.approx(validations.min())
    assert many.run == int(np.argmin([single.loss for single in singles]))
    if where == 1:
        same(many.theta, jax.tree.map(lambda a: a[run], many.thetas))


def test_best_theta_has_the_validation_loss_it_claims(key):
    result = train(steps=10, runs=2)
    loss = Problem(RULE, [XOR], OBJECTIVE, (), tasks=1).loss
    keys = jax.random.split(jax.random.split(key, 3)[2], 2)
    values = [float(jax.jit(loss)(result.theta, k)[0]) for k in keys]
    assert result.loss == pytest.approx(np.mean(values), rel=1e-4)


def test_what_is_validated_and_returned_is_the_average():
    averaged = train(steps=3, checkpoint_every=5, method=AVERAGED, runs=2)
    weights = [0.64, 0.8, 1.0]
    thetas = [train(steps=n, checkpoint_every=5, runs=2).thetas for n in (1, 2, 3)]
    expected = jax.tree.map(
        lambda *t: sum(w * a for w, a in zip(weights, t, strict=True)) / sum(weights), *thetas
    )
    close(averaged.thetas, expected, rtol=1e-5)
    close(averaged.theta, jax.tree.map(lambda a: a[averaged.run], expected), rtol=1e-5)


def test_start_from_theta(key):
    theta = LearningRate(jnp.float32(0.37))
    still = hx.methods.Gradient(optax.sgd(0.0))
    same(train(theta=theta, method=still, steps=1).theta, theta)
    numbers = jax.tree.map(np.asarray, theta)
    same(train(theta=numbers, method=still, steps=1).theta, theta)


def test_own_objective():
    result = train(
        rule=hx.Backprop("sgd", learning_rate=0.1),
        objective=Distance(1, 1, 1),
        method=hx.methods.Gradient(optax.sgd(0.25)),
        steps=10,
    )
    assert float(result.theta.learning_rate) == pytest.approx(0.5 - 0.4 * 0.5**10, abs=1e-6)


def test_own_rule(tmp_path, family):
    settings = {
        "rule": Delta(),
        "family": family,
        "hidden": (),
        "objective": hx.objectives.QueryCrossEntropy(steps=3, batch=8, query=16),
        "method": hx.methods.Gradient(optax.adam(1e-2)),
        "log_every": 10,
        "steps": 30,
    }
    result = train(tmp_path, **settings)
    losses = [line["loss"][0] for line in result.history]
    assert losses[-1] < losses[0]
    same(train(tmp_path, **settings).theta, result.theta)
    same(hx.load_rule(tmp_path / "rule.safetensors", rule=Delta)[1], result.theta)


def test_nan_steps_are_skipped_and_counted(tmp_path):
    class Broken(hx.objectives.AbstractObjective):
        def judge(self, rule, theta, net, predictions, episode, first=0, taken=None):
            return jnp.nan * jnp.sum(theta.learning_rate), {}

    theta = LearningRate(jnp.float32(0.1))
    settings = {"rule": hx.Backprop(), "objective": Broken(1, 1, 1), "theta": theta, "steps": 10}
    with (
        pytest.warns(RuntimeWarning, match="run 1 of 1 diverged at step 0"),
        pytest.raises(RuntimeError, match="has found no θ with a finite validation loss in 10 "),
    ):
        train(tmp_path, **settings)
    assert logged(tmp_path)[-1]["nonfinite"] == [1]
    with pytest.raises(RuntimeError, match=r"it was not finite either\); lower the learning rate"):
        train(tmp_path, **settings)
    assert not (tmp_path / "rule.safetensors").exists()
    # JSON has neither NaN nor infinity.
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert logged(tmp_path)[-1]["loss"] == [None]


def test_runs_from_one_theta_meet_data_of_their_own():
    theta = RULE.init(jax.random.key(1))
    result = train(theta=theta, runs=2, steps=5)
    for leaf in jax.tree.leaves(result.thetas):
        assert not np.array_equal(leaf[0], leaf[1])
