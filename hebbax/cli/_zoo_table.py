"""The tables of `hebbax rules --evaluate`: shipped rules on the same tasks, and their opponents."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

from hebbax import data, tasks, zoo
from hebbax._foreign import read_at_most, refusing
from hebbax.cli._evaluate import OPTIMIZERS
from hebbax.cli._feature_table import COMPONENTS, LABELLED, feature_learners
from hebbax.inner import (
    NORMALIZED,
    RATES,
    UNTRAINED,
    Curves,
    NotFiniteWarning,
    best_backprop,
    best_online_backprop,
    evaluate,
    evaluate_online,
    opponents,
)
from hebbax.networks import Given, cnn
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily

POINTS = (5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of updates in the table."""
TASKS = ("digits", "mnist", "fashion_mnist", "az_letters")
HIDDEN, BATCH = (64,), 128
ONLINE = ("vsml/online", "vsml/projected", "vsml/general")
EXAMPLES = (50, 100, 200, 500, 1000)
"""Numbers of examples in the table of the rules that learn online."""
CLONE, CONV = "vsml/backprop", "blur/conv"
SLOW_NETWORKS = 2
"""Of the clone of backpropagation, whose updates take a hundred times as long as the others'."""
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
        self.file, self.about = file, about or {}
        self.rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        if file is None or not file.exists():
            return
        with refusing(f"{file} does not hold the rows of a table"):
            for line in read_at_most(file, LARGEST).decode().splitlines():
                found = json.loads(line)
                if found["about"] == self.about:
                    row = found["row"]
                    self.rows[row["table"], row["task"], row["rule"]] = row

    def row(self, table: "Table", task: str, name: str) -> dict[str, Any]:
        """Return a row that is there, or measure it and keep it."""
        key = (table.name, task, name)
        if key not in self.rows:
            self.rows[key] = table.row(task, name)
            if self.file is not None:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"about": self.about, "row": self.rows[key]}) + "\n")
        return self.rows[key]


Rules = Mapping[str, tuple[AbstractRule, PyTree]]
Accuracies = list[dict[str, float] | None]
"""Mean and deviation over networks for each point, None where a network's loss is not finite."""
Learner = Callable[[str], Accuracies]
"""What measures a learner on the task of this name."""


