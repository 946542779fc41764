import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.losses._classification import accuracy, cross_entropy
from hebbax.rules._backprop import LearningRate

RULE = hx.Backprop("momentum", learning_rate=0.1)
THETA = LearningRate(jnp.float32(0.1))
SETTINGS = {"hidden": (4,), "steps": 5, "batch": 6, "seeds": 3}


def evaluate(family, **changes):
    return hx.evaluate(RULE, THETA, family, **{**SETTINGS, **changes})


@pytest.fixture(scope="module")
def curves(family):
    return evaluate(family)


def test_shapes(curves):
    assert curves.steps.tolist() == [1, 2, 3, 4, 5]
    assert curves.accuracy.shape == curves.loss.shape == (3, 5)
    np.testing.assert_array_equal(curves.after(3), curves.accuracy[:, 2])
    with pytest.raises(ValueError, match="6"):
        curves.after(6)


def test_equals_a_loop(curves, family):
    """Each row is a network of its own, judged on all test rows after each update."""
    x_test, y_test = family.test_set()
    update, predict = jax.jit(RULE.update), jax.jit(RULE.predict)
    for row, key in enumerate(jax.random.split(jax.random.key(0), 3)):
        _, k_net, k_data = jax.random.split(key, 3)
        net = RULE.init_network(THETA, k_net, (3, 4, 2))
        for step in range(5):
            x, y = family.stream(jax.random.fold_in(k_data, step), 1, 6)
            net, _ = update(THETA, net, x[0], y[0])
            prediction = predict(THETA, net, x_test)
            found = curves.accuracy[row, step], curves.loss[row, step]
            expected = accuracy(prediction, y_test), cross_entropy(prediction, y_test)
            np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_learns(curves):
    assert curves.loss[:, -1].mean() < curves.loss[:, 0].mean()


def test_some_points_only(curves, family):
    some = evaluate(family, at=[5, 2])
    assert some.steps.tolist() == [2, 5]
    np.testing.assert_array_equal(some.accuracy, curves.accuracy[:, [1, 4]])
    np.testing.assert_array_equal(some.loss, curves.loss[:, [1, 4]])


@pytest.mark.parametrize("test_batch", [1, 5, 13])
def test_pieces_of_the_test_set_do_not_matter(curves, family, test_batch):
    pieces = evaluate(family, test_batch=test_batch)
    np.testing.assert_allclose(pieces.accuracy, curves.accuracy, rtol=1e-6)
    np.testing.assert_allclose(pieces.loss, curves.loss, rtol=1e-5)


def test_key_decides(curves, family):
    np.testing.assert_array_equal(evaluate(family, key=jax.random.key(0)).loss, curves.loss)
    assert (evaluate(family, key=jax.random.key(1)).loss != curves.loss).all()


def test_seeds_differ(curves):
    assert len(np.unique(curves.loss[:, 0])) == 3


def test_random_tasks_are_fixed_for_a_lifetime():
    """Five blobs somewhere else in every task can be learnt, as each row has one task."""
    curves = hx.evaluate(
        hx.Backprop("adam"), LearningRate(jnp.float32(0.05)), hx.tasks.toy("blobs5"),
        hidden=(16,), steps=60, batch=32, seeds=2, at=[1, 60],
    )  # fmt: skip
    assert np.isfinite(curves.loss).all()
    assert (curves.after(60) > 0.6).all()


def test_one_output():
    curves = evaluate(hx.tasks.toy("or", outputs=1), seeds=1, at=[5])
    assert 0 <= curves.accuracy.item() <= 1
    assert np.isfinite(curves.loss).all()


@pytest.mark.parametrize("name", ["steps", "batch", "seeds", "test_batch"])
def test_counts(family, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1; got 0"):
        evaluate(family, **{name: 0})


@pytest.mark.parametrize("at", [[], [0], [6], [3, -1]])
def test_bad_points(family, at):
    with pytest.raises(ValueError, match="at must hold numbers of updates from 1 to 5"):
        evaluate(family, at=at)


def test_best_backprop_is_at_least_as_good_as_each_rate(family):
    rates = (1e-3, 0.1, 1.0)
    best, chosen = hx.best_backprop("sgd", family, rates=rates, **SETTINGS)
    singles = [
        hx.evaluate(hx.Backprop("sgd"), LearningRate(jnp.float32(rate)), family, **SETTINGS)
        for rate in rates
    ]
    means = np.stack([single.accuracy.mean(axis=0) for single in singles])
    np.testing.assert_array_equal(best.accuracy.mean(axis=0), means.max(axis=0))
    for point, rate in enumerate(chosen):
        single = singles[rates.index(rate)]
        np.testing.assert_array_equal(best.accuracy[:, point], single.accuracy[:, point])
        np.testing.assert_array_equal(best.loss[:, point], single.loss[:, point])


def test_best_backprop_refuses(family):
    with pytest.raises(ValueError, match="optimizer must be one of sgd, momentum, adam"):
        hx.best_backprop("adan", family)
    with pytest.raises(ValueError, match="rates must hold at least one learning rate"):
        hx.best_backprop("sgd", family, rates=())


def test_nothing_is_not_a_number_where_nobody_looks(family):
    """JAX's search for NaNs finds none in curves that are judged at some updates only."""
    rule = hx.Hebbian()
    with jax.debug_nans(True):
        curves = hx.evaluate(
            rule, rule.init(jax.random.key(0)), family, hidden=(), steps=3, batch=4, seeds=1, at=[3]
        )
    assert np.isfinite(curves.accuracy).all()


def test_tasks_of_one_size_share_the_program_that_learns():
    begun = []

    def hear(event, _, fun_name="", **__):
        if event.endswith("jaxpr_to_mlir_module_duration") and "_learn" in fun_name:
            begun.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        # Sizes that no other test has.
        for name in ("xor", "and", "circle"):
            evaluate(hx.tasks.toy(name), hidden=(3,), batch=7)
        assert len(begun) == 1
        evaluate(hx.tasks.toy("xor"), hidden=(2,), batch=7)
        assert len(begun) == 2
    finally:
        jax.monitoring.unregister_event_duration_listener(hear)


def test_drawn_in_pieces(family, curves, monkeypatch):
    """However few batches are drawn at once, and whether or not these divide the updates."""
    for at_once in (1, 2 * 4 * 3 * 6 * 5):
        monkeypatch.setattr("hebbax.inner._evaluation.AT_ONCE", at_once)
        pieces = evaluate(family)
        np.testing.assert_allclose(pieces.accuracy, curves.accuracy, rtol=1e-6)
        np.testing.assert_allclose(pieces.loss, curves.loss, rtol=1e-5)
