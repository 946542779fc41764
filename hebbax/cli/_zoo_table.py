"""The tables of `hebbax rules --evaluate`: shipped rules on the same tasks, and tuned Adam."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

from hebbax import data, tasks, zoo
from hebbax._foreign import read_at_most, refusing
from hebbax.inner import (
    RATES,
    Curves,
    NotFiniteWarning,
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
LARGEST = 2**26
"""Bytes of a file of rows."""


class Kept:
    """Rows that have been measured, in memory and, one a line, in a file.

    **Arguments:** `file`: where they are, None for memory only; `about`: what must be the same for
    a row of the file to serve.

    **Raises:** `ValueError` if the file holds something else; `OSError` if it cannot be read.
    """

    def __init__(self, file: Path | None = None, about: dict[str, Any] | None = None):
        self.file, self.about, self.rows = file, about or {}, {}
        if file is None or not file.exists():
            return
        with refusing(f"{file} does not hold the rows of a table"):
            for line in read_at_most(file, LARGEST).decode().splitlines():
                found = json.loads(line)
                if found["about"] == self.about:
                    row = found["row"]
                    axis = "examples" if "examples" in row else "updates"
                    self.rows[row["task"], row["rule"], axis] = row

    def row(
        self, key: tuple[str, str, str], measure: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Return a row that is there, or measure it and keep it."""
        if key not in self.rows:
            self.rows[key] = measure()
            if self.file is not None:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"about": self.about, "row": self.rows[key]}) + "\n")
        return self.rows[key]


def others() -> dict[str, str]:
    """Return the shipped rules that no table has, and why."""
    there = {*for_batches(), *for_examples()}
    return {name: _why(zoo.load(name)[0]) for name in zoo.list() if name not in there}


def _why(rule: AbstractRule) -> str:
    """Return why no table has a rule."""
    if not rule.learns_from_labels:
        return "makes features of unlabelled examples"
    if not _fits(rule):
        return f"takes networks of {rule.synapse_layers} layers of synapses only"
    return "takes a hundred times as long"


def at_hand() -> tuple[str, ...]:
    """Return those of `TASKS` whose files are on this machine."""
    there = {info.name for info in data.available() if info.found}
    return tuple(name for name in TASKS if name in there)


def for_batches() -> dict[str, tuple[AbstractRule, PyTree]]:
    """Return the shipped rules that learn from labelled batches."""
    rules = {name: zoo.load(name) for name in zoo.list() if name.startswith("blur/")}
    return {n: (rule, theta) for n, (rule, theta) in rules.items() if _fits(rule)}


def _fits(rule: AbstractRule) -> bool:
    """Return whether a rule takes the networks of the table."""
    return rule.synapse_layers in (None, len(HIDDEN) + 1)


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
    kept: Kept | None = None,
) -> list[dict[str, Any]]:
    """Train networks of 64 hidden units with every rule on every task, images at full size.

    **Arguments:**

    - `rules`: rules with their θ, by name. `on`: tasks, see `hebbax.tasks.by_name`.
    - `points`: numbers of updates, of 128 examples each, after which test accuracy is taken.
    - `seeds`: networks a rule and task.
    - `rates`: how many of the 13 learning rates of `best_backprop` Adam may choose from.
    - `adam`: whether Adam is measured too.
    - `told`: called with how many learners are done, and which is next.
    - `kept`: rows that need not be measured again; gets those that are measured.

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
    kept = Kept() if kept is None else kept

    def measure(name: str, task: str) -> dict[str, Any]:
        family = tasks.by_name(task)
        if name == ADAM:
            curves, _ = best_backprop("adam", family, rates=few, **settings)
        else:
            with warnings.catch_warnings():
                # The table says it.
                warnings.simplefilter("ignore", NotFiniteWarning)
                curves = evaluate(*rules[name], family, **settings)
        return {"task": task, "rule": name, "updates": list(points), **_summary(curves)}

    rows = []
    for task in on:
        for name in (*rules, *([ADAM] if adam else [])):
            told(len(rows), f"{name} on {task}")
            rows.append(kept.row((task, name, "updates"), lambda n=name, t=task: measure(n, t)))
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
    kept: Kept | None = None,
) -> list[dict[str, Any]]:
    """Train networks without hidden units online with every rule, images at full size.

    Arguments and rows are as those of `table`, but `points` count single examples of the test set,
    and the accuracy is the share that was right of all so far, each predicted before it was learnt
    from. No more points are taken than the test set has examples.
    """
    few = RATES["adam"][:: max(1, (len(RATES["adam"]) - 1) // max(1, rates - 1))]
    kept = Kept() if kept is None else kept

    def measure(name: str, task: str) -> dict[str, Any]:
        family = tasks.by_name(task)
        here = [point for point in points if point <= len(family.test_set()[0])]
        settings: dict[str, Any] = {
            "steps": max(here),
            "seeds": seeds,
            "key": jax.random.key(seed),
        }
        if name == ADAM:
            cumulative, _ = best_online_backprop("adam", family, rates=few, **settings)
        else:
            cumulative = evaluate_online(*rules[name], family, **settings).cumulative
        columns = [cumulative[:, point - 1] for point in here]
        accuracy = [{"mean": float(c.mean()), "std": float(c.std())} for c in columns]
        accuracy += [None] * (len(points) - len(here))
        return {"task": task, "rule": name, "examples": list(points), "accuracy": accuracy}

    rows = []
    for task in on:
        for name in (*rules, *([ADAM] if adam else [])):
            told(len(rows), f"{name} on {task}")
            rows.append(kept.row((task, name, "examples"), lambda n=name, t=task: measure(n, t)))
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


def markdown(rows: list[dict[str, Any]], missing: str = "overflow") -> str:
    """Return a table that can be read as it is and put into a page.

    `missing` stands where there is no accuracy after so many updates.
    """
    online = "examples" in rows[0]
    points, missing = rows[0]["examples" if online else "updates"], "" if online else missing
    lines = [["data set", "rule", *map(str, points)]]
    for row in rows:
        cells = [missing if a is None else f"{a['mean']:.3f}" for a in row["accuracy"]]
        lines.append([row["task"], row["rule"], *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
            for line in lines]  # fmt: skip
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([text[0], rule, *text[1:]])
