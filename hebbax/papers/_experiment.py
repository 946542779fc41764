"""What an experiment is: a figure of a paper, its claim, and the rule that says if it holds."""

import abc
import csv
import dataclasses
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from hebbax._errors import check_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGETS = ("smoke", "small", "paper")
SMOKE_ONLY = "smoke test only: everything runs, but settings are too small to decide anything"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What an experiment found.

    **Fields:**

    - `rows`: the data behind the figure, a dictionary for each line of `data.csv`.
    - `numbers`: what the claim is decided from, and what else a reader wants to know.
    - `holds`: whether the claim came out, decided from the numbers as `criterion` says.
    - `shows`: one sentence with the numbers in it.
    - `figure`: the picture.
    """

    rows: Sequence[Mapping[str, Any]]
    numbers: dict[str, Any]
    holds: bool
    shows: str
    figure: "Figure"


@dataclass_transform(frozen_default=True)
@dataclasses.dataclass(frozen=True)
class Experiment(abc.ABC):
    """One figure or table of a paper; the fields of a subclass, a dataclass, are its settings.

    Their defaults are those of the small budget, half an hour on two cores at most.
    """

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(frozen=True)(cls)

    name: ClassVar[str]
    source: ClassVar[str]
    """Where in the paper."""
    claim: ClassVar[str]
    """What the paper says comes out."""
    criterion: ClassVar[str]
    """How the numbers decide whether it did."""
    smoke: ClassVar[Mapping[str, Any]]
    """Settings of the smoke budget that differ: seconds, to see that everything runs."""
    paper: ClassVar[Mapping[str, Any]]
    """Settings of the paper that differ."""

    @classmethod
    def at(cls, budget: str) -> "Experiment":
        """Return the experiment with the settings of a budget."""
        check_choice("budget", budget, BUDGETS)
        changes = {"smoke": cls.smoke, "small": {}, "paper": cls.paper}[budget]
        return cls(**changes)

    @abc.abstractmethod
    def run(self, work: Path, seed: int) -> Finding:
        """Do it.

        **Arguments:**

        - `work`: a folder for meta-training runs, which are gone on with if they are there.
        - `seed`: decides every random number.
        """


def reproduce(experiment: Experiment, budget: str, seed: int, out: Path) -> dict[str, Any]:
    """Run an experiment and write `result.json`, `data.csv` and `figure.png` to a folder.

    Meta-training runs lie in `runs/` beside them: an interrupted experiment goes on with those.

    **Returns:** what `result.json` holds. Its `holds` is None for the smoke budget, which decides
    nothing, and `verdict` says it in words.

    **Raises:** what the experiment raises; `OSError` if the folder cannot be written.
    """
    import jax
    import matplotlib.pyplot as plt

    from hebbax._files import write_whole
    from hebbax._version import __version__

    begin, cpu = time.perf_counter(), time.process_time()
    finding = experiment.run(out / "runs" / budget, seed)
    result = {
        "experiment": experiment.name,
        "source": experiment.source,
        "claim": experiment.claim,
        "criterion": experiment.criterion,
        "holds": None if budget == "smoke" else bool(finding.holds),
        "verdict": SMOKE_ONLY if budget == "smoke" else "yes" if finding.holds else "no",
        "shows": finding.shows,
        "numbers": finding.numbers,
        "budget": budget,
        "settings": dataclasses.asdict(experiment),
        "seed": seed,
        "command": f"hebbax reproduce {experiment.name} --budget {budget} --seed {seed}",
        "versions": {"hebbax": __version__, "jax": jax.__version__},
        "device": jax.devices()[0].device_kind,
        "seconds": {
            "wall": round(time.perf_counter() - begin, 1),
            "cpu": round(time.process_time() - cpu, 1),
        },
    }
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=_columns(finding.rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(finding.rows)
    text = json.dumps(result, indent=2) + "\n"
    write_whole(out / "data.csv", lambda p: p.write_text(table.getvalue()))
    write_whole(out / "figure.png", lambda p: finding.figure.savefig(p, format="png", dpi=130))
    write_whole(out / "result.json", lambda p: p.write_text(text))
    plt.close(finding.figure)
    return result


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
