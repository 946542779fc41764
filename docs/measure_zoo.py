"""Measure all shipped rules on the same data sets; write their cards' results and one table.

    python docs/measure_zoo.py [RULE ...]

Given rules, only they are measured; the others, and Adam, stay as they were measured last. Needs
the data of `TASKS` in `hebbax.cli._zoo_table`. Besides what a card says of training, which
stays, it gets `results` and `baselines`; docs/results/zoo.md gets the table.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax

from hebbax import save_rule, zoo
from hebbax.cli import _zoo_table as zoo_table
from hebbax.rule_file import read_rule_file

SEEDS = 8
PAGE = Path(__file__).parent / "results" / "zoo.md"
HEAD = f"""\
# All shipped rules on the same data

Test accuracy on whole test sets, images at their full size, after as many updates of
{zoo_table.BATCH} examples as the column says: mean of {SEEDS} networks with
{zoo_table.HIDDEN[0]} hidden units. Adam has the best of 13 learning rates over four orders of
magnitude, chosen on the test set for each column apart, which favours it. "-": numbers that are not
finite. `hebbax rules --evaluate` prints this table anew; `python docs/measure_zoo.py` wrote it, and
the cards. blur/stream, which learns from streams, is measured in `docs/results/streams.md`.
"""


ONLINE = f"""\

## Online

Share that was right of the first examples of the test set, each predicted before it was learnt
from: mean of {SEEDS} networks without hidden units. Adam as above.
"""
ADAM = (
    "Adam with the best of 13 learning rates over four orders of magnitude, chosen on the test set "
    "for each number of updates apart"
)


def main(names: Sequence[str]) -> None:
    """Measure the rules of these names, or all with Adam beside them, and write."""
    told: Callable[[int, str], None] = lambda n, what: print(n, what, flush=True)  # noqa: E731
    settings = {"seeds": SEEDS, "told": told}
    batches, examples = zoo_table.for_batches(), zoo_table.for_examples()
    if unknown := sorted({*names} - {*batches, *examples}):
        raise SystemExit(f"rules must be of {', '.join((*batches, *examples))}; got {unknown}.")
    for all_rules, measure, how in (
        (
            batches,
            zoo_table.table,
            f"test accuracy; images at full size, hidden layer of {zoo_table.HIDDEN[0]}, batches "
            f"of {zoo_table.BATCH}, {SEEDS} networks",
        ),
        (
            examples,
            zoo_table.online_table,
            f"online, share that was right of all examples so far; images at full size, no hidden "
            f"layer, {SEEDS} networks",
        ),
    ):
        rules = {n: rule for n, rule in all_rules.items() if n in names or not names}
        if rules:
            rows = measure(rules, zoo_table.TASKS, adam=not names, **settings)
            _write_cards(rules, rows, how, all_rules)
    tables = (zoo_table.markdown(_rows(rules), "-") for rules in (batches, examples))
    PAGE.write_text("\n".join((HEAD, next(tables), ONLINE, next(tables))) + "\n")


def _write_cards(
    names: Iterable[str], rows: list[dict], how: str, all_names: Iterable[str]
) -> None:
    adam = {row["task"]: row["accuracy"] for row in rows if row["rule"] == zoo_table.ADAM}
    if not adam:
        # Of the last measurement of all; not every card has one.
        measured = _rows(all_names)
        adam = {r["task"]: r["accuracy"] for r in measured if r["rule"] == zoo_table.ADAM}
    for name in names:
        rule, theta, card = read_rule_file(zoo.path(name))
        results = [
            {"data": row["task"]}
            | {key: row[key] for key in ("updates", "examples", "accuracy") if key in row}
            | {"adam": adam[row["task"]]}
            for row in rows
            if row["rule"] == name
        ]
        card |= {
            "results": results,
            "measured_with": f"python docs/measure_zoo.py (jax {jax.__version__}); {how}",
            "baselines": ADAM,
        }
        save_rule(zoo.path(name), rule, theta, card)


def _rows(names: Iterable[str]) -> list[dict]:
    """Return the rows of the table of these rules as their cards have them."""
    cards = {name: read_rule_file(zoo.path(name))[2] for name in names}
    rows = []
    for task in zoo_table.TASKS:
        found = {
            name: result
            for name, card in cards.items()
            for result in card.get("results", ())
            if result["data"] == task
        }
        rows += [{"task": task, "rule": name, **result} for name, result in found.items()]
        last = next(reversed(found.values()))
        rows.append({"task": task, "rule": zoo_table.ADAM, **last, "accuracy": last["adam"]})
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
