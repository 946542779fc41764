"""What has no accuracy is not judged."""

import equinox as eqx
import jax
import pytest

import hebbax as hx


class Halved(hx.tasks.AbstractFamily):
    """A family whose targets are no labels."""

    inner: hx.tasks.AbstractFamily
    name: str = eqx.field(static=True, default="halved")
    inputs: int = eqx.field(static=True, default=3)
    outputs: int = eqx.field(static=True, default=2)

    def stream(self, key, steps, batch):
        x, y = self.inner.stream(key, steps, batch)
        return x, y / 2

    def query(self, key, query):
        x, y = self.inner.query(key, query)
        return x, y / 2

    def test_set(self):
        x, y = self.inner.test_set()
        return x, y / 2


@pytest.mark.parametrize("judge", [hx.evaluate, hx.evaluate_online])
def test_features_have_no_accuracy(judge, family, key):
    rule = hx.UnsupervisedRule(top_units=2)
    with pytest.raises(ValueError, match="UnsupervisedRule makes features"):
        judge(rule, rule.init(key), family, steps=1, seeds=1)


def test_batches_must_be_large_enough(family, key):
    rule = hx.Blur()
    with pytest.raises(ValueError, match="batch must be at least 2 for this Blur"):
        hx.evaluate_online(rule, rule.init(key), family, steps=1, seeds=1)
    with pytest.raises(ValueError, match="got 1"):
        hx.evaluate(rule, rule.init(key), family, steps=1, batch=1, seeds=1)


@pytest.mark.parametrize(
    "judge", [hx.evaluate, lambda rule, theta, family, **s: hx.best_backprop("sgd", family, **s)]
)
def test_targets_that_are_no_labels_are_refused(judge, family):
    rule = hx.Backprop()
    with pytest.raises(ValueError, match="targets of halved must be one-hot"):
        judge(rule, rule.init(jax.random.key(0)), Halved(family), hidden=(), steps=1, seeds=1)
