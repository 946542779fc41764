"""`hebbax quickstart`."""

import dataclasses
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json
from hebbax.cli._errors import BadInputError, check_seed, check_writable


@dataclasses.dataclass(frozen=True)
class Quickstart(Command):
    """Meta-learn a genome, and see it train networks on tasks it never saw."""

    budget: Literal["full", "smoke"] = "full"
    """full takes minutes, smoke only shows that everything works."""
    out: Path = Path("runs/quickstart")
    """Where rule file and figures go."""
    seed: int = 0
    """Decides every random number."""
    json: FlagCreatePairsOff[bool] = False
    """Print the results as JSON on standard output, all else on standard error."""

    def run(self) -> int:
        """Do it."""
        check_seed(self.seed)
        check_writable(self.out, "--out")
        from hebbax.cli._jax import set_up_jax

        set_up_jax()
        from hebbax.cli import _quickstart_run as quickstart
        from hebbax.runs import CheckpointError

        place = console(stderr=self.json)
        try:
            results = quickstart.run(self.budget, self.out, self.seed, place)
        except CheckpointError as error:
            raise BadInputError(f"--out {self.out}: {error}") from error
        if self.json:
            print_json(results)
        return 0
