"""What estimators would get wrong without a word, and refuse."""

import math

import jax
import numpy as np
import pytest

import hebbax as hx

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(24, 3)), np.arange(24) % 3
TARGETS = X @ [1.0, 2.0, 3.0]
RULE = hx.Backprop("sgd")
MASKED = np.ma.masked_greater(X, 1.0)


def settings(**given):
    theta = RULE.init(jax.random.key(0))
    small = {"hidden": (3,), "steps": 1, "n_networks": 1, "batch_size": 8, "random_state": 0}
    return {"rule": (RULE, theta), **small, **given}


def classifier(**given):
    return hx.PlasticClassifier(**settings(**given))


def regressor(**given):
    return hx.PlasticRegressor(**settings(**given))


def test_masks_are_not_lost():
    masked_y, masked_targets = np.ma.masked_equal(Y, 1), np.ma.masked_greater(TARGETS, 0.0)
    weight = np.ma.masked_equal(Y * 1.0, 1.0)
    fitted, numbers = classifier().fit(X, Y), regressor().fit(X, TARGETS)
    for name, call in (
        ("X", lambda: classifier().fit(MASKED, Y)),
        ("y", lambda: classifier().fit(X, masked_y)),
        ("sample_weight", lambda: classifier().fit(X, Y, sample_weight=weight)),
        ("X", lambda: classifier().partial_fit(MASKED, Y, classes=[0, 1, 2])),
        ("y", lambda: classifier().partial_fit(X, masked_y, classes=[0, 1, 2])),
        ("X", lambda: fitted.predict(MASKED)),
        ("X", lambda: fitted.predict_proba(MASKED)),
        ("X", lambda: regressor().fit(MASKED, TARGETS)),
        ("y", lambda: regressor().fit(X, masked_targets)),
        ("y", lambda: regressor().partial_fit(X, masked_targets)),
        ("X", lambda: numbers.predict(MASKED)),
        ("X", lambda: hx.PlasticFeatures(hidden=(3,), steps=1).fit(MASKED)),
    ):
        with pytest.raises(ValueError, match=f"{name} must have a value everywhere"):
            call()


def test_arrays_of_that_kind_without_masked_values_are_taken():
    plain = classifier().fit(X, Y).predict(X)
    found = classifier().fit(np.ma.masked_array(X), np.ma.masked_array(Y)).predict(X)
    np.testing.assert_array_equal(found, plain)


def test_numbers_whose_squares_overflow():
    for call in (
        lambda: classifier().fit(X * 1e160, Y),
        lambda: classifier().partial_fit(X * 1e300, Y, classes=[0, 1, 2]),
    ):
        with pytest.raises(ValueError, match="X holds values too large to be standardised; got"):
            call()
    for call in (
        lambda: regressor().fit(X, TARGETS * 1e200),
        lambda: regressor().partial_fit(X, TARGETS * 1e300),
        lambda: regressor().partial_fit(X, TARGETS).partial_fit(X, TARGETS * 1e300),
    ):
        with pytest.raises(ValueError, match="y holds values too large to be standardised; got"):
            call()
    assert np.isfinite(regressor().fit(X, TARGETS * 1e30).predict(X)).all()


def test_weights_that_are_none():
    for estimator, y in ((classifier(), Y), (regressor(), TARGETS)):
        with pytest.raises(ValueError, match="sample_weight must have a finite sum"):
            estimator.fit(X, y, sample_weight=np.full(24, 1e308))
    for one in (-1, math.nan, math.inf):
        with pytest.raises(ValueError, match="class_weight must hold finite numbers of at least 0"):
            classifier(class_weight={0: one, 1: 1, 2: 1}).fit(X, Y)
    with pytest.raises(ValueError, match="not all of them 0"):
        classifier(class_weight={0: 0, 1: 0, 2: 0}).fit(X, Y)


def test_a_chunk_of_which_one_row_counts_is_one_of_one_row():
    rule, theta = hx.zoo.load("blur/mnist")
    assert rule.least_batch == 2
    weight = np.eye(24)[0]
    for estimator, y, more in (
        (classifier(rule=(rule, theta)), Y, {"classes": [0, 1, 2]}),
        (regressor(rule=(rule, theta)), TARGETS, {}),
    ):
        with pytest.raises(ValueError, match=r"got 1 sample\(s\) with a weight above 0"):
            estimator.partial_fit(X, y, sample_weight=weight, **more)


@pytest.mark.usefixtures("unchecked")
def test_networks_are_gone_on_with_or_not_at_all():
    for name, value in (("hidden", (4,)), ("n_networks", 2), ("rule", hx.zoo.path("blur/toy"))):
        for estimator, y in (
            (classifier(warm_start=True), Y),
            (regressor(warm_start=True), TARGETS),
        ):
            estimator.fit(X, y).fit(X, y)
            with pytest.raises(ValueError, match="must stay those of the first fit"):
                estimator.set_params(**{name: value}).fit(X, y)
    for value in ("no", 1, None, []):
        with pytest.raises(ValueError, match="warm_start must be True or False"):
            classifier(warm_start=value).fit(X, Y)
        with pytest.raises(ValueError, match="warm_start must be True or False"):
            regressor(warm_start=value).fit(X, TARGETS)


@pytest.mark.usefixtures("unchecked")
def test_pairs_that_do_not_belong_together(key):
    for theta in (None, 1.0, hx.Blur(states=3).init(key), RULE.init(key)):
        with pytest.raises(ValueError, match="theta"):
            classifier(rule=(hx.Blur(states=2), theta)).fit(X, Y)
    with pytest.raises(ValueError, match="rule must be a shipped rule"):
        classifier(rule="x" * 5000).fit(X, Y)
