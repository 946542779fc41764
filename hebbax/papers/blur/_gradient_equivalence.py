"""Figure 2: a learnt genome's changes are no gradient of any loss."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.figure import Figure

from hebbax.analysis import Asymmetry, asymmetry
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import headline, label, sheet
from hebbax.papers.blur._xor import forward_synapses, learners, subject

FACTOR = 10.0


class GradientEquivalence(Experiment):
    """Asymmetry of ∂Δw/∂w, of a genome that learns xor and of backpropagation."""

    name: ClassVar = "blur/gradient-equivalence"
    source: ClassVar = "BLUR fig. 2, sec. 3.5"
    claim: ClassVar = (
        "The asymmetry of ∂Δw/∂w is well above the numerical error, so no loss exists of which "
        "the rule is gradient descent; for backpropagation it is at the error."
    )
    criterion: ClassVar = (
        f"relative asymmetry of the genome above {FACTOR:g} times its numerical error, that of "
        f"the backpropagation special case at most its numerical error, and the genome learns xor "
        f"to at least 0.9"
    )
    smoke: ClassVar = {"steps": 4, "hidden": 4, "batch": 16}
    paper: ClassVar = {"steps": 10_000}

    hidden: int = 20
    steps: int = 1000
    updates: int = 5
    batch: int = 512

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train on xor, teach a network, and differentiate one more update."""
        cases = learners(work / "xor", self.hidden, self.steps, seed)
        found, rows, numbers = {}, [], {}
        for name, (rule, theta) in cases.items():
            case = subject(rule, theta, self.hidden, self.updates, self.batch, seed)
            test = asymmetry(rule, theta, case.net, case.x, case.y, forward_synapses)
            found[name] = test
            numbers[name] = {
                "weights": len(test.jacobian),
                "relative_asymmetry": test.relative,
                "relative_error": test.relative_error,
                "largest_log_asymmetry": float(np.log(test.asymmetry.max())),
                "largest_log_error": float(np.log(test.asymmetry_error.max())),
                "accuracy": case.accuracy,
            }
            rows += _rows(name, test)
        genome, plain = numbers["genome"], numbers["backpropagation"]
        holds = (
            genome["relative_asymmetry"] > FACTOR * genome["relative_error"]
            and plain["relative_asymmetry"] <= plain["relative_error"]
            and genome["accuracy"] >= 0.9
        )
        shows = (
            f"The genome's relative asymmetry is {genome['relative_asymmetry']:.2g}, its numerical "
            f"error {genome['relative_error']:.1g}; that of backpropagation is "
            f"{plain['relative_asymmetry']:.1g} with an error of {plain['relative_error']:.1g}."
        )
        return Finding(rows, numbers, holds, shows, _draw(found))


def _rows(name: str, test: Asymmetry) -> list[dict[str, str | int]]:
    """Return a line for each synapse k: natural logarithms below the diagonal, none of zero."""

    def log(value: np.floating[Any]) -> str:
        return f"{np.log(value):.1f}" if value > 0 else ""

    return [
        {"rule": name, "k": k, "largest_ln_error": log(test.asymmetry_error[k].max())}
        | {f"m{m}": log(value) for m, value in enumerate(line[:k])}
        for k, line in enumerate(test.asymmetry)
    ]


def _draw(found: dict[str, Asymmetry]) -> Figure:
    shown = {
        "genome that learnt xor": found["genome"].asymmetry,
        "its numerical error": found["genome"].asymmetry_error,
        "backpropagation": found["backpropagation"].asymmetry,
    }
    with np.errstate(divide="ignore"):
        logs = {name: np.log(matrix) for name, matrix in shown.items()}
    top = max(matrix[np.isfinite(matrix)].max() for matrix in logs.values())
    figure, [panels] = sheet(12, 4.2, columns=3)
    images = []
    for axes, (name, matrix) in zip(panels, logs.items(), strict=True):
        clipped = np.maximum(matrix, top - 30)
        images.append(axes.imshow(clipped, vmin=top - 30, vmax=top, cmap="magma"))
        label(axes, "synapse m", "synapse k", f"{name} ({len(matrix)} weights)")
    figure.colorbar(
        images[0], ax=panels, label="ln |∂Δw_k/∂w_m - ∂Δw_m/∂w_k|, cut off at the bottom"
    )
    return headline(
        figure,
        "Is the rule the gradient descent of some loss? Only where this is dark "
        "(one genome, one network learning xor)",
    )
