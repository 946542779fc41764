"""Figure 10: genomes from networks of some depth, on networks of other depths and widths."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hebbax.papers._experiment import Finding
from hebbax.papers._figures import headline, label, sheet, whiskers
from hebbax.papers._statistics import last_rows
from hebbax.papers.blur._genomes import PAPER, SMOKE, TriedGenomes, blur, images_of
from hebbax.plots import INK, LEARNER_COLOURS

SHARE = 0.9


class Depth(TriedGenomes):
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
    smoke: ClassVar = {**SMOKE, "trained": (1,), "tested": (1, 2), "width": 4, "widths": ()}
    paper: ClassVar = {
        **PAPER, "tested": (1, 2, 3, 4, 5, 6, 7, 8, 9, 10), "width": 64,
        "widths": (8, 32, 128, 512), "deepen": False,
    }  # fmt: skip

    trained: tuple[int, ...] = (2, 3, 4)
    tested: tuple[int, ...] = (1, 2, 3, 4, 6, 10)
    width: int = 32
    widths: tuple[int, ...] = (8, 128, 512)
    states: int = 2
    networks: int = 8
    deepen: bool = True
    """Begin with the genome of the depth before, without which deep networks learn nothing here."""

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train at every depth, try each genome on all of them and on all widths."""
        family, rule = images_of("mnist"), blur(self.states)
        thetas: dict[int, Any] = {}
        for layers in self.trained:
            begin = thetas[max(thetas)] if self.deepen and thetas else None
            thetas[layers] = self.meta_train(
                work / f"layers-{layers}", rule, [family], (self.width,) * layers, seed,
                # From one genome all runs would be the same.
                runs=self.runs if begin is None else 1, theta=begin,
            ).theta  # fmt: skip
        middle = self.trained[0]
        shapes = {(layers, self.width): (self.width,) * layers for layers in self.tested}
        shapes |= {(middle, width): (width,) * middle for width in self.widths}
        accuracy = {
            (layers, *shape): self.after(rule, theta, family, hidden, seed)
            for shape, hidden in shapes.items()
            for layers, theta in thetas.items()
        }
        lines = [
            row
            for (layers, tested, width), values in accuracy.items()
            for row in last_rows(
                values, trained_layers=layers, tested_layers=tested, tested_width=width
            )
        ]
        numbers, holds = self._decide({place: float(a.mean()) for place, a in accuracy.items()})
        shows = (
            f"After {self.unrolls} updates the genome from {max(self.trained)} hidden layers has "
            f"at least {numbers['deep_to_shallow']:.2f} of the best genome's accuracy on networks "
            f"no deeper; the one from {min(self.trained)} has {numbers['shallow_to_deep']:.2f} of "
            f"it on {max(self.trained)} layers."
        )
        return Finding(lines, numbers, holds, shows, self._draw(accuracy))

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
        figure, [[left, right]] = sheet(10, 4.4, columns=2, sharey=True)
        middle = self.trained[0]
        self._lines(left, accuracy, [(tested, self.width) for tested in self.tested], 0)
        widths = sorted({self.width, *self.widths})
        self._lines(right, accuracy, [(middle, width) for width in widths], 1)
        left.set_xticks(self.tested)
        label(
            left,
            f"hidden layers of {self.width} units",
            f"test accuracy after {self.unrolls} updates",
        )
        right.set_xscale("log", base=2)
        right.set_xticks(widths, list(map(str, widths)))
        label(right, f"units of each of {middle} hidden layers")
        left.legend(frameon=False, title="genome meta-trained on", fontsize=9)
        return headline(
            figure,
            f"Other depths and widths; MNIST at 10 by 10 pixels, mean and standard deviation of "
            f"{self.networks} networks\n(a ring: as meta-trained)",
        )

    def _lines(
        self,
        axes: Axes,
        accuracy: dict[tuple[int, int, int], np.ndarray],
        shapes: list[tuple[int, int]],
        axis: int,
    ) -> None:
        axes.set_ylim(0, 1)
        axes.axhline(0.1, color=INK, lw=0.8, ls=":", label="chance" if axis == 0 else None)
        for layers, colour in zip(self.trained, LEARNER_COLOURS, strict=False):
            x = [shape[axis] for shape in shapes]
            each = [accuracy[layers, *shape] for shape in shapes]
            whiskers(axes, x, each, f"{layers} hidden layers", colour)
            if (layers, self.width) in shapes:
                at = shapes.index((layers, self.width))
                axes.plot(x[at], each[at].mean(), "o", ms=11, mfc="none", mec=colour)
