"""`hebbax plot RUN [RUN ...]`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError, blame, check_name

FORMATS = (".png", ".pdf", ".svg")
DOTS_PER_INCH = 150


@dataclasses.dataclass(frozen=True)
class Plot(Command):
    """Draw the curves of meta-training runs on top of each other, also while they go on."""

    runs: Annotated[
        Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="")
    ]
    """Run directories, as `hebbax train` makes them."""
    out: Path | None = None
    """The picture: a .png, .pdf or .svg; by default RUN/figures/curves.png, or curves.png in this
    folder if there are several runs."""
    metrics: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="(default: loss accuracy)"),
    ] = ()
    """What to draw, each in a panel of its own."""
    json: FlagCreatePairsOff[bool] = False
    """Print the path as JSON on standard output."""

    @property
    def file(self) -> Path:
        """Where the picture goes."""
        if self.out is not None:
            return self.out
        return (
            self.runs[0] / "figures" / "curves.png" if len(self.runs) == 1 else Path("curves.png")
        )

    def run(self) -> int:
        """Do it."""
        if not self.runs:
            raise BadInputError("RUN is missing; give at least one run directory.")
        if self.file.suffix.lower() not in FORMATS:
            raise BadInputError(
                f"--out must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}; got {self.file}."
            )
        from hebbax._files import write_whole
        from hebbax.plots import run_curves, short_names
        from hebbax.runs import read_log

        logs = []
        for path in self.runs:
            with blame("RUN"):
                logs.append(read_log(path))
        known = tuple(dict.fromkeys(name for log in logs for name in log.metrics))
        for name in self.metrics:
            check_name("--metrics", name, known)
        named = dict(zip(short_names(self.runs), logs, strict=True))
        figure = run_curves(named, metrics=self.metrics or None)
        kind = self.file.suffix[1:].lower()
        with blame(f"--out {self.file} cannot be written"):
            write_whole(
                self.file, lambda path: figure.savefig(path, format=kind, dpi=DOTS_PER_INCH)
            )
        for name in self.metrics:
            without = [str(log.path) for log in logs if name not in log.metrics]
            if without:
                say(console(stderr=True), f"note: there is no {name} in {', '.join(without)}")
        if self.json:
            print_json({"figure": self.file})
        else:
            say(console(), f"{self.file}")
        return 0
