"""Figure 8: what the normalisation of activations is good for, forward and backward."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers.blur._images import blur, learn
from hebbax.plots import GRID, INK, tidy
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


@dataclasses.dataclass(frozen=True)
class Normalisation(Experiment):
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
        "data": "digits",
        "variants": (BOTH, NEITHER),
        "size": 4,
        "sizes": (4,),
        "crop": None,
        "hidden": 4,
        "layers": (1, 2),
        "unrolls": 2,
        "steps": 2,
        "batch": 16,
        "query": 16,
        "networks": 2,
    }
    paper: ClassVar = {
        "hidden": 64,
        "steps": 10_000,
        "runs": 8,
        "learning_rate": 5e-4,
        "clip": 10.0,
        "networks": 8,
    }

    data: str = "mnist"
    variants: tuple[str, ...] = tuple(VARIANTS)
    states: int = 2
    size: int = 10
    sizes: tuple[int, ...] = (7, 10, 14, 20)
    crop: int | None = MNIST_CROP
    hidden: int = 32
    layers: tuple[int, ...] = (1, 2, 3, 4)
    unrolls: int = 10
    steps: int = 400
    runs: int = 2
    batch: int = 128
    query: int = 512
    learning_rate: float = 1e-2
    clip: float = 1.0
    networks: int = 8

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train each variant, and train networks of other inputs and depths with it."""
        cases = [("size", size, size, 1) for size in self.sizes]
        cases += [("hidden layers", n, self.size, n) for n in self.layers]
        numbers: dict[str, Any] = {"updates": self.unrolls}
        histories, accuracies, lines = {}, {}, []
        for name in self.variants:
            rule = blur(self.states, **VARIANTS[name])
            result = learn(
                work / name.replace(" ", "-"),
                rule,
                [self._family(self.size)],
                unrolls=self.unrolls,
                steps=self.steps,
                seed=seed,
                hidden=(self.hidden,),
                runs=self.runs,
                batch=self.batch,
                query=self.query,
                learning_rate=self.learning_rate,
                clip=self.clip,
                log_every=min(25, self.steps),
                checkpoint_every=self.steps,
            )
            histories[name] = result.history
            accuracies[name] = {}
            for changed, value, size, layers in cases:
                right = hx.evaluate(
                    rule,
                    result.theta,
                    self._family(size),
                    hidden=(self.hidden,) * layers,
                    steps=self.unrolls,
                    batch=self.batch,
                    seeds=self.networks,
                    key=jax.random.key(seed + 1),
                    at=(self.unrolls,),
                ).accuracy[:, 0]
                accuracies[name][changed, value] = right
                lines += [
                    {"normalised": name, "changed": changed, "value": value, "network": network,
                     "accuracy": f"{a:.4f}"}
                    for network, a in enumerate(right)
                ]  # fmt: skip
            numbers[name] = {
                f"{changed} {value}": {
                    "accuracy": float(right.mean()),
                    "standard_error": float(right.std(ddof=1) / np.sqrt(self.networks)),
                }
                for (changed, value), right in accuracies[name].items()
            }
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
        figure = Figure(figsize=(11, 4.3), layout="constrained")
        left, *others = figure.subplots(1, 3, sharey=True)
        for name, history in histories.items():
            steps = [line["step"] for line in history]
            for run in range(self.runs):
                accuracy = [line["accuracy"][run] for line in history]
                label = name if run == 0 else None
                left.plot(steps, accuracy, color=COLOURS[name], linewidth=1.2, label=label)
        left.set_xlabel("meta-steps", color=INK)
        left.set_ylabel(f"accuracy after {self.unrolls} updates", color=INK)
        left.set_title(f"meta-training, {self.runs} runs", fontsize=10, color=INK)
        panels = {
            "size": ("pixels of a side", self.sizes, self.size),
            "hidden layers": (f"hidden layers of {self.hidden} units", self.layers, 1),
        }
        for axes, (changed, (label, values, trained)) in zip(others, panels.items(), strict=True):
            for name, found in accuracies.items():
                each = np.stack([found[changed, value] for value in values])
                axes.errorbar(
                    values, each.mean(axis=1), each.std(axis=1), fmt="o-", capsize=3,
                    color=COLOURS[name], linewidth=1.5, markersize=4,
                )  # fmt: skip
            axes.axvline(trained, color=GRID, linestyle="--", linewidth=1.2, zorder=0)
            axes.set_xticks(values)
            axes.set_xlabel(label, color=INK)
            axes.set_title("meta-testing, best run", fontsize=10, color=INK)
        for axes in (left, *others):
            tidy(axes)
        figure.legend(
            loc="outside lower center", ncols=len(histories), frameon=False, title="normalised"
        )
        figure.suptitle(
            f"{self.data.upper()}, activations normalised or not; mean and standard deviation of "
            f"{self.networks} networks; dashed: meta-trained there",
            fontsize=11,
            color=INK,
        )
        return figure
