"""Figure 8: what the normalisation of activations is good for, forward and backward."""

from pathlib import Path
from typing import Any, ClassVar

from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import headline, label, legend_below, mark, sheet, whiskers
from hebbax.papers._statistics import last_rows, standard_error
from hebbax.papers.blur._genomes import PAPER, TriedGenomes, blur
from hebbax.recipes import MNIST_CROP
from hebbax.rules.blur import Normalization

BOTH, NEITHER = "both passes", "neither"
VARIANTS: dict[str, dict[str, Any]] = {
    BOTH: {},
    "forward only": {"normalization": Normalization(passes="forward")},
    "backward only": {"normalization": Normalization(passes="backward")},
    NEITHER: {"normalization": None},
}
COLOURS = dict(zip(VARIANTS, ("#0072B2", "#56B4E9", "#E69F00", "#D55E00"), strict=True))


class Normalisation(TriedGenomes):
    """Genomes with and without normalised activations, on other resolutions and depths.

    All are meta-trained alike on MNIST at one resolution, with one hidden layer.
    """

    name: ClassVar = "blur/normalisation"
    source: ClassVar = "BLUR fig. 8, sec. 4.5"
    claim: ClassVar = (
        "Genomes without forward and backward normalisation of activations generalise worse to "
        "other resolutions and to deeper networks."
    )
    criterion: ClassVar = (
        "after the meta-trained number of updates, test accuracy (mean over networks) with the "
        "genome that normalises neither pass is below that with the genome that normalises both, "
        "at every resolution and every depth that was not meta-trained on"
    )
    smoke: ClassVar = {
        "data": "digits", "variants": (BOTH, NEITHER), "size": 4, "sizes": (4,), "crop": None,
        "hidden": 4, "layers": (1, 2), "unrolls": 2, "steps": 2, "batch": 16, "query": 16,
        "networks": 2,
    }  # fmt: skip
    paper: ClassVar = {**PAPER, "hidden": 64, "networks": 8}

    data: str = "mnist"
    variants: tuple[str, ...] = tuple(VARIANTS)
    states: int = 2
    size: int = 10
    sizes: tuple[int, ...] = (7, 10, 14, 20)
    crop: int | None = MNIST_CROP
    hidden: int = 32
    layers: tuple[int, ...] = (1, 2, 3, 4)
    steps: int = 400
    query: int = 512
    networks: int = 8

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train each variant, and train networks of other inputs and depths with it."""
        cases = [("size", size, size, 1) for size in self.sizes]
        cases += [("hidden layers", n, self.size, n) for n in self.layers]
        numbers: dict[str, Any] = {"updates": self.unrolls}
        histories, accuracies, lines = {}, {}, []
        for name in self.variants:
            rule = blur(self.states, **VARIANTS[name])
            result = self.meta_train(
                work / name.replace(" ", "-"), rule, [self._family(self.size)], (self.hidden,),
                seed, query=self.query, log_every=min(25, self.steps), checkpoint_every=self.steps,
            )  # fmt: skip
            histories[name] = result.history
            accuracies[name] = {
                (changed, value): self.after(
                    rule, result.theta, self._family(size), (self.hidden,) * layers, seed
                )
                for changed, value, size, layers in cases
            }
            numbers[name] = {
                f"{changed} {value}": {
                    "accuracy": float(each.mean()),
                    "standard_error": float(standard_error(each)),
                }
                for (changed, value), each in accuracies[name].items()
            }
            for (changed, value), each in accuracies[name].items():
                labels = {"normalised": name, "changed": changed, "value": value}
                lines += last_rows(each, form="{:.4f}".format, **labels)
            lines += [
                {"normalised": name, "changed": "meta-steps", "value": line["step"],
                 "network": f"run {run + 1}", "accuracy": f"{a:.4f}"}
                for line in result.history for run, a in enumerate(line["accuracy"])
            ]  # fmt: skip
        others = [
            (changed, value)
            for changed, value, size, layers in cases
            if (size, layers) != (self.size, 1)
        ]
        leads = {
            f"{changed} {value}": float(
                accuracies[BOTH][changed, value].mean() - accuracies[NEITHER][changed, value].mean()
            )
            for changed, value in others
        }
        numbers["lead_of_both_over_neither"] = leads
        told = ", ".join(f"{case} {lead:+.1%}" for case, lead in leads.items())
        shows = (
            f"Normalising both passes against neither, test accuracy after {self.unrolls} "
            f"updates: {told}."
        )
        holds = all(lead > 0 for lead in leads.values())
        return Finding(lines, numbers, holds, shows, self._draw(histories, accuracies))

    def _family(self, size: int) -> hx.tasks.AbstractFamily:
        return hx.tasks.images(self.data, size=size, crop=self.crop)

    def _draw(self, histories: dict[str, Any], accuracies: dict[str, Any]) -> Figure:
        figure, [[left, *others]] = sheet(11, 4.3, columns=3, sharey=True)
        for name, history in histories.items():
            steps = [line["step"] for line in history]
            for run in range(self.runs):
                accuracy = [line["accuracy"][run] for line in history]
                words = name if run == 0 else None
                left.plot(steps, accuracy, color=COLOURS[name], linewidth=1.2, label=words)
        label(
            left,
            "meta-steps",
            f"accuracy after {self.unrolls} updates",
            f"meta-training, {self.runs} runs",
        )
        panels = {
            "size": ("pixels of a side", self.sizes, self.size),
            "hidden layers": (f"hidden layers of {self.hidden} units", self.layers, 1),
        }
        for axes, (changed, (words, values, trained)) in zip(others, panels.items(), strict=True):
            for name, found in accuracies.items():
                each = [found[changed, value] for value in values]
                whiskers(axes, values, each, None, COLOURS[name])
            mark(axes, trained)
            axes.set_xticks(values)
            label(axes, words, title="meta-testing, best run")
        legend_below(figure, [left], title="normalised")
        return headline(
            figure,
            f"{self.data.upper()}, activations normalised or not; mean and standard deviation of "
            f"{self.networks} networks; dashed: meta-trained there",
        )
