"""`hebbax data list` and `hebbax data fetch NAME`."""

import dataclasses
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import blame, check_name


@dataclasses.dataclass(frozen=True)
class List(Command):
    """List the data sets, and which of them are on this machine."""

    json: FlagCreatePairsOff[bool] = False
    """Print JSON."""

    def run(self) -> int:
        """Do it."""
        from rich import box
        from rich.table import Table

        from hebbax import data

        with blame("data"):
            known = data.available()
        if self.json:
            print_json([dataclasses.asdict(info) for info in known])
            return 0
        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("name", "what it is", "classes", "shape", "found"):
            table.add_column(heading, overflow="fold")
        for info in known:
            shape = " x ".join(map(str, info.shape))
            found = "not here" if info.found is None else str(info.found)
            table.add_row(info.name, info.description, str(info.classes), shape, found)
        console().print(table)
        return 0


@dataclasses.dataclass(frozen=True)
class Fetch(Command):
    """Download a data set, unless it is on this machine already."""

    name: Annotated[Positional[str], tyro.conf.arg(metavar="NAME")]
    """See `hebbax data list`."""

    def run(self) -> int:
        """Do it."""
        from hebbax import data

        check_name("NAME", self.name, data.names())
        with blame(f"NAME {self.name}"):
            bundled = {info.name for info in data.available() if info.found == "bundled"}
            if self.name in bundled:
                say(console(), f"{self.name} comes with scikit-learn: there is nothing to fetch")
                return 0
            place = console(stderr=True)
            with place.status(f"fetching {self.name}"):
                folder = data.fetch(self.name)
        say(console(), f"{self.name} is in {folder}")
        return 0


@dataclasses.dataclass(frozen=True)
class Data(Command):
    """List or download data sets."""

    action: (
        Annotated[List, tyro.conf.subcommand("list")]
        | Annotated[Fetch, tyro.conf.subcommand("fetch")]
    )

    def run(self) -> int:
        """Do it."""
        return self.action.run()
