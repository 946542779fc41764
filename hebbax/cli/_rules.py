"""`hebbax rules`."""

import dataclasses

from tyro.conf import FlagCreatePairsOff

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import at_least


@dataclasses.dataclass(frozen=True)
class Rules(Command):
    """List the rules that ship with the package."""

    evaluate: FlagCreatePairsOff[bool] = False
    """Train networks with each of them, and with Adam, on every data set that is here: a table."""
    seeds: int = 8
    """Networks for each rule and data set in that table."""
    updates: int = 1000
    """Updates of each network in that table, at least 5."""
    json: FlagCreatePairsOff[bool] = False
    """Print JSON."""

    def run(self) -> int:
        """Do it."""
        at_least(1, seeds=self.seeds)
        at_least(5, updates=self.updates)
        return self._evaluate() if self.evaluate else self._list()

    def _list(self) -> int:
        from rich import box
        from rich.table import Table

        from hebbax import _shipped

        found = [_shipped.summary(name) for name in _shipped.names()]
        if self.json:
            print_json(found)
            return 0
        place = console()
        if not found:
            say(place, "no rules ship with this version")
            return 0
        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("name", "family", "states", "θ", "what it is"):
            table.add_column(heading, justify="right" if heading in ("states", "θ") else "left")
        for summary in found:
            states = summary["states"]
            table.add_row(
                summary["name"],
                summary["family"],
                "" if states is None else str(states),
                f"{summary['meta_parameters']:,}",
                summary["title"] or "",
            )
        place.print(table)
        say(place, "hebbax show NAME prints one; hebbax evaluate NAME --task TASK puts it to work")
        return 0

    def _evaluate(self) -> int:
        from hebbax.cli._jax import set_up_jax

        set_up_jax(runs=1)
        from hebbax._progress import Progress
        from hebbax.cli import _zoo_table as zoo_table

        on, rules, online = (
            zoo_table.at_hand(),
            zoo_table.for_batches(),
            zoo_table.for_examples(),
        )
        points = [point for point in zoo_table.POINTS if point <= self.updates]
        examples = [point for point in zoo_table.EXAMPLES if point <= max(self.updates, 50)]
        learners = len(rules) + 1
        with Progress("evaluating", len(on) * (learners + len(online) + 1), shown=True) as bar:
            rows = zoo_table.table(rules, on, points=points, seeds=self.seeds, told=bar.update)
            online_rows = zoo_table.online_table(
                online,
                on,
                points=examples,
                seeds=self.seeds,
                told=lambda done, what: bar.update(len(on) * learners + done, what),
            )
        if self.json:
            print_json({"batches": rows, "online": online_rows})
            return 0
        place = console()
        say(
            place,
            f"test accuracy after updates of {zoo_table.BATCH} examples, mean of {self.seeds} "
            f"networks with {zoo_table.HIDDEN[0]} hidden units:",
        )
        say(place, zoo_table.markdown(rows))
        say(
            place,
            f"online, share that was right of the first examples, each predicted before it was "
            f"learnt from, mean of {self.seeds} networks without hidden units:",
        )
        say(place, zoo_table.markdown(online_rows))
        say(place, "Adam has the best of 13 learning rates, chosen on the test set at each column")
        return 0
