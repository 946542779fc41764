import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equinox import filter_jit

import hebbax as hx
from hebbax.losses._classification import accuracy, cross_entropy

O = hx.objectives  # noqa: E741
RULE = hx.Backprop("sgd", learning_rate=0.5)


def prepare(outputs):
    theta = RULE.init(jax.random.key(0))
    net = RULE.init_network(theta, jax.random.key(1), (2, 3, outputs))
    family = hx.tasks.toy("xor", outputs=outputs)
    return theta, net, filter_jit(family.sample)(jax.random.key(2), steps=3, batch=4, query=7)


update, predict = filter_jit(RULE.update), filter_jit(RULE.predict)


@filter_jit
def judged(objective, *given):
    """Return the network after a lifetime, its loss and metrics."""
    return objective.unroll_and_judge(RULE, *given)


@pytest.fixture(params=[1, 2], ids=["one output", "two outputs"])
def case(request):
    return prepare(request.param)


def by_hand(theta, net, episode):
    """Return the network at the end and the loss of each prediction before its update."""
    losses = []
    for x, y in zip(episode.x, episode.y, strict=True):
        net, prediction = update(theta, net, x, y)
        losses.append(float(cross_entropy(prediction, y)))
    return net, losses


def test_query_cross_entropy(case):
    theta, net, episode = case
    value, metrics = judged(O.QueryCrossEntropy(3, 4, 7), theta, net, episode)[1]
    last, _ = by_hand(theta, net, episode)
    prediction = predict(theta, last, episode.query_x)
    assert float(value) == pytest.approx(float(cross_entropy(prediction, episode.query_y)), 1e-5)
    assert float(metrics["accuracy"]) == float(accuracy(prediction, episode.query_y))


def test_query_accuracy(case):
    theta, net, episode = case
    value, metrics = judged(O.QueryAccuracy(3, 4, 7), theta, net, episode)[1]
    last, _ = by_hand(theta, net, episode)
    share = float(accuracy(predict(theta, last, episode.query_x), episode.query_y))
    assert float(value) == pytest.approx(1 - share, abs=1e-6)
    assert float(metrics["accuracy"]) == share


@pytest.mark.parametrize("skip", [0, 1, 2, 3, 4])
def test_online_cross_entropy(case, skip):
    theta, net, episode = case
    value, _ = judged(O.OnlineCrossEntropy(3, 4, 7, skip=skip), theta, net, episode)[1]
    last, losses = by_hand(theta, net, episode)
    prediction = predict(theta, last, episode.query_x)
    expected = np.mean([*losses[skip:], float(cross_entropy(prediction, episode.query_y))])
    assert float(value) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("skip", "reduction"), [(0, "mean"), (2, "sum")])
def test_early_predictions_weigh_more_where_asked(case, skip, reduction):
    theta, net, episode = case
    objective = O.OnlineCrossEntropy(3, 4, 7, skip=skip, reduction=reduction, early=2.0)
    value, _ = objective.unroll_and_judge(RULE, theta, net, episode)[1]
    last, losses = by_hand(theta, net, episode)
    prediction = RULE.predict(theta, last, episode.query_x)
    losses.append(float(cross_entropy(prediction, episode.query_y)))
    weights = 1 / (np.arange(4) + 2.0)
    expected = np.sum((weights * losses)[skip:])
    if reduction == "mean":
        expected /= weights[skip:].sum()
    assert float(value) == pytest.approx(expected, rel=1e-5)
    # Wherever in its lifetime a part begins, and however much of it is unrolled.
    late, _ = objective.unroll_and_judge(
        RULE, theta, net, episode, first=jnp.asarray(5), taken=jnp.asarray(2)
    )[1]
    halfway = episode.x[:2], episode.y[:2]
    for x, y in zip(*halfway, strict=True):
        net, _ = RULE.update(theta, net, x, y)
    asked = float(cross_entropy(RULE.predict(theta, net, episode.query_x), episode.query_y))
    expected = np.sum(np.asarray([*losses[:2], asked]) / (np.arange(5, 8) + 2.0))
    if reduction == "mean":
        expected /= np.sum(1 / (np.arange(5, 8) + 2.0))
    assert float(late) == pytest.approx(expected, rel=1e-5)


