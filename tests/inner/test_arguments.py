"""Whatever the functions that judge rules are given, they take it or refuse it by name."""

import math

import jax
import numpy as np
import pytest

import hebbax as hx

RULE = hx.Backprop("sgd")
FAMILY = hx.tasks.toy("xor")
X, Y = np.eye(8, 3), np.arange(8) % 2
WRONG_COUNTS = (True, 2.0, 1.5, math.nan, 1e30, 10**30, "3", None, [1], 0, -1)
WRONG_LAYERS = (8, "88", (2.5,), (True,), (0,), ("a",), {4})
WRONG_RATES = (0.1, [math.nan], [-1.0], [0.0], ["a"], [True], [], "sgd")


def theta():
    return RULE.init(jax.random.key(0))


CALLS = {
    "evaluate": (
        lambda **given: hx.evaluate(**{"rule": RULE, "theta": theta(), "family": FAMILY, **given}),
        ("steps", "batch", "seeds", "test_batch"),
    ),
    "evaluate_online": (
        lambda **given: hx.evaluate_online(
            **{"rule": RULE, "theta": theta(), "family": FAMILY, **given}
        ),
        ("steps", "seeds"),
    ),
    "evaluate_stream": (
        lambda **given: hx.evaluate_stream(
            **{"rule": RULE, "theta": theta(), "x": X, "y": Y, **given}
        ),
        ("chunk", "seeds"),
    ),
    "best_backprop": (
        lambda **given: hx.best_backprop(**{"optimizer": "sgd", "family": FAMILY, **given}),
        ("steps", "batch", "seeds", "test_batch"),
    ),
    "best_online_backprop": (
        lambda **given: hx.best_online_backprop(**{"optimizer": "sgd", "family": FAMILY, **given}),
        ("steps", "seeds"),
    ),
    "best_stream_backprop": (
        lambda **given: hx.best_stream_backprop(**{"optimizer": "sgd", "x": X, "y": Y, **given}),
        ("chunk", "seeds"),
    ),
    "best_untrained": (
        lambda **given: hx.best_untrained(
            **{"rule": hx.Blur(states=2), "family": FAMILY, **given}
        ),
        ("steps", "batch", "seeds", "test_batch"),
    ),
}  # fmt: skip


def _refused(call, name, value):
    with pytest.raises(ValueError, match=name) as caught:
        call(**{name: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("function", CALLS)
def test_every_wrong_type_is_named(function):
    call, counts = CALLS[function]
    for name in counts:
        for value in WRONG_COUNTS:
            _refused(call, name, value)
    for value in WRONG_LAYERS:
        _refused(call, "hidden", value)
    for value in (0, "key", np.zeros(2, np.uint32), jax.random.split(jax.random.key(0))):
        _refused(call, "key", value)
    if function.startswith("best") and function != "best_untrained":
        for value in WRONG_RATES:
            _refused(call, "rates", value)
        _refused(call, "optimizer", "sdg")
        _refused(call, "optimizer", None)
    if "stream" not in function:
        _refused(call, "family", "xor")
    if "online" not in function and "stream" not in function:
        for value in (1, [1.5], [True], [0], [], "12"):
            _refused(call, "at", value)
    if function.startswith("evaluate"):
        _refused(call, "rule", "blur/toy")
        _refused(call, "theta", None)
        _refused(call, "theta", hx.Blur(states=2).init(jax.random.key(0)))


@pytest.mark.usefixtures("unchecked")
def test_a_genome_of_other_states_is_refused(key):
    other = hx.Blur(states=3).init(key)
    with pytest.raises(
        ValueError, match=r"theta\S* must have the shape \[2, 2\] for this Blur; got \[3, 3\]"
    ):
        hx.evaluate(hx.Blur(states=2), other, FAMILY, steps=1)


STREAMS = {
    "masked rows": ({"x": np.ma.masked_equal(X, 1.0)}, "x must have a value everywhere"),
    "masked classes": ({"y": np.ma.masked_equal(Y, 1)}, "y must have a value everywhere"),
    "complex": ({"x": X + 1j}, "x must hold real numbers; got complex128"),
    "words": ({"x": X.astype(str)}, "x must hold real numbers; got <U32"),
    "NaN": ({"x": np.where(X == 1, np.nan, X)}, "x must be finite as float32; got nan in row 0"),
    "infinity": ({"x": np.where(X == 1, np.inf, X)}, "x must be finite as float32; got inf in row"),
    "too large": ({"x": X * 1e300}, "x must be finite as float32; got inf in row 0"),
    "one axis": ({"x": X[:, 0]}, "x must have two axes"),
    "no rows": ({"x": X[:0], "y": Y[:0]}, "x must not be empty"),
    "lengths": ({"x": X[:5]}, "y must have a class for each row of x; got 5 rows and 8 classes"),
    "shares": ({"y": Y + 0.5}, "y must hold whole numbers; got float64"),
    "below 0": ({"y": Y - 1}, "y must count classes from 0; got -1 in row 0"),
    "64 bits": ({"y": Y + 2**32}, "y must hold class numbers below 2³¹; got 4294967297"),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("changed", "message"), STREAMS.values(), ids=STREAMS)
def test_streams_that_are_none(changed, message):
    given = {"x": X, "y": Y, **changed}
    for window in (None, 500.0):
        with pytest.raises(ValueError, match=message):
            hx.evaluate_stream(RULE, theta(), **given, window=window)
    with pytest.raises(ValueError, match=message):
        hx.best_stream_backprop("sgd", **given)
    with pytest.raises(ValueError, match=message):
        hx.tasks.stream(**given)
    if "y" not in changed:
        with pytest.raises(ValueError, match=message):
            hx.standardize_online(given["x"]) if "classes" not in message else hx.tasks.stream(
                **given
            )


@pytest.mark.usefixtures("unchecked")
def test_streams_of_too_many_classes_and_other_settings():
    for name, value in (
        ("classes", 1), ("classes", 2.5), ("classes", 10**9), ("classes", True),
        ("window", "a"), ("window", True), ("window", 0.5), ("window", math.nan),
    ):  # fmt: skip
        _refused(CALLS["evaluate_stream"][0], name, value)
    for name, value in (("outputs", 1), ("outputs", 2.5), ("outputs", True), ("name", 5)):
        _refused(lambda **given: hx.tasks.stream(X, Y, **given), name, value)
    curves = hx.evaluate_stream(RULE, theta(), X.tolist(), Y.tolist(), hidden=(), chunk=4)
    for value in (0, 2.5, True, math.nan, "a"):
        _refused(curves.over_time, "window", value)


def test_no_stream_judges_features_or_learns_from_too_few_rows():
    with pytest.raises(ValueError, match="UnsupervisedRule makes features"):
        hx.evaluate_stream(*hx.zoo.load("unsupervised/small"), X, Y)
    with pytest.raises(ValueError, match="chunk must be at least 2 for this Blur"):
        hx.evaluate_stream(*hx.zoo.load("blur/mnist"), X, Y, chunk=1)
    with pytest.raises(ValueError, match="theta must be one of this Blur"):
        hx.best_stream_backprop("sgd", X, Y, rule=hx.Blur(states=2))


def test_targets_that_are_masked_are_no_targets():
    with pytest.raises(ValueError, match="y must have a value everywhere"):
        hx.tasks.regression(X, np.ma.masked_equal(Y * 1.0, 1.0))
