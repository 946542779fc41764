"""`hebbax reproduce EXPERIMENT`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError, blame, check_seed, check_writable
from hebbax.papers import NAMES, find


@dataclasses.dataclass(frozen=True)
class Reproduce(Command):
    """Repeat a figure of a paper, and say whether its claim holds."""

    experiment: Annotated[
        Positional[str],
        tyro.conf.arg(metavar="EXPERIMENT", help=f"Which figure: {', '.join(NAMES)}."),
    ]
    budget: Literal["smoke", "small", "paper"] = "small"
    """smoke: only whether everything runs. small: at most half an hour on two cores. paper: the
    paper's settings."""
    out: Path | None = None
    """Where result.json, data.csv and figure.png go; results/EXPERIMENT by default."""
    seed: int = 0
    """Decides every random number."""
    json: FlagCreatePairsOff[bool] = False
    """Print the result as JSON on standard output, all else on standard error."""

    def run(self) -> int:
        """Do it."""
        check_seed(self.seed)
        with blame("EXPERIMENT"):
            kind = find(self.experiment)
        folder = self.out or Path("results") / self.experiment
        check_writable(folder, "--out")
        from hebbax.cli._jax import set_up_jax

        set_up_jax()
        from hebbax.papers import reproduce
        from hebbax.runs import CheckpointError

        place = console(stderr=self.json)
        say(place, f"{self.experiment} ({kind.source}), {self.budget} budget")
        try:
            result = reproduce(kind.at(self.budget), self.budget, self.seed, folder)
        except CheckpointError as error:
            raise BadInputError(f"--out {folder}: {error}") from error
        if self.json:
            print_json(result)
            return 0
        say(place, result["shows"])
        say(place, f"claim: {result['claim']}")
        say(place, f"holds: {result['verdict']} (decided by: {result['criterion']})")
        say(place, f"{folder / 'figure.png'}, data.csv and result.json beside it")
        return 0
