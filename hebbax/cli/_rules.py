"""`hebbax rules`."""

import dataclasses
from pathlib import Path
from typing import Any

from tyro.conf import FlagCreatePairsOff

from hebbax._version import __version__
from hebbax.cli._command import INTERRUPTED, Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError, at_least, blame

SECONDS = 15
"""That a learner takes, in the mean of all, with the defaults."""


@dataclasses.dataclass(frozen=True)
class Rules(Command):
    """List the rules that ship with the package."""

    evaluate: FlagCreatePairsOff[bool] = False
    """Train networks with each of them, and with Adam, on every data set that is here: a table."""
    seeds: int = 8
    """Networks for each rule and data set in that table."""
    updates: int = 1000
    """Updates of each network in that table, at least 5."""
    out: Path | None = None
    """Where to keep the rows of that table as they are measured; those there need not be again."""
    json: FlagCreatePairsOff[bool] = False
    """Print JSON."""

    def run(self) -> int:
        """Do it."""
        at_least(1, seeds=self.seeds)
        at_least(5, updates=self.updates)
        if self.evaluate:
            return self._evaluate()
        for name in ("seeds", "updates", "out"):
            if getattr(self, name) != getattr(type(self), name):
                raise BadInputError(
                    f"--{name} {getattr(self, name)} is for --evaluate, which is missing."
                )
        return self._list()

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
        total = len(on) * (learners + len(online) + 1)
        about = {"seeds": self.seeds, "updates": self.updates, "hebbax": __version__}
        with blame(f"--out {self.out}"):
            kept = zoo_table.Kept(self.out, about)
        left = total - len(kept.rows)
        say(
            console(stderr=True),
            f"{left} learners are to be measured, which takes some {SECONDS * left // 60 + 1} "
            f"minutes on two idle cores; interrupted, it prints what there is"
            + ("; --out FILE keeps it" if self.out is None else ""),
        )
        stopped = False
        try:
            with Progress("evaluating", total, shown=True) as bar:
                zoo_table.table(
                    rules, on, points=points, seeds=self.seeds, told=bar.update, kept=kept
                )
                zoo_table.online_table(
                    online,
                    on,
                    points=examples,
                    seeds=self.seeds,
                    told=lambda done, what: bar.update(len(on) * learners + done, what),
                    kept=kept,
                )
        except KeyboardInterrupt:
            stopped = True
        except OSError as error:
            raise BadInputError(f"--out {self.out} cannot be written: {error}.") from error
        rows = [row for row in kept.rows.values() if "updates" in row]
        online_rows = [row for row in kept.rows.values() if "examples" in row]
        if self.json:
            print_json({"batches": rows, "online": online_rows})
        else:
            self._say(rows, online_rows)
        return INTERRUPTED if stopped else 0

    def _say(self, rows: list[dict[str, Any]], online_rows: list[dict[str, Any]]) -> None:
        from hebbax.cli import _zoo_table as zoo_table

        place = console()
        if rows:
            say(
                place,
                f"test accuracy after updates of {zoo_table.BATCH} examples, mean of {self.seeds} "
                f"networks with {zoo_table.HIDDEN[0]} hidden units:",
            )
            say(place, zoo_table.markdown(rows))
        if online_rows:
            say(
                place,
                f"online, share that was right of the first examples, each predicted before it was "
                f"learnt from, mean of {self.seeds} networks without hidden units:",
            )
            say(place, zoo_table.markdown(online_rows))
        say(place, "Adam has the best of 13 learning rates, chosen on the test set at each column")
        for name, why in zoo_table.others().items():
            say(place, f"{name} {why}: what it was measured at, hebbax show {name} tells")