class Table(NamedTuple):
    """Learners to be measured on the same tasks.

    **Fields:**

    - `name`: what it is called in JSON; `caption`: what it shows.
    - `axis`, `points`: what is counted, and the counts after which accuracies are taken.
    - `on`: the tasks, see `hebbax.tasks.by_name`.
    - `learners`: by name. A row is what one has done on one task.
    """

    name: str
    caption: str
    axis: str
    points: tuple[int, ...]
    on: tuple[str, ...]
    learners: dict[str, Learner]

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Task and learner of each row."""
        return [(task, name) for task in self.on for name in self.learners]

    def row(self, task: str, name: str) -> dict[str, Any]:
        """Measure a row: task, rule, points and accuracies."""
        accuracy = self.learners[name](task)
        return {
            "table": self.name, "task": task, "rule": name, self.axis: list(self.points),
            "accuracy": accuracy,
        }  # fmt: skip


def at_hand() -> tuple[str, ...]:
    """Return those of `TASKS` whose files are on this machine."""
    there = {info.name for info in data.available() if info.found}
    return tuple(name for name in TASKS if name in there)


def tables(
    on: Sequence[str],
    *,
    updates: int = max(POINTS),
    seeds: int = 8,
    matched: bool = False,
    rates: int = 13,
    seed: int = 0,
) -> tuple[Table, ...]:
    """Return the tables of all shipped rules on the tasks `on`.

    **Arguments:**

    - `updates`: how many there are, at most, in any.
    - `seeds`: networks a learner and task.
    - `matched`: whether each rule meets all its opponents, see `hebbax.inner.opponents`, rather
      than Adam alone.
    - `rates`: how many of the 13 learning rates of `best_backprop` Adam may choose from.
    """
    key = jax.random.key(seed)
    few = RATES["adam"][:: max(1, (len(RATES["adam"]) - 1) // max(1, rates - 1))]
    common = {"key": key, "seeds": seeds}

    def batches(rules: Rules, hidden: Given, most: int, **others: int) -> dict[str, Learner]:
        points = until(POINTS, min(most, updates))
        settings = {**common, "hidden": hidden, "batch": BATCH, "steps": max(points), **others}
        adam = partial(best_backprop, "adam", rates=few)
        learn = {name: partial(evaluate, *rule) for name, rule in rules.items()}
        against = {ADAM: _curves(adam), **(_matched(rules) if matched else {})}
        return {
            name: partial(_after_updates, each, settings | {"at": points})
            for name, each in {**learn, **against}.items()
        }

    examples = until(EXAMPLES, max(updates, min(EXAMPLES)))
    online = {name: zoo.load(name) for name in zoo.list() if name in ONLINE}
    learn = {name: partial(_online, *rule) for name, rule in online.items()}
    learn[ADAM] = partial(_online_adam, few)
    narrow = tuple(name for name in on if name == TASKS[0])
    of = f"after updates of {BATCH} examples, mean of {{}} networks {{}}"
    hidden = f"with {HIDDEN[0]} hidden units"
    return (
        Table(
            "batches", "test accuracy " + of.format(seeds, hidden), "updates",
            until(POINTS, updates), tuple(on), batches(for_batches(), HIDDEN, updates),
        ),
        Table(
            "convolutional",
            "test accuracy " + of.format(seeds, "with two convolutional layers"), "updates",
            until(POINTS, min(100, updates)), narrow, batches(_load(CONV), cnn(), 100),
        ),
        Table(
            "clone", "test accuracy " + of.format(min(seeds, SLOW_NETWORKS), hidden), "updates",
            until(POINTS, min(20, updates)), narrow,
            batches(_load(CLONE), HIDDEN, 20, seeds=min(seeds, SLOW_NETWORKS)),
        ),
        Table(
            "online",
            f"online, share that was right of the first examples, each predicted before it was "
            f"learnt from, mean of {seeds} networks without hidden units",
            "examples", examples, tuple(on),
            {name: partial(_after_examples, each, examples, common)
             for name, each in learn.items()},
        ),
        Table(
            "features",
            f"test accuracy of logistic regression on {COMPONENTS} features that were learnt "
            f"without labels, after so many labelled examples a class, mean of {seeds} networks",
            "labelled", LABELLED, tuple(on), feature_learners(seeds, seed),
        ),
    )  # fmt: skip


def until(points: Sequence[int], last: int) -> tuple[int, ...]:
    """Return the points that come no later."""
    return tuple(point for point in points if point <= last)


def for_batches() -> dict[str, tuple[AbstractRule, PyTree]]:
    """Return the shipped rules that learn from labelled batches in any network."""
    return _load(*(n for n in zoo.list() if n.startswith("blur/") and n != CONV))


def _load(*names: str) -> dict[str, tuple[AbstractRule, PyTree]]:
    return {name: zoo.load(name) for name in names}


def _curves(best: Callable[..., tuple[Curves, Any]]) -> Callable[..., Curves]:
    return lambda *args, **settings: best(*args, **settings)[0]


def _matched(rules: Rules) -> dict[str, Callable[..., Curves]]:
    """Return the opponents of all rules, those that are the same once."""
    found: dict[str, Callable[..., Curves]] = {}
    for name, (rule, _) in rules.items():
        last = " in all layers" if rule.normalizes_last else ""
        for other in opponents(rule, OPTIMIZERS):
            plain = other.name.removesuffix(NORMALIZED)
            title = OPTIMIZERS.get(plain, plain)
            if other.name == UNTRAINED:
                title = f"{name}, not meta-trained"
            elif plain != other.name:
                title += f", normalised{last}"
            elif plain == "adam":
                continue
            found.setdefault(title, _curves(other.best))
    return found


def _after_updates(learn: Callable[..., Curves], settings: dict[str, Any], task: str) -> Accuracies:
    with warnings.catch_warnings():
        # The table says it.
        warnings.simplefilter("ignore", NotFiniteWarning)
        curves = learn(tasks.by_name(task), **settings)
    means, deviations = curves.accuracy.mean(axis=0), curves.accuracy.std(axis=0)
    # Accuracy alone would not show it: the largest of no numbers is the first.
    return [
        {"mean": float(mean), "std": float(deviation)} if good else None
        for mean, deviation, good in zip(means, deviations, curves.finite, strict=True)
    ]


def _online(rule: AbstractRule, theta: PyTree, family: AbstractFamily, **settings: Any) -> Any:
    return evaluate_online(rule, theta, family, **settings).cumulative


def _online_adam(rates: Sequence[float], family: AbstractFamily, **settings: Any) -> Any:
    return best_online_backprop("adam", family, rates=rates, **settings)[0]


def _after_examples(
    learn: Callable[..., Any], points: Sequence[int], common: dict[str, Any], task: str
) -> Accuracies:
    """Measure a learner on single examples of the test set, of which there may be too few."""
    family = tasks.by_name(task)
    here = until(points, len(family.test_set()[0]))
    cumulative = learn(family, steps=max(here), **common)
    columns = [cumulative[:, point - 1] for point in here]
    accuracy: Accuracies = [{"mean": float(c.mean()), "std": float(c.std())} for c in columns]
    return accuracy + [None] * (len(points) - len(here))


def markdown(rows: list[dict[str, Any]], axis: str, missing: str = "overflow") -> str:
    """Return a table that can be read as it is and put into a page.

    `missing` stands where there is no accuracy after so many updates.
    """
    points, missing = rows[0][axis], missing if axis == "updates" else ""
    lines = [["data set", "rule", *map(str, points)]]
    for row in rows:
        cells = [missing if a is None else f"{a['mean']:.3f}" for a in row["accuracy"]]
        lines.append([row["task"], row["rule"], *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
            for line in lines]  # fmt: skip
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([text[0], rule, *text[1:]])
