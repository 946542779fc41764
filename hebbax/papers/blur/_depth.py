"""Figure 10: genomes from networks of some depth, on networks of other depths and widths."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers.blur._images import blur, learn, small_mnist
from hebbax.plots import INK, LEARNER_COLOURS, tidy

SHARE = 0.9


@dataclasses.dataclass(frozen=True)
class Depth(Experiment):
    """Genomes meta-trained on 2, 3 and 4 hidden layers, tried on 1 to 10 and on other widths."""

    name: ClassVar = "blur/depth"
    source: ClassVar = "BLUR fig. 10, sec. 4.5"
    claim: ClassVar = (
        "Genomes meta-trained on deep networks train shallow ones, but not the other way round."
    )
    criterion: ClassVar = (
        f"the genome from the deepest networks reaches on every depth up to its own at least "
        f"{SHARE:g} of the accuracy of the best genome there, and the one from the shallowest "
        f"networks less than that on the depth of the deepest; after the meta-trained number of "
        f"updates, mean over networks"
    )
    smoke: ClassVar = {
        "trained": (1,),
        "tested": (1, 2),
        "width": 4,
        "widths": (),
        "unrolls": 2,
        "steps": 2,
        "runs": 1,
        "networks": 2,
    }
    paper: ClassVar = {
        "tested": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
        "width": 64,
        "widths": (8, 32, 128, 512),
        "steps": 10_000,
        "learning_rate": 5e-4,
        "clip": 10.0,
        "runs": 8,
        "deepen": False,
    }

    trained: tuple[int, ...] = (2, 3, 4)
    tested: tuple[int, ...] = (1, 2, 3, 4, 6, 10)
    width: int = 32
    widths: tuple[int, ...] = (8, 128, 512)
    states: int = 2
    unrolls: int = 10
    batch: int = 128
    steps: int = 500
    learning_rate: float = 1e-2
    clip: float = 1.0
    runs: int = 2
    networks: int = 8
    deepen: bool = True
    """Begin with the genome of the depth before, without which deep networks learn nothing here."""

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train at every depth, try each genome on all of them and on all widths."""
        family, rule = small_mnist(), blur(self.states)
        thetas: dict[int, Any] = {}
        for layers in self.trained:
            begin = thetas[max(thetas)] if self.deepen and thetas else None
            thetas[layers] = learn(
                work / f"layers-{layers}",
                rule,
                [family],
                unrolls=self.unrolls,
                steps=self.steps,
                seed=seed,
                hidden=(self.width,) * layers,
                # From one genome all runs would be the same.
                runs=self.runs if begin is None else 1,
                batch=self.batch,
                learning_rate=self.learning_rate,
                clip=self.clip,
                theta=begin,
            ).theta
        middle = self.trained[0]
        shapes = {(layers, self.width): (self.width,) * layers for layers in self.tested}
        shapes |= {(middle, width): (width,) * middle for width in self.widths}
        accuracy = {
            (layers, *shape): self._try(rule, theta, family, hidden, seed)
            for shape, hidden in shapes.items()
            for layers, theta in thetas.items()
        }
        lines = [
            {"trained_layers": layers, "tested_layers": tested, "tested_width": width,
             "network": network, "accuracy": float(value)}
            for (layers, tested, width), values in accuracy.items()
            for network, value in enumerate(values)
        ]  # fmt: skip
        numbers, holds = self._decide({place: float(a.mean()) for place, a in accuracy.items()})
        shows = (
            f"After {self.unrolls} updates the genome from {max(self.trained)} hidden layers has "
            f"at least {numbers['deep_to_shallow']:.2f} of the best genome's accuracy on networks "
            f"no deeper; the one from {min(self.trained)} has {numbers['shallow_to_deep']:.2f} of "
            f"it on {max(self.trained)} layers."
        )
        return Finding(lines, numbers, holds, shows, self._draw(accuracy))

    def _try(
        self, rule: hx.Blur, theta: Any, family: Any, hidden: tuple[int, ...], seed: int
    ) -> np.ndarray:
        return hx.evaluate(
            rule,
            theta,
            family,
            hidden=hidden,
            steps=self.unrolls,
            batch=self.batch,
            seeds=self.networks,
            key=jax.random.key(seed + 1),
            at=(self.unrolls,),
        ).after(self.unrolls)

    def _decide(self, mean: dict[tuple[int, int, int], float]) -> tuple[dict[str, Any], bool]:
        def share(layers: int, tested: int) -> float:
            best = max(mean[other, tested, self.width] for other in self.trained)
            return mean[layers, tested, self.width] / best

        low, high = min(self.trained), max(self.trained)
        shallower = {str(t): share(high, t) for t in self.tested if t <= high}
        deeper = {str(t): share(low, t) for t in self.tested if t >= low}
        numbers = {
            "updates": self.unrolls,
            "accuracy": {
                f"from {layers} layers": {
                    f"{tested} layers of {width}": value
                    for (source, tested, width), value in mean.items()
                    if source == layers
                }
                for layers in self.trained
            },
            f"share_of_best_from_{high}_layers": shallower,
            f"share_of_best_from_{low}_layers": deeper,
            "deep_to_shallow": min(shallower.values()),
            "shallow_to_deep": deeper[str(high)],
        }
        return numbers, min(shallower.values()) >= SHARE and deeper[str(high)] < SHARE

    def _draw(self, accuracy: dict[tuple[int, int, int], np.ndarray]) -> Figure:
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        middle = self.trained[0]
        self._lines(left, accuracy, [(tested, self.width) for tested in self.tested], 0)
        widths = sorted({self.width, *self.widths})
        self._lines(right, accuracy, [(middle, width) for width in widths], 1)
        left.set_xlabel(f"hidden layers of {self.width} units", color=INK)
        left.set_xticks(self.tested)
        left.set_ylabel(f"test accuracy after {self.unrolls} updates", color=INK)
        right.set_xscale("log", base=2)
        right.set_xticks(widths, list(map(str, widths)))
        right.set_xlabel(f"units of each of {middle} hidden layers", color=INK)
        left.legend(frameon=False, title="genome meta-trained on", fontsize=9)
        figure.suptitle(
            f"Other depths and widths; MNIST at 10 by 10 pixels, mean and standard deviation of "
            f"{self.networks} networks\n(a ring: as meta-trained)",
            fontsize=11,
            color=INK,
        )
        return figure

    def _lines(
        self,
        axes: Axes,
        accuracy: dict[tuple[int, int, int], np.ndarray],
        shapes: list[tuple[int, int]],
        axis: int,
    ) -> None:
        tidy(axes)
        axes.set_ylim(0, 1)
        axes.axhline(0.1, color=INK, lw=0.8, ls=":", label="chance" if axis == 0 else None)
        for layers, colour in zip(self.trained, LEARNER_COLOURS, strict=False):
            x = [shape[axis] for shape in shapes]
            each = [accuracy[layers, *shape] for shape in shapes]
            means = [values.mean() for values in each]
            spread = [values.std() for values in each]
            axes.errorbar(
                x, means, spread, color=colour, lw=1.6, marker="o", ms=4, capsize=2,
                label=f"{layers} hidden layers",
            )  # fmt: skip
            if (layers, self.width) in shapes:
                at = shapes.index((layers, self.width))
                axes.plot(x[at], means[at], "o", ms=11, mfc="none", mec=colour)