def test_sigmoid_by_hand():
    """Without an update, one output is judged by its sign and by the logistic loss."""
    theta, net, episode = prepare(1)
    theta = type(theta)(jnp.zeros(()))
    value, metrics = judged(O.QueryCrossEntropy(3, 4, 7), theta, net, episode)[1]
    z = np.asarray(predict(theta, net, episode.query_x))[:, 0]
    y = np.asarray(episode.query_y)[:, 0]
    assert float(value) == pytest.approx(np.mean(np.log1p(np.exp(-z * (2 * y - 1)))), rel=1e-5)
    assert float(metrics["accuracy"]) == pytest.approx(np.mean((z > 0) == (y == 1)))


def test_gradient_with_respect_to_the_learning_rate(case):
    theta, net, episode = case

    def value(rate):
        new = type(theta)(rate)
        return judged(O.QueryCrossEntropy(3, 4, 7), new, net, episode)[1][0]

    rate, step = jnp.asarray(0.5), 1e-2
    numeric = (value(rate + step) - value(rate - step)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.grad(value))(rate), numeric, rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("name", ["steps", "batch", "query"])
@pytest.mark.parametrize("kind", [O.QueryCrossEntropy, O.QueryAccuracy, O.OnlineCrossEntropy])
def test_empty_lifetimes(kind, name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1; got 0"):
        kind(**{name: 0})


def test_negative_skip():
    with pytest.raises(ValueError, match="skip must be a whole number of at least 0; got -1"):
        O.OnlineCrossEntropy(skip=-1)


def test_sum_over_the_lifetime(case):
    theta, net, episode = case
    objective = O.OnlineCrossEntropy(3, 4, 7, skip=0, reduction="sum")
    value, _ = judged(objective, theta, net, episode)[1]
    mean, _ = judged(O.OnlineCrossEntropy(3, 4, 7, skip=0), theta, net, episode)[1]
    assert float(value) == pytest.approx(4 * float(mean), rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("first", "taken"), [(0, 3), (1, 3), (5, 3), (0, 2), (2, 1)])
def test_part_of_a_lifetime(case, reduction, first, taken):
    """Later truncations leave out nothing that was left out before; only what is taken counts."""
    theta, net, episode = case
    objective = O.OnlineCrossEntropy(3, 4, 7, skip=2, reduction=reduction)
    after, (value, _) = judged(
        objective, theta, net, episode, jnp.asarray(first), jnp.asarray(taken)
    )
    losses = []
    for x, y in zip(episode.x[:taken], episode.y[:taken], strict=True):
        net, prediction = update(theta, net, x, y)
        losses.append(float(cross_entropy(prediction, y)))
    query = float(cross_entropy(predict(theta, net, episode.query_x), episode.query_y))
    counted = [*losses[max(2 - first, 0) :], query]
    expected = np.sum(counted) if reduction == "sum" else np.mean(counted)
    assert float(value) == pytest.approx(expected, rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), after, net)


class Same(hx.AbstractRule):
    """Learns nothing: its features are its inputs. It refuses labels."""

    def init(self, key):
        return {}

    def init_network(self, theta, key, sizes):
        return jnp.eye(sizes[0], sizes[-1])

    def update(self, theta, net, x, y):
        assert y is None
        return net, x @ net

    def predict(self, theta, net, x):
        return x @ net


def test_few_shot_ridge():
    """On pairs of batches of the query set, without labels for the rule."""
    from hebbax.losses._ridge import few_shot_ridge

    objective = O.FewShotRidge(3, 4, query=24, units=2, evaluations=2, penalty=0.3)
    assert (objective.outputs, objective.supervised) == (2, False)
    episode = filter_jit(hx.tasks.toy("xor").sample)(jax.random.key(2), steps=3, batch=4, query=24)
    judge = filter_jit(objective.unroll_and_judge)
    value, metrics = judge(Same(), {}, jnp.eye(2), episode)[1]
    x, y = episode.query_x, episode.query_y
    pairs = [
        few_shot_ridge(
            x[i : i + 6], y[i : i + 6], x[i + 6 : i + 12], y[i + 6 : i + 12], penalty=0.3
        )
        for i in (0, 12)
    ]
    assert float(value) == pytest.approx(np.mean([float(p[0]) for p in pairs]), rel=1e-5)
    share = np.mean([float(p[1]["accuracy"]) for p in pairs])
    assert float(metrics["accuracy"]) == pytest.approx(share)


