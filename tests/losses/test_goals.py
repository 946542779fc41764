"""What a family asks for: goals, the targets that rules are told of, and who refuses what."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import METHOD

import hebbax as hx
from hebbax.losses import CLASSES, Classification, Regression, Targets, targets

X = jax.random.normal(jax.random.key(0), (6, 3))
Y = jax.random.normal(jax.random.key(1), (6, 2))
LABELS = jax.nn.one_hot(jnp.arange(6) % 2, 2)
SIZES = (3, 4, 2)
RULES = {
    "blur": hx.Blur(normalization=None, synapse_normalization=None),
    "backprop": hx.Backprop("sgd", learning_rate=0.1),
    "alignment": hx.FeedbackAlignment(optimizer="sgd", learning_rate=0.1),
    "hebbian": hx.Hebbian(),
    "vsml": hx.Vsml(state_size=4, message_size=3),
    "meta-rnn": hx.MetaRnn(inputs=3, outputs=2, state_size=4),
}


class Huber(hx.losses.AbstractGoal):
    """A goal of a user's own."""

    metric = "absolute_error"

    def loss(self, prediction, y):
        return jnp.mean(optax.huber_loss(prediction, y))

    def score(self, prediction, y):
        return jnp.mean(jnp.abs(prediction - y))


@eqx.filter_jit
def learner(rule):
    sizes = (3, 2) if isinstance(rule, hx.MetaRnn) else SIZES
    theta = rule.init(jax.random.key(2))
    return theta, rule.init_network(theta, jax.random.key(3), sizes)


@eqx.filter_jit
def update(rule, theta, net, x, y):
    return rule.update(theta, net, x, y)


def test_labels_are_told_as_they_are():
    assert targets(LABELS, CLASSES) is LABELS
    assert isinstance(targets(Y, Regression()), Targets)
    assert hx.tasks.toy("xor").goal == CLASSES


def test_squared_error_and_its_feedback():
    goal, prediction = Regression(), 0 * Y
    assert goal.loss(prediction, Y) == pytest.approx(float(jnp.sum(Y**2) / 6), rel=1e-6)
    np.testing.assert_array_equal(goal.feedback(prediction + 1, Y), Y - 1)
    np.testing.assert_array_equal(Regression("target").feedback(prediction + 1, Y), Y)
    assert not goal.higher_is_better
    assert Classification().higher_is_better


def test_by_default_the_feedback_descends_the_loss():
    """Of each row: the number of rows does not matter."""
    goal = Huber()
    told = goal.feedback(0 * Y, Y)
    np.testing.assert_allclose(told, jnp.clip(Y, -1, 1) / 2, rtol=1e-6)
    np.testing.assert_allclose(goal.feedback(0 * Y[:2], Y[:2]), told[:2], rtol=1e-6)


def test_the_feedback_of_labels_is_the_negative_gradient_of_the_cross_entropy():
    told = CLASSES.feedback(Y, LABELS)
    np.testing.assert_allclose(told, LABELS - jax.nn.softmax(Y), atol=1e-6)


def test_feedback_of_a_wrong_shape_is_refused():
    class Narrow(Huber):
        def feedback(self, prediction, y):
            return prediction[:, 0]

    with pytest.raises(ValueError, match=r"must have the shape of the prediction, \[6, 2\]"):
        Targets(Y, Narrow()).feedback(Y)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_told_of_real_numbers(name):
    rule = RULES[name]
    theta, net = learner(rule)
    told = Targets(Y, Regression())
    changed, prediction = update(rule, theta, net, X, told)
    other, _ = update(rule, theta, net, X, Targets(Y + 1, Regression()))
    assert prediction.shape == Y.shape
    different = [
        not np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(changed), jax.tree.leaves(other), strict=True)
    ]
    assert any(different)


@pytest.mark.parametrize("name", ["alignment", "backprop", "vsml", "meta-rnn"])
def test_labels_as_targets_teach_what_labels_teach(name):
    """Rules whose feedback for labels is the gradient of the cross-entropy."""

    class Same(Classification):
        """Classification that says itself what the feedback is."""

    rule = RULES[name]
    theta, net = learner(rule)
    rows = 1 if name == "meta-rnn" else 6
    plain, _ = update(rule, theta, net, X[:rows], LABELS[:rows])
    told, _ = update(rule, theta, net, X[:rows], Targets(LABELS[:rows], Same()))
    if name == "meta-rnn":  # it is told a logit where a label would be a probability
        plain, told = plain.error, told.error
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), plain, told)


