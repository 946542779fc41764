"""Measure all shipped rules on the same data sets; write their cards' results and one table.

    python docs/measure_zoo.py

Needs the data of `TASKS` in `hebbax.experiments.zoo_table`. Besides what a card says of training,
which stays, it gets `results` and `baselines`; docs/results/zoo.md gets the table.
"""

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


def main() -> None:
    """Measure, and write."""
    rows = zoo_table.table(
        zoo_table.supervised(), zoo_table.TASKS, seeds=SEEDS, told=lambda n, what: print(n, what)
    )
    for name in zoo_table.supervised():
        rule, theta, card = read_rule_file(zoo.path(name))
        results = [
            {
                "data": row["task"],
                "updates": row["updates"],
                "accuracy": row["accuracy"],
                "adam": next(
                    other["accuracy"]
                    for other in rows
                    if other["task"] == row["task"] and other["rule"] == zoo_table.ADAM
                ),
            }
            for row in rows
            if row["rule"] == name
        ]
        card |= {
            "results": results,
            "measured_with": f"python docs/measure_zoo.py (jax {jax.__version__}); images at full "
            f"size, hidden layer of {zoo_table.HIDDEN[0]}, batches of {zoo_table.BATCH}, "
            f"{SEEDS} networks",
            "baselines": "Adam with the best of 13 learning rates over four orders of magnitude, "
            "chosen on the test set for each number of updates apart",
        }
        save_rule(zoo.path(name), rule, theta, card)
    PAGE.write_text(HEAD + "\n" + zoo_table.markdown(rows) + "\n")


if __name__ == "__main__":
    main()
