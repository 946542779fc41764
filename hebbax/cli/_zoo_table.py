"""The tables of `hebbax rules --evaluate`: shipped rules on the same tasks, and tuned Adam."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jaxtyping import PyTree

from hebbax import data, tasks, zoo
from hebbax.inner import (
    RATES,
    Curves,
    best_backprop,
    best_online_backprop,
    evaluate,
    evaluate_online,
)
from hebbax.rules import AbstractRule

POINTS = (5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of updates in the table."""
TASKS = ("digits", "mnist", "fashion_mnist", "az_letters")
HIDDEN, BATCH = (64,), 128
ONLINE = ("vsml/online",)
EXAMPLES = (50, 100, 200, 500, 1000)
"""Numbers of examples in the table of the rules that learn online."""
ADAM = "Adam, best rate"


def at_hand() -> tuple[str, ...]:
    """Return those of `TASKS` whose files are on this machine."""
    there = {info.name for info in data.available() if info.found}
    return tuple(name for name in TASKS if name in there)


def for_batches() -> dict[str, tuple[AbstractRule, PyTree]]:
    """Return the shipped rules that learn from labelled batches."""
    return {name: zoo.load(name) for name in zoo.list() if name.startswith("blur/")}


def for_examples() -> dict[str, tuple[AbstractRule, PyTree]]:
    """Return the shipped rules that learn from one labelled example after another."""
    return {name: zoo.load(name) for name in zoo.list() if name in ONLINE}


def table(
    rules: Mapping[str, tuple[AbstractRule, PyTree]],
    on: Sequence[str],
    *,
    points: Sequence[int] = POINTS,
    seeds: int = 8,
    rates: int = 13,
    adam: bool = True,
    seed: int = 0,
    told: Callable[[int, str], None] = lambda done, what: None,
) -> list[dict[str, Any]]:
    """Train networks of 64 hidden units with every rule on every task, images at full size.

    **Arguments:**

    - `rules`: rules with their θ, by name. `on`: tasks, see `hebbax.tasks.by_name`.
    - `points`: numbers of updates, of 128 examples each, after which test accuracy is taken.
    - `seeds`: networks a rule and task.
    - `rates`: how many of the 13 learning rates of `best_backprop` Adam may choose from.
    - `adam`: whether Adam is measured too.
    - `told`: called with how many learners are done, and which is next.

    **Returns:** a row for each task and learner: its `accuracy`, for each point `{"mean", "std"}`,
    or None where a network's loss is no longer finite.
    """
    settings: dict[str, Any] = {
        "hidden": HIDDEN,
        "steps": max(points),
        "batch": BATCH,
        "seeds": seeds,
        "key": jax.random.key(seed),
        "at": tuple(points),
    }
    few = RATES["adam"][:: max(1, (len(RATES["adam"]) - 1) // max(1, rates - 1))]
    rows = []
    for task in on:
        family = tasks.by_name(task)
        for name in (*rules, *([ADAM] if adam else [])):
            told(len(rows), f"{name} on {task}")
            if name == ADAM:
                curves, _ = best_backprop("adam", family, rates=few, **settings)
            else:
                curves = evaluate(*rules[name], family, **settings)
            rows.append({"task": task, "rule": name, "updates": list(points), **_summary(curves)})
    return rows


def online_table(
    rules: Mapping[str, tuple[AbstractRule, PyTree]],
    on: Sequence[str],
    *,
    points: Sequence[int] = EXAMPLES,
    seeds: int = 8,
    rates: int = 13,
    adam: bool = True,
    seed: int = 0,
    told: Callable[[int, str], None] = lambda done, what: None,
) -> list[dict[str, Any]]:
    """Train networks without hidden units online with every rule, images at full size.

    Arguments and rows are as those of `table`, but `points` count single examples of the test set,
    and the accuracy is the share that was right of all so far, each predicted before it was learnt
    from. No more points are taken than the test set has examples.
    """
    few = RATES["adam"][:: max(1, (len(RATES["adam"]) - 1) // max(1, rates - 1))]
    rows = []
    for task in on:
        family = tasks.by_name(task)
        here = [point for point in points if point <= len(family.test_set()[0])]
        settings: dict[str, Any] = {
            "steps": max(here),
            "seeds": seeds,
            "key": jax.random.key(seed),
        }
        for name in (*rules, *([ADAM] if adam else [])):
            told(len(rows), f"{name} on {task}")
            if name == ADAM:
                cumulative, _ = best_online_backprop("adam", family, rates=few, **settings)
            else:
                cumulative = evaluate_online(*rules[name], family, **settings).cumulative
            columns = [cumulative[:, point - 1] for point in here]
            accuracy = [{"mean": float(c.mean()), "std": float(c.std())} for c in columns]
            accuracy += [None] * (len(points) - len(here))
            rows.append(
                {"task": task, "rule": name, "examples": list(points), "accuracy": accuracy}
            )
    return rows


def _summary(curves: Curves) -> dict[str, Any]:
    means, deviations = curves.accuracy.mean(axis=0), curves.accuracy.std(axis=0)
    # Accuracy alone would not show it: the largest of no numbers is the first.
    return {
        "accuracy": [
            {"mean": float(mean), "std": float(deviation)} if good else None
            for mean, deviation, good in zip(means, deviations, curves.finite, strict=True)
        ]
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return a table that can be read as it is and put into a page."""
    online = "examples" in rows[0]
    points, missing = rows[0]["examples" if online else "updates"], "" if online else "overflow"
    lines = [["data set", "rule", *map(str, points)]]
    for row in rows:
        cells = [missing if a is None else f"{a['mean']:.3f}" for a in row["accuracy"]]
        lines.append([row["task"], row["rule"], *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
            for line in lines]  # fmt: skip
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([text[0], rule, *text[1:]])