class Turning(Same):
    """A rule whose features turn by its θ and by the mean of what it sees."""

    def update(self, theta, net, x, y):
        assert y is None
        angle = theta["rate"] + jnp.mean(x)
        turn = jnp.array([[jnp.cos(angle), jnp.sin(angle)], [-jnp.sin(angle), 2 * jnp.cos(angle)]])
        return net @ turn, x @ net


@pytest.mark.parametrize("remat", [False, True, "segments"])
@pytest.mark.parametrize("taken", [None, 3])
def test_few_shot_ridge_after_every_update(remat, taken):
    """The mean over the states after updates, of the loss, its gradient and the metrics."""
    settings = {"batch": 4, "query": 24, "units": 2, "evaluations": 2}
    every = O.FewShotRidge(5, **settings, remat=remat, every_update=True)
    last = O.FewShotRidge(1, **settings)
    episode = filter_jit(hx.tasks.toy("xor").sample)(jax.random.key(2), steps=5, batch=4, query=24)

    def of_each(theta):
        net, values = jnp.eye(2), []
        for step in range(taken or 5):
            net = Turning().update(theta, net, episode.x[step], None)[0]
            values.append(last.judge(Turning(), theta, net, None, episode))
        means = jax.tree.map(lambda *a: jnp.mean(jnp.stack(a)), *values)
        return means[0], (net, means[1])

    def of_course(theta):
        number = None if taken is None else jnp.asarray(taken)
        net, (loss, metrics) = every.unroll_and_judge(
            Turning(), theta, jnp.eye(2), episode, taken=number
        )
        return loss, (net, metrics)

    theta = {"rate": jnp.asarray(0.3)}
    expected, found = (
        jax.jit(jax.value_and_grad(f, has_aux=True))(theta) for f in (of_each, of_course)
    )
    assert jax.tree.structure(expected) == jax.tree.structure(found)
    for e, f in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-4, atol=1e-6)
    assert abs(float(found[1]["rate"])) > 1e-4


def test_only_labels_count_in_the_accuracy():
    """Columns behind the labels change the loss, and the accuracy is of the labels alone."""
    episode = filter_jit(hx.tasks.toy("xor").sample)(jax.random.key(2), steps=1, batch=4, query=40)
    wide = dataclasses.replace(
        episode,
        y=jnp.concatenate([episode.y, episode.x], axis=2),
        query_y=jnp.concatenate([episode.query_y, 5 + episode.query_x], axis=1),
    )
    settings = {"query": 40, "units": 2, "evaluations": 2}

    def of(**changes):
        objective = O.FewShotRidge(1, 4, **settings, **changes)
        return filter_jit(objective.unroll_and_judge)(Same(), {}, jnp.eye(2), wide)[1]

    whole, labels, lighter = of(), of(classes=2), of(weight_penalty=0.0)
    assert float(whole[0]) == float(labels[0])
    assert float(whole[1]["accuracy"]) != float(labels[1]["accuracy"])
    assert float(lighter[0]) == pytest.approx(float(whole[1]["test_term"]), rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: O.FewShotRidge(weight_penalty=-1.0),
            "weight_penalty must be a finite number of at least 0",
        ),
        (lambda: O.FewShotRidge(query=25), "query must be a multiple of 10"),
        (lambda: O.FewShotRidge(query=10), "at least two examples in each; got 10"),
        (
            lambda: O.FewShotRidge(query=20, units=0),
            "units must be a whole number of at least 1; got 0",
        ),
        (
            lambda: O.FewShotRidge(query=20, penalty=0.0),
            "penalty must be a finite number above 0; got 0.0",
        ),
        (lambda: O.QueryCrossEntropy(remat="some"), "remat must be True, False or 'segments'"),
        (lambda: O.OnlineCrossEntropy(reduction="max"), "reduction"),
    ],
)
def test_bad_settings(unchecked, make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_default_few_shot_ridge_can_be_made():
    assert O.FewShotRidge().query % (2 * O.FewShotRidge().evaluations) == 0


def test_objective_that_defines_nothing():
    class Empty(O.AbstractObjective):
        pass

    theta, net, episode = prepare(2)
    with pytest.raises(NotImplementedError, match="Empty must define judge"):
        Empty(3, 4, 7).unroll_and_judge(RULE, theta, net, episode)
