"""Figure 2: learnt genomes' changes are no gradient of any loss."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hebbax.analysis import Asymmetry, asymmetry
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import headline, label, legend_below, logarithmic_from_zero, sheet
from hebbax.papers.blur._xor import (
    ALONG,
    BARE,
    KINDS,
    NORMALIZED,
    PLAIN,
    forward_synapses,
    learners,
    subject,
)
from hebbax.plots import LEARNER_COLOURS

FACTOR = 10.0
LEARNT = 0.9


class GradientEquivalence(Experiment):
    """Asymmetry of ∂Δw/∂w, of genomes that learn xor and of backpropagation.

    Normalisers alone make changes that are no gradient of a loss of the weights: so there are
    genomes without any, and backpropagation with those of the others.
    """

    name: ClassVar = "blur/gradient-equivalence"
    source: ClassVar = "BLUR fig. 2, sec. 3.5"
    claim: ClassVar = (
        "The asymmetry of ∂Δw/∂w is well above the numerical error, so no loss exists of which "
        "the rule is gradient descent; for backpropagation it is at the error."
    )
    criterion: ClassVar = (
        f"at each looked-at number of updates the relative asymmetry of every genome, with "
        f"normalisers and without, is above {FACTOR:g} times its numerical error, that of the "
        f"backpropagation special case is at most its numerical error, and every genome learns xor "
        f"to at least {LEARNT:g} by one of them"
    )
    smoke: ClassVar = {
        "steps": 4, "hidden": 4, "batch": 16, "genomes": 1, "kinds": (BARE,), "points": (0, 1),
    }  # fmt: skip
    paper: ClassVar = {"steps": 10_000}

    hidden: int = 20
    steps: int = 1000
    genomes: int = 3
    """Meta-seeds of each of the kinds."""
    kinds: tuple[str, ...] = KINDS
    points: tuple[int, ...] = ALONG
    """Updates after which one more is differentiated."""
    batch: int = 512

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train on xor, teach networks, and differentiate one more update."""
        tests: dict[str, list[list[Asymmetry]]] = {}
        accuracies: dict[str, list[list[float]]] = {}
        for learner in learners(work, self.hidden, self.steps, seed, self.genomes, self.kinds):
            cases = [
                subject(learner.rule, learner.theta, self.hidden, updates, self.batch,
                        seed + learner.number)
                for updates in self.points
            ]  # fmt: skip
            tests.setdefault(learner.name, []).append([
                asymmetry(learner.rule, learner.theta, case.net, case.x, case.y, forward_synapses)
                for case in cases
            ])  # fmt: skip
            accuracies.setdefault(learner.name, []).append([case.accuracy for case in cases])
        numbers: dict[str, Any] = {
            name: {
                "weights": len(of_name[0][0].jacobian),
                "relative_asymmetry": [[test.relative for test in one] for one in of_name],
                "relative_error": [[test.relative_error for test in one] for one in of_name],
                "accuracy": accuracies[name],
            }
            for name, of_name in tests.items()
        }
        relative = {n: np.asarray(v["relative_asymmetry"]) for n, v in numbers.items()}
        error = {n: np.asarray(v["relative_error"]) for n, v in numbers.items()}
        holds = bool((relative[PLAIN] <= error[PLAIN]).all()) and all(
            (relative[name] > FACTOR * error[name]).all()
            and (np.max(accuracies[name], axis=1) >= LEARNT).all()
            for name in self.kinds
        )
        of_genomes = "; ".join(
            f'of {self.genomes} of the kind "{name}" {_range(relative[name])} (largest numerical '
            f"error {error[name].max():.1g}; they learn xor to "
            f"{_range(np.max(accuracies[name], axis=1))})"
            for name in self.kinds
        )
        shows = (
            f"After {', '.join(map(str, self.points))} updates the relative asymmetry is: "
            f"{of_genomes}; of backpropagation at most {relative[PLAIN].max():.1g} "
            f"({error[PLAIN].max():.1g}). With the normalisers that of backpropagation, too, is "
            f"{_range(relative[NORMALIZED])}."
        )
        rows = [
            {"rule": name, "genome": number, "updates": updates,
             "accuracy": accuracies[name][number][i], "relative_asymmetry": test.relative,
             "relative_error": test.relative_error}
            for name, of_name in tests.items()
            for number, one in enumerate(of_name)
            for i, (updates, test) in enumerate(zip(self.points, one, strict=True))
        ]  # fmt: skip
        shown = {name: tests[name][0][1] for name in (BARE, PLAIN)}
        rows += [row for name, test in shown.items() for row in self._matrix(name, test)]
        return Finding(rows, numbers, holds, shows, self._draw(shown, relative, error))

    def _matrix(self, name: str, test: Asymmetry) -> list[dict[str, str | int]]:
        """Return a line for each synapse k: natural logarithms below the diagonal, none of zero."""

        def log(value: np.floating[Any]) -> str:
            return f"{np.log(value):.1f}" if value > 0 else ""

        return [
            {"rule": name, "genome": 0, "updates": self.points[1], "k": k,
             "largest_ln_error": log(test.asymmetry_error[k].max())}
            | {f"m{m}": log(value) for m, value in enumerate(line[:k])}
            for k, line in enumerate(test.asymmetry)
        ]  # fmt: skip

    def _draw(
        self,
        shown: dict[str, Asymmetry],
        relative: dict[str, np.ndarray],
        error: dict[str, np.ndarray],
    ) -> Figure:
        figure, [panels] = sheet(15.5, 4.6, columns=4, width_ratios=(1, 1, 1, 1.25))
        matrices = {
            f"a {BARE}": shown[BARE].asymmetry,
            "its numerical error": shown[BARE].asymmetry_error,
            PLAIN: shown[PLAIN].asymmetry,
        }
        with np.errstate(divide="ignore"):
            logs = {name: np.log(matrix) for name, matrix in matrices.items()}
        top = max(matrix[np.isfinite(matrix)].max() for matrix in logs.values())
        images = []
        for axes, (name, matrix) in zip(panels[:3], logs.items(), strict=True):
            clipped = np.maximum(matrix, top - 30)
            images.append(axes.imshow(clipped, vmin=top - 30, vmax=top, cmap="magma"))
            axes.grid(False)
            label(axes, "synapse m", "synapse k", f"{name}\n({len(matrix)} weights)")
        figure.colorbar(images[0], ax=panels[:3], shrink=0.8,
                        label="ln |∂Δw_k/∂w_m - ∂Δw_m/∂w_k|")  # fmt: skip
        self._draw_along(panels[3], relative, error)
        legend_below(figure, panels[3:], ncols=4)
        return headline(
            figure,
            f"Is the rule the gradient descent of some loss? Only where the matrix is dark "
            f"(after {self.points[1]} updates),\nand where the relative asymmetry is at its "
            f"numerical error (dotted; {self.genomes} genomes each, networks learning xor)",
        )

    def _draw_along(
        self, axes: Axes, relative: dict[str, np.ndarray], error: dict[str, np.ndarray]
    ) -> None:
        for (name, lines), colour in zip(relative.items(), LEARNER_COLOURS, strict=False):
            for index, line in enumerate(np.maximum(lines, 1e-17)):
                words = None if index else name
                axes.plot(self.points, line, "o-", color=colour, markersize=3.5, label=words)
            axes.plot(self.points, error[name].max(axis=0), ":", color=colour)
        axes.set_yscale("log")
        logarithmic_from_zero(axes, self.points)
        label(axes, "updates before", title="relative asymmetry and its error")


def _range(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}"
