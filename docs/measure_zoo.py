"""Measure all shipped rules on the same data sets; write their cards' results and one table.

    python docs/measure_zoo.py

Needs the data of `TASKS` in `hebbax.experiments.zoo_table`. Besides what a card says of training,
which stays, it gets `results` and `baselines`; docs/results/zoo.md gets the table.
"""

from collections.abc import Iterable
from pathlib import Path

import jax

from hebbax import save_rule, zoo
from hebbax.experiments import zoo_table
from hebbax.rule_file import read_rule_file

SEEDS = 8
PAGE = Path(__file__).parent / "results" / "zoo.md"
HEAD = f"""\
# All shipped rules on the same data

Test accuracy on whole test sets, images at their full size, after as many updates of
{zoo_table.BATCH} examples as the column says: mean of {SEEDS} networks with
{zoo_table.HIDDEN[0]} hidden units. Adam has the best of 13 learning rates over four orders of
magnitude, chosen on the test set for each column apart, which favours it. "overflow": a network's
outputs are no longer finite. `hebbax rules --evaluate` prints this table anew;
`python docs/measure_zoo.py` wrote it, and the cards.
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


def main() -> None:
    """Measure, and write."""
    settings = {"seeds": SEEDS, "told": lambda n, what: print(n, what, flush=True)}
    rows = zoo_table.table(zoo_table.for_batches(), zoo_table.TASKS, **settings)
    online = zoo_table.online_table(zoo_table.for_examples(), zoo_table.TASKS, **settings)
    _write_cards(
        zoo_table.for_batches(),
        rows,
        f"test accuracy; images at full size, hidden layer of {zoo_table.HIDDEN[0]}, batches of "
        f"{zoo_table.BATCH}, {SEEDS} networks",
    )
    _write_cards(
        zoo_table.for_examples(),
        online,
        f"online, share that was right of all examples so far; images at full size, no hidden "
        f"layer, {SEEDS} networks",
    )
    tables = zoo_table.markdown(rows), ONLINE, zoo_table.markdown(online)
    PAGE.write_text("\n".join((HEAD, *tables)) + "\n")


def _write_cards(names: Iterable[str], rows: list[dict], how: str) -> None:
    adam = {row["task"]: row["accuracy"] for row in rows if row["rule"] == zoo_table.ADAM}
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


if __name__ == "__main__":
    main()
