"""Measure all shipped rules on the same data sets; write their cards' results and one page.

    python docs/measure_zoo.py [RULE ...]

Rows are kept in docs/results/zoo.jsonl as they are measured, and are not measured again, but for
those of the given rules. Needs the data of `TASKS` in `hebbax.cli._zoo_table`. Besides what a card
says of training, which stays, it gets `results` and `baselines`; docs/results/zoo.md gets the
tables.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from hebbax import save_rule, zoo
from hebbax.cli import _zoo_table as zoo_table
from hebbax.rule_file import read_rule_file

SEEDS = 8
PAGE = Path(__file__).parent / "results" / "zoo.md"
ROWS = PAGE.with_suffix(".jsonl")
CARDS = ("batches", "online")
"""Tables whose rows go into cards."""
HEAD = """\
# All shipped rules on the same data

Whole test sets, images at their full size unless it is said otherwise. Adam has the best of 13
learning rates over four orders of magnitude, chosen on the test set for each column apart, which
favours it; its network has no normalisation (`hebbax rules --evaluate --matched` adds opponents
that have). "-": numbers that are not finite. `hebbax rules --evaluate` prints these tables anew;
`python docs/measure_zoo.py` wrote them, and the cards.
"""
ADAM = (
    "Adam with the best of 13 learning rates over four orders of magnitude, chosen on the test set "
    "for each number of updates apart"
)


def main(names: Sequence[str]) -> None:
    """Measure what has no row yet, and the rules of these names anew, and write."""
    tables = zoo_table.tables(zoo_table.TASKS, seeds=SEEDS)
    if unknown := sorted({*names} - {name for table in tables for name in table.learners}):
        raise SystemExit(f"rules must be shipped ones; got {unknown}.")
    if names and ROWS.exists():
        lines = [line for line in ROWS.read_text().splitlines() if not _is_of(line, names)]
        ROWS.write_text("".join(line + "\n" for line in lines))
    kept = zoo_table.Kept(ROWS, {"seeds": SEEDS})
    parts = [HEAD]
    for table in tables:
        rows = []
        for task, name in table.cells:
            print(table.name, task, name, flush=True)
            rows.append(kept.row(table, task, name))
        title = table.caption[0].upper() + table.caption[1:]
        text = zoo_table.markdown(rows, table.axis, "-")
        parts.append(f"## {table.name.capitalize()}\n\n{title}:\n\n{text}\n")
        if table.name in CARDS:
            _write_cards(table, rows)
    PAGE.write_text("\n".join(parts))


def _is_of(line: str, names: Sequence[str]) -> bool:
    return json.loads(line)["row"]["rule"] in names


def _write_cards(table: zoo_table.Table, rows: list[dict[str, Any]]) -> None:
    adam = {row["task"]: row["accuracy"] for row in rows if row["rule"] == zoo_table.ADAM}
    for name in zoo.list():
        own = [row for row in rows if row["rule"] == name]
        if not own:
            continue
        rule, theta, card = read_rule_file(zoo.path(name))
        results = [
            {"data": row["task"], table.axis: row[table.axis], "accuracy": row["accuracy"]}
            | {"adam": adam[row["task"]]}
            for row in own
        ]
        before = {key: card.get(key) for key in ("results", "baselines")}
        if before == {"results": results, "baselines": ADAM}:
            continue
        how = f"python docs/measure_zoo.py (jax {jax.__version__}); {table.caption}"
        card |= {"results": results, "measured_with": how, "baselines": ADAM}
        save_rule(zoo.path(name), rule, theta, card)


if __name__ == "__main__":
    main(sys.argv[1:])
