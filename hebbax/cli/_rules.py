"""`hebbax rules`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import FlagCreatePairsOff

from hebbax._version import __version__
from hebbax.cli._command import INTERRUPTED, Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError, at_least, blame

if TYPE_CHECKING:
    from hebbax.cli._zoo_table import Table

SECONDS = 15
"""That a learner takes, in the mean of all, with the defaults."""


@dataclasses.dataclass(frozen=True)
class Rules(Command):
    """List the rules that ship with the package."""

    evaluate: FlagCreatePairsOff[bool] = False
    """Train networks with each of them, and with Adam, on every data set that is here: tables."""
    matched: FlagCreatePairsOff[bool] = False
    """Beside each rule all its opponents, not Adam alone: SGD, momentum, NAdamW and Muon too, the
    same on networks with the rule's normalisation, and the rule before meta-training. Hours."""
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
        for name in ("seeds", "updates", "out", "matched"):
            if getattr(self, name) != getattr(type(self), name):
                given = "" if name == "matched" else f" {getattr(self, name)}"
                raise BadInputError(f"--{name}{given} is for --evaluate, which is missing.")
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

        tables = zoo_table.tables(
            zoo_table.at_hand(), updates=self.updates, seeds=self.seeds, matched=self.matched
        )
        about = {"seeds": self.seeds, "updates": self.updates, "hebbax": __version__}
        with blame(f"--out {self.out}"):
            kept = zoo_table.Kept(self.out, about)
        every = [(table, task, name) for table in tables for task, name in table.cells]
        left = sum((table.name, task, name) not in kept.rows for table, task, name in every)
        say(
            console(stderr=True),
            f"{left} learners are to be measured, which takes some {SECONDS * left // 60 + 1} "
            f"minutes on two idle cores; interrupted, it prints what there is"
            + ("; --out FILE keeps it" if self.out is None else ""),
        )
        rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in tables}
        stopped = False
        try:
            with Progress("evaluating", len(every), shown=True) as bar:
                for done, (table, task, name) in enumerate(every):
                    bar.update(done, f"{name} on {task}")
                    rows[table.name].append(kept.row(table, task, name))
        except KeyboardInterrupt:
            stopped = True
        except OSError as error:
            raise BadInputError(f"--out {self.out} cannot be written: {error}.") from error
        if self.json:
            print_json(rows)
        else:
            self._say([(table, rows[table.name]) for table in tables if rows[table.name]])
        return INTERRUPTED if stopped else 0

    def _say(self, tables: "list[tuple[Table, list[dict[str, Any]]]]") -> None:
        from hebbax.cli import _zoo_table as zoo_table

        place = console()
        for table, rows in tables:
            say(place, f"{table.caption}:")
            say(place, zoo_table.markdown(rows, table.axis) + "\n")
        say(
            place,
            "optimisers have the best of their learning rates (Adam of 13), chosen on the test set "
            "at each column",
        )