def test_blur_puts_the_residual_on_the_second_state():
    rule = RULES["blur"]
    theta, net = learner(rule)

    @jax.jit
    def passes(theta, net):
        forward = rule.forward(theta, net, X)
        return forward, rule.backward(theta, net, forward, Targets(Y, Regression()))

    forward, final = passes(theta, net)
    np.testing.assert_allclose(final[-1][1], Y.T - forward[-1][0], rtol=1e-6)


def test_backprop_descends_the_squared_error():
    rule = RULES["backprop"]
    theta, net = learner(rule)
    changed, _ = update(rule, theta, net, X, Targets(Y, Regression()))

    def loss(network):
        return jnp.mean(jnp.sum((network(X, jnp.tanh)[-1] - Y) ** 2, axis=1))

    gradient = jax.jit(jax.grad(loss))(net.network)
    for before, after, slope in zip(
        net.network.weights, changed.network.weights, gradient.weights, strict=True
    ):
        np.testing.assert_allclose(after, before - 0.1 * slope, atol=1e-6)


def test_targets_need_a_row_for_each_row():
    rule = RULES["backprop"]
    theta, net = learner(rule)
    with pytest.raises(ValueError, match="targets must have a row for each of the 6 rows of x"):
        rule.update(theta, net, X, Targets(Y[:4], Regression()))
    with pytest.raises(ValueError, match=r"ys must have \[1, 6\] as the leading axes"):
        hx.unroll(rule, theta, net, X[None], Targets(Y, Regression()))


@pytest.mark.parametrize(
    ("objective", "refuses"),
    [
        (hx.objectives.QueryLoss(steps=2, batch=4, query=8), False),
        (hx.objectives.OnlineLoss(steps=2, batch=4, query=8), False),
        (hx.objectives.Prequential(steps=2, batch=4, query=8), False),
        (hx.objectives.QueryCrossEntropy(steps=2, batch=4, query=8), True),
        (hx.objectives.OnlineCrossEntropy(steps=2, batch=4, query=8), True),
        (hx.objectives.QueryAccuracy(steps=2, batch=4, query=8), True),
        (hx.objectives.FewShotRidge(steps=2, batch=4, query=20, evaluations=1), True),
    ],
)
def test_objectives_of_classes_refuse_others(objective, refuses):
    settings = {"hidden": (), "steps": 1, "key": jax.random.key(0)}
    arguments = (RULES["backprop"], hx.tasks.sinusoids(), objective, METHOD)
    if refuses:
        with pytest.raises(ValueError, match=r"judges classes only; sinusoids asks for Regr"):
            hx.MetaTraining(*arguments, **settings)
    else:
        problem_loss, metrics = jax.jit(_problem(*arguments[:3]).loss)(*_theta_and_key())
        assert np.isfinite(problem_loss)
        assert list(metrics) == ["squared_error"]


def _theta_and_key():
    return RULES["backprop"].init(jax.random.key(0)), jax.random.key(1)


def _problem(rule, family, objective):
    from hebbax.outer._problem import Problem

    return Problem(rule, [family], objective)


def test_families_that_ask_for_different_things_are_learnt_together():
    """Each has its own metric; the loss is the mean over both."""
    from hebbax.outer._problem import Problem

    objective = hx.objectives.QueryLoss(steps=2, batch=4, query=8)
    families = [hx.tasks.sinusoids(), hx.tasks.toy("xor", outputs=1)]
    problem = Problem(RULES["backprop"], families, objective)
    loss, metrics = jax.jit(problem.loss)(*_theta_and_key())
    assert set(metrics) == {
        "squared_error", "squared_error/sinusoids", "accuracy", "accuracy/xor",
    }  # fmt: skip
    assert np.isfinite(loss)


def test_others_that_judge_classes_refuse():
    rule, theta = RULES["backprop"], _theta_and_key()[0]
    waves = hx.tasks.sinusoids()
    with pytest.raises(ValueError, match="evaluate_online judges classes only"):
        hx.evaluate_online(rule, theta, waves)
    with pytest.raises(ValueError, match="noise on labels judges classes only"):
        hx.tasks.noisy(waves, labels=0.1)
    with pytest.raises(ValueError, match="a picture of decision regions judges classes only"):
        hx.plots.decision_regions(rule, theta, [waves], hidden=())
