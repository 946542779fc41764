"""Section 5: what the paper's outlook and the authors' program add to the rule."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers import _differences
from hebbax.papers._differences import ERRORS, Difference, draw_differences, verdict
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import TITLES, headline, label, sheet
from hebbax.papers._statistics import last_rows
from hebbax.papers._training import one_run
from hebbax.papers.blur._genomes import PAPER, SMOKE, TriedGenomes, blur, images_of

PLAIN, HALF = "plain", "labels at every second update"
OUTLOOK = ("changes in the forward pass too", "noise", "self-regulation")
"""What section 5 of the paper names."""
BOTH = f"{HALF}, {OUTLOOK[0]}"
BESIDE = {BOTH: HALF}
"""What is compared with something else than the plain rule."""
LEARNT = ("f", "forward_f_tilde", "forward_eta_tilde", "noise", "regulation")
"""Arrays of the genomes that say what became of an option; their mean size."""


class Outlook(TriedGenomes):
    """The paper's additive rule with one option more or less, meta-trained alike on small MNIST.

    Nothing was chosen by a result: meta-training is that of the neighbouring experiments, shorter,
    what is learnt for changes in the forward pass and for self-regulation begins where it changes
    nothing, and noise begins at a tenth of the deviation of what it is added to.
    """

    name: ClassVar = "blur/outlook"
    source: ClassVar = "BLUR sec. 5; the authors' program"
    claim: ClassVar = (
        "Extending the space of update rules may help: by weight updates on both passes, by the "
        "injection of randomness, by neurons that regulate themselves."
    )
    criterion: ClassVar = (
        f"at least one of the three gives on both sets of images, after the meta-trained number "
        f"of updates, a test accuracy that is higher than that of the plain rule by more than "
        f"{ERRORS:g} standard errors of the mean difference over runs (meta-seeds), each with the "
        f"same initial genome, tasks and networks with and without"
    )
    smoke: ClassVar = {**SMOKE, "data": ("digits",), "hidden": 4, "batch": 16}
    paper: ClassVar = {**PAPER, "states": 4, "hidden": 64, "networks": 8}

    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    """The first is also what is meta-trained on, by its training set; the last the genomes never
    saw."""
    states: int = 2
    hidden: int = 32
    steps: int = 300
    runs: int = 4
    noise: float = 0.1
    """Deviation that noise begins with."""

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train with and without each option, and try all runs on the test sets."""
        families = {name: self._family(name) for name in self.data}
        accuracy: dict[tuple[str, str], np.ndarray] = {}
        learnt: dict[str, dict[str, list[float]]] = {}
        for name, options in self._options().items():
            rule = blur(self.states, **options)
            place = work / name.replace(",", "").replace(" ", "-")
            found = self.meta_train(
                place, rule, [families[self.data[0]]], (self.hidden,), seed, query=256
            )
            learnt[name] = _sizes(found.thetas)
            for data, family in families.items():
                each = [
                    self.after(rule, one_run(found.thetas, r), family, (self.hidden,), seed)
                    for r in range(self.runs)
                ]
                accuracy[name, data] = np.stack(each)
        added = {
            name: {
                data: Difference(
                    (accuracy[name, data] - accuracy[BESIDE.get(name, PLAIN), data]).mean(axis=1)
                )
                for data in self.data
            }
            for name in self._options()
            if name != PLAIN
        }
        verdicts = {name: verdict(each.values()) for name, each in added.items()}
        numbers = {
            "updates": self.unrolls,
            "accuracy_of_runs": {
                data: {n: accuracy[n, data].mean(axis=1).tolist() for n in self._options()}
                for data in self.data
            },
            "added": _differences.numbers(added),
            "verdicts": verdicts,
            "mean_size_learnt": learnt,
        }
        holds = any(verdicts[name] == "helps" for name in OUTLOOK)
        rows = [
            row
            for (name, data), values in accuracy.items()
            for run, each in enumerate(values)
            for row in last_rows(each, rule=name, data=data, run=run)
        ]
        return Finding(rows, numbers, holds, self._shows(accuracy, added, verdicts),
                       self._draw(accuracy, added, verdicts))  # fmt: skip

    def _options(self) -> dict[str, dict[str, Any]]:
        forward = {"forward_update": 0.0}
        return {
            PLAIN: {},
            OUTLOOK[0]: forward,
            OUTLOOK[1]: {"noise": self.noise},
            OUTLOOK[2]: {"self_regulation": True},
            "states that persist": {"persistent": self.batch},
            HALF: {"supervised_every": 2},
            BOTH: {"supervised_every": 2, **forward},
        }

    def _family(self, name: str) -> hx.tasks.AbstractFamily:
        return hx.tasks.digits() if name == "digits" else images_of(name)

    def _shows(
        self,
        accuracy: dict[tuple[str, str], np.ndarray],
        added: dict[str, dict[str, Difference]],
        verdicts: dict[str, str],
    ) -> str:
        plain = " and ".join(
            f"{accuracy[PLAIN, data].mean():.3f} on {TITLES.get(data, data)}" for data in self.data
        )
        return (
            f"After {self.unrolls} updates the plain rule is at {plain}, mean of {self.runs} "
            f"runs. Added to that, with standard errors: {_differences.told(added, verdicts)}. "
            f"With labels at every second update, what changes in the forward pass add is counted "
            f"from there."
        )

    def _draw(
        self,
        accuracy: dict[tuple[str, str], np.ndarray],
        added: dict[str, dict[str, Difference]],
        verdicts: dict[str, str],
    ) -> Figure:
        figure, [panels] = sheet(
            4 + 3.6 * len(self.data), 1.4 + 0.55 * len(added), columns=len(self.data), sharey=True
        )
        for axes, data in zip(panels, self.data, strict=True):
            self._panel(axes, data, accuracy, added, verdicts)
        words = [name.replace(f"{HALF}, ", "beside that: ") for name in added]
        panels[0].set_yticks(range(len(added)), words)
        panels[0].invert_yaxis()
        return headline(
            figure,
            f"What options add to the additive rule of {self.states} states; accuracy after "
            f"{self.unrolls} updates, {self.runs} runs\n(a dot each; bars: {ERRORS:g} standard "
            f"errors of the mean; blue: helps on all images, red: harms, grey: neither)",
        )

    def _panel(
        self,
        axes: Axes,
        data: str,
        accuracy: dict[tuple[str, str], np.ndarray],
        added: dict[str, dict[str, Difference]],
        verdicts: dict[str, str],
    ) -> None:
        draw_differences(axes, {name: each[data] for name, each in added.items()}, verdicts)
        plain = accuracy[PLAIN, data].mean(axis=1)
        label(
            axes, "accuracy added",
            title=f"{TITLES.get(data, data)}; plain rule: {plain.mean():.3f} "
            f"({plain.min():.3f} to {plain.max():.3f})",
        )  # fmt: skip


def _sizes(thetas: Any) -> dict[str, list[float]]:
    """Return the mean size of what genomes have for the options, run for run."""
    arrays = {name: getattr(thetas, name) for name in LEARNT}
    return {
        name: [float(np.abs(one).mean()) for one in np.asarray(array)]
        for name, array in arrays.items()
        if array is not None
    }
