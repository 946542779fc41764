"""`hebbax rules`."""

import dataclasses

from tyro.conf import FlagCreatePairsOff

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json, say


@dataclasses.dataclass(frozen=True)
class Rules(Command):
    """List the rules that ship with the package."""

    json: FlagCreatePairsOff[bool] = False
    """Print JSON."""

    def run(self) -> int:
        """Do it."""
        from rich import box
        from rich.table import Table

        from hebbax import zoo
        from hebbax.cli._rule import find_rule

        found = [find_rule(name) for name in zoo.list()]
        if self.json:
            print_json([rule.summary() for rule in found])
            return 0
        place = console()
        if not found:
            say(place, "no rules ship with this version")
            return 0
        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("name", "family", "states", "θ", "what it is"):
            table.add_column(heading, justify="right" if heading in ("states", "θ") else "left")
        for rule in found:
            summary = rule.summary()
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
