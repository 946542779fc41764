import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hebbax as hx
from hebbax.recipes import STREAM_RULE
from hebbax.rules import _ensemble as ensemble

BLUR = hx.Blur(**STREAM_RULE)
RULE = hx.Ensemble(BLUR, deep=2, shallow=1)
SIZES = (3, 5, 4)


begin = jax.jit(RULE.init)
begin_network = jax.jit(RULE.init_network, static_argnums=2)


@pytest.fixture
def case(key):
    theta = begin(key)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(8, 3)), jnp.float32)
    y = jnp.asarray(np.eye(4, dtype="float32")[rng.integers(4, size=8)])
    return theta, begin_network(theta, key, SIZES), x, y


update, predict = jax.jit(RULE.update), jax.jit(RULE.predict)


def alone(rule, theta):
    """Return the rule and θ of a single member, which knows its inputs as they are."""
    one = jax.tree.map(lambda a: a[:1], theta.deep)
    times = {n: getattr(theta, n)[:1] for n in ("log_rows", "log_life", "log_pace")}
    times["log_rows"] = jnp.full(1, 30.0)
    return (
        dataclasses.replace(rule, deep=1, shallow=0),
        dataclasses.replace(theta, deep=one, shallow=None, **times),
    )


def test_one_member_is_a_blur_whose_synapses_fade(case, key):
    theta, _, x, y = case
    rule, theta = alone(RULE, theta)
    theta = dataclasses.replace(theta, log_life=jnp.log(jnp.asarray([100.0])))
    net = rule.init_network(theta, key, SIZES)
    blur = hx.Blur(**{**STREAM_RULE, "learn_keep": True})
    genome = jax.tree.map(lambda a: a[0], theta.deep)
    genome = dataclasses.replace(
        genome, f_tilde=jnp.exp(-0.08), eta_tilde=genome.eta_tilde * 8 / ensemble.ROWS
    )
    expected = jax.tree.map(lambda a: a[0], net.deep)
    learn, alike = jax.jit(rule.update), jax.jit(blur.update)
    # Before anything is known, inputs are divided by a deviation a little above 1.
    seen = x / jnp.sqrt(1 + ensemble._LEAST_VARIANCE)
    for _ in range(3):
        net, said = learn(theta, net, x, y)
        expected, logits = alike(genome, expected, seen, y)
        np.testing.assert_allclose(said, jax.nn.log_softmax(logits), rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(*map(jax.tree.leaves, (net.deep, expected)), strict=True):
        np.testing.assert_allclose(ours[0], theirs, rtol=1e-4, atol=1e-5)


def test_what_is_predicted_is_a_mixture_of_what_members_say(case):
    theta, net, x, y = case
    after, said = update(theta, net, x, y)
    np.testing.assert_allclose(predict(theta, net, x), said, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(jnp.exp(said).sum(axis=1), 1, rtol=1e-5)
    # The votes of the one that was right are all that is left where they are counted sharply.
    strict = dataclasses.replace(theta, least=jnp.asarray(-60.0))
    sharp = dataclasses.replace(strict, log_sharpness=jnp.log(1e6))
    best = int(jnp.argmax(after.record))
    blind = dataclasses.replace(after, record=jnp.where(jnp.arange(3) == best, 0.0, -1e3))
    np.testing.assert_allclose(predict(sharp, after, x), predict(strict, blind, x), rtol=1e-4)


def test_a_record_forgets_by_rows_however_they_come(case):
    theta, net, x, y = case
    still = dataclasses.replace(theta, log_pace=jnp.full(3, -30.0), log_life=jnp.full(3, 30.0))
    still = dataclasses.replace(still, log_rows=jnp.full(3, 30.0))
    whole = update(still, net, x, y)[0]
    halves = update(still, update(still, net, x[:4], y[:4])[0], x[4:], y[4:])[0]
    np.testing.assert_allclose(whole.record, halves.record, rtol=0.02)


def test_inputs_are_standardised_by_what_came_before(case):
    theta, net, *_ = case
    rng = np.random.default_rng(1)
    for _ in range(30):
        x = jnp.asarray(100 + 7 * rng.normal(size=(16, 3)), jnp.float32)
        net, _ = update(theta, net, x, jnp.eye(4)[rng.integers(4, size=16)])
    # The member with the shortest time; at most 5 deviations from it.
    seen = ensemble._standardised(net, jnp.asarray([[100.0, 107.0, 1e6]]))[1, 0]
    np.testing.assert_allclose(seen[:2], [0, 1], atol=0.6)
    assert seen[2] == ensemble.FARTHEST


def test_changes_grow_with_rows(case):
    theta, net, x, y = case

    def moved(times):
        after, _ = update(theta, net, jnp.tile(x, (times, 1)), jnp.tile(y, (times, 1)))
        return float(jnp.abs(after.deep.layers[1].weight - net.deep.layers[1].weight).sum())

    assert moved(2) == pytest.approx(2 * moved(1), rel=0.05)


@pytest.mark.parametrize("rows", [64, 70])
def test_many_rows_are_learnt_from_in_turn(case, rows):
    theta, net, *_ = case
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(rows, 3)), jnp.float32)
    y = jnp.asarray(np.eye(4, dtype="float32")[rng.integers(4, size=rows)])
    at_once, said = update(theta, net, x, y)
    one_by_one, heard = net, []
    for start in range(0, rows, ensemble.ROWS):
        part = slice(start, start + ensemble.ROWS)
        one_by_one, some = update(theta, one_by_one, x[part], y[part])
        heard.append(some)
    np.testing.assert_allclose(said, jnp.concatenate(heard), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(*map(jax.tree.leaves, (at_once, one_by_one)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("deep", "shallow"), [(2, 0), (0, 2)])
def test_one_kind_alone_and_one_output(deep, shallow, key):
    rule = hx.Ensemble(BLUR, deep=deep, shallow=shallow)
    theta = jax.jit(rule.init)(key)
    net = jax.jit(rule.init_network, static_argnums=2)(theta, key, (3, 5, 1))
    x, y = jax.random.normal(key, (6, 3)), jnp.asarray([[1.0], [0], [1], [0], [1], [1]])
    step = jax.jit(rule.update)
    for _ in range(40):
        net, said = step(theta, net, x, y)
    assert said.shape == (6, 1)
    assert ((said > 0) == (y > 0)).mean() > 0.8
    names = [section.title for section in rule.sections(theta)]
    assert names == [*(f"deep member {i + 1}" for i in range(deep)),
                     *(f"shallow member {i + 1}" for i in range(shallow)), "votes"]  # fmt: skip


def test_it_follows_labels_that_change_places(key):
    theta = begin(key)
    net = begin_network(theta, key, (3, 5, 2))
    rng = np.random.default_rng(0)
    right = []
    for step in range(60):
        x = rng.normal(size=(32, 3)).astype("float32")
        y = (x[:, 0] > 0).astype(int) ^ (step >= 30)
        net, said = update(theta, net, x, jnp.eye(2)[y])
        right.append(float((said.argmax(axis=1) == y).mean()))
    assert np.mean(right[20:30]) > 0.9
    assert np.mean(right[50:]) > 0.9


def test_a_file_holds_it(tmp_path, key):
    theta = begin(key)
    hx.save_rule(tmp_path / "a.safetensors", RULE, theta)
    rule, read = hx.load_rule(tmp_path / "a.safetensors")
    assert rule == RULE
    jax.tree.map(np.testing.assert_array_equal, read, theta)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rule": hx.Blur()}, "normalization=None"),
        ({"rule": BLUR, "deep": 0, "shallow": 0}, "must not both be 0"),
        ({"rule": BLUR, "deep": -1}, "deep"),
        ({"rule": hx.Backprop()}, "rule"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_options(options, match):
    with pytest.raises(ValueError, match=match):
        hx.Ensemble(**options)


def test_other_targets_than_classes_are_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(ValueError, match="votes on classes only; got targets of a Regression"):
        hx.meta_train(
            RULE, hx.tasks.sinusoids(), hx.objectives.QueryLoss(steps=2, batch=4, query=4),
            hx.methods.Gradient(optax.adam(1e-2)), hidden=(3,), steps=2, key=jax.random.key(0),
            directory=tmp_path / "run",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()
