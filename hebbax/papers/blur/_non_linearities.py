"""Supplement, figure 2: activation functions of the forward and of the backward pass."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

from hebbax.papers._experiment import Finding
from hebbax.papers._figures import headline, label, sheet, whiskers
from hebbax.papers._statistics import last_rows
from hebbax.papers.blur._genomes import PAPER, SMOKE, TriedGenomes, blur, images_of
from hebbax.plots import LEARNER_COLOURS

LEARNT = 0.5
NEARLY = 0.85
GAIN = 0.02
LINEAR = ("none", "none")

Case = tuple[str, str, int]
"""Activation of the forward pass, that of the backward pass, states per neuron."""


class NonLinearities(TriedGenomes):
    """Every pair of activations with the fewest states; a linear and a curved net with more."""

    name: ClassVar = "blur/non-linearities"
    source: ClassVar = "BLUR supplement fig. 2, sec. 3.2"
    claim: ClassVar = (
        "Nearly every pair of forward and backward activations can be meta-learnt; a linear "
        "network gains nothing from more states."
    )
    criterion: ClassVar = (
        f"test accuracy at least {LEARNT:g} after the meta-trained number of updates for at least "
        f"{NEARLY:.0%} of the pairs, and the accuracy of the linear network with the most states "
        f"less than {GAIN:g} above that with the fewest"
    )
    smoke: ClassVar = {
        **SMOKE, "forward": ("none",), "backward": ("none",), "curved": "none", "states": (2,),
        "hidden": (4, 4),
    }  # fmt: skip
    paper: ClassVar = {
        **PAPER, "states": (2, 3, 4, 5, 6, 7, 8), "hidden": (64, 64),
        "forward": ("none", "tanh", "relu", "relu_tanh", "sigmoid", "swish", "sin"),
        "backward": ("none", "tanh", "relu", "relu_tanh", "sigmoid", "swish", "sin"),
    }  # fmt: skip

    forward: tuple[str, ...] = ("none", "tanh", "relu", "sigmoid")
    backward: tuple[str, ...] = ("none", "tanh", "relu", "sigmoid")
    curved: str = "tanh"
    """The activation, of both passes, that more states are tried with beside the linear one."""
    states: tuple[int, ...] = (2, 4, 8)
    hidden: tuple[int, ...] = (32, 32)
    steps: int = 300

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with every pair, and two of them with more states."""
        fewest, most = min(self.states), max(self.states)
        pairs = [(forward, backward) for forward in self.forward for backward in self.backward]
        curved = (self.curved, self.curved)
        cases: list[Case] = [(forward, backward, fewest) for forward, backward in pairs]
        cases += [(f, b, states) for f, b in (LINEAR, curved) for states in self.states]
        accuracy = {case: self._learn(work, case, seed) for case in dict.fromkeys(cases)}
        mean = {case: float(values.mean()) for case, values in accuracy.items()}
        learnt = [pair for pair in pairs if mean[*pair, fewest] >= LEARNT]
        gain = {pair: mean[*pair, most] - mean[*pair, fewest] for pair in (LINEAR, curved)}
        numbers = {
            "updates": self.unrolls,
            "accuracy": {" / ".join((f, b, f"{k} states")): a for (f, b, k), a in mean.items()},
            "share_of_pairs_learnt": len(learnt) / len(pairs),
            "gain_of_linear_network": gain[LINEAR],
            f"gain_of_{self.curved}_network": gain[curved],
        }
        holds = len(learnt) >= NEARLY * len(pairs) and gain[LINEAR] < GAIN
        shows = (
            f"{len(learnt)} of {len(pairs)} pairs of activations learn; from {fewest} to {most} "
            f"states the linear network gains {gain[LINEAR]:+.3f} of test accuracy, that with "
            f"{self.curved} {gain[curved]:+.3f}."
        )
        lines = [
            row
            for (f, b, k), values in accuracy.items()
            for row in last_rows(values, forward=f, backward=b, states=k)
        ]
        return Finding(lines, numbers, holds, shows, self._draw(accuracy, fewest))

    def _learn(self, work: Path, case: Case, seed: int) -> np.ndarray:
        """Return the test accuracy `[networks]` with the best genome of a case."""
        forward, backward, states = case
        rule = blur(states, forward_activation=forward, backward_activation=backward)
        family = images_of("mnist")
        place = work / f"{forward}-{backward}-{states}"
        theta = self.meta_train(place, rule, [family], self.hidden, seed).theta
        return self.after(rule, theta, family, self.hidden, seed)

    def _draw(self, accuracy: dict[Case, np.ndarray], fewest: int) -> Figure:
        figure, [[left, right]] = sheet(10.5, 4.6, columns=2)
        table = np.array(
            [[accuracy[f, b, fewest].mean() for b in self.backward] for f in self.forward]
        )
        image = left.imshow(table, vmin=0, vmax=1, cmap="cividis")
        for (row, column), value in np.ndenumerate(table):
            colour = "white" if value < 0.6 else "black"
            left.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
        left.set_xticks(range(len(self.backward)), self.backward)
        left.set_yticks(range(len(self.forward)), self.forward)
        label(
            left,
            "activation of the backward pass",
            "activation of the forward pass",
            f"{fewest} states per neuron",
        )
        figure.colorbar(image, ax=left, label="test accuracy", shrink=0.8)
        lines = {"linear (none / none)": "none", f"{self.curved} / {self.curved}": self.curved}
        for (words, name), colour in zip(lines.items(), LEARNER_COLOURS, strict=False):
            each = [accuracy[name, name, states] for states in self.states]
            whiskers(right, self.states, each, words, colour)
        right.set_xticks(self.states)
        label(right, "states per neuron", "test accuracy")
        right.legend(frameon=False, title="forward / backward")
        return headline(
            figure,
            f"MNIST at 10 by 10 pixels after {self.unrolls} updates of {self.batch}, "
            f"{len(self.hidden)} hidden layers of {self.hidden[0]}\nmean and standard deviation "
            f"of {self.networks} networks, best of {self.runs} genomes",
        )
