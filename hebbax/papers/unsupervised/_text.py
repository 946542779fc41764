"""Figure 6: rules that were meta-trained on images learn from text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from hebbax.papers._experiment import Finding
from hebbax.papers._figures import band, headline, sheet
from hebbax.papers._statistics import rounded, rows
from hebbax.papers.unsupervised._curves import (
    ERRORS,
    PAPER,
    Accuracies,
    accuracies,
    dress,
    gain,
    improved,
    shipped,
)
from hebbax.papers.unsupervised._few_shot import few_shot
from hebbax.papers.unsupervised._snapshots import MetaTrained
from hebbax.rules import UnsupervisedRule

SHIPPED = "shipped rule"


class Text(MetaTrained):
    """Rules of early and late meta-training on bags of words, good and bad reviews."""

    name: ClassVar = "unsupervised/text"
    source: ClassVar = "Metz et al. fig. 6, sec. 5.3"
    claim: ClassVar = (
        "A rule from early in meta-training on images makes features of text that serve better "
        "than random initialisation's; one from late in meta-training does not."
    )
    criterion: ClassVar = (
        f"for the first snapshot with any meta-training the mean over runs of the gain in few-shot "
        f"test accuracy over the fresh network exceeds {ERRORS} of its standard errors (what the "
        f"late rules do is shown, but depends on how late they are and does not decide)"
    )
    smoke: ClassVar = {
        **MetaTrained.smoke, "data": "digits", "points": (0, 2), "runs": 2, "tested": 100,
    }  # fmt: skip
    paper: ClassVar = {
        **PAPER, "meta_steps": (0, 30_000, 200_000), "channels": 64, "checkpoint_every": 500,
        "points": (0, 10, 100, 500, 1000, 2000, 5000),
    }  # fmt: skip

    meta_steps: tuple[int, ...] = (0, 50, 300)
    """The start of meta-training, an early and a late moment."""
    rule: str = "unsupervised/small"
    data: str = "imdb"
    hidden: tuple[int, ...] = ()
    points: tuple[int, ...] = (0, 3, 10, 30, 100, 300)
    batch: int = 32
    runs: int = 6
    labelled: int = 10
    """Examples of each class."""
    tested: int = 2000

    def run(self, work: Path, seed: int) -> Finding:
        """Let every rule learn the same reviews."""
        rules: dict[str, tuple[UnsupervisedRule, Any]] = {
            f"{s.meta_steps:,} meta-steps": (s.rule, s.theta) for s in self.snapshots(work, seed)
        }
        early = list(rules)[1]
        rules[SHIPPED] = shipped(self.rule)
        size = None if self.data == "imdb" else self.side
        found = {
            name: accuracies(
                rule,
                theta,
                lambda own: few_shot(
                    self.data, size, own, labelled=self.labelled, tested=self.tested
                ),
                self.hidden,
                self.points,
                batch=self.batch,
                runs=self.runs,
                seed=seed,
            )
            for name, (rule, theta) in rules.items()
        }
        gains = {name: gain(curves) for name, curves in found.items()}
        first = gains[early]
        shows = (
            f"After {self.points[-1]:,} updates few-shot accuracy on {self.data}, "
            f"{first['before']:.1%} for random initialisation, has grown by "
            + ", ".join(
                f"{g['gain']:.1%} ± {g['standard_error']:.1%} ({name})" for name, g in gains.items()
            )
            + "."
        )
        table = [
            line
            for name, curves in found.items()
            for line in rows(curves, self.points, each="run", form=rounded, rule=name)
        ]
        holds = improved(first)
        numbers = {"early": early, "gains": gains}
        return Finding(table, numbers, holds, shows, self._draw(found))

    def _draw(self, found: Mapping[str, Accuracies]) -> Figure:
        figure, [[axes]] = sheet(7.5, 4.6)
        colours = colormaps["plasma"](np.linspace(0, 0.8, max(1, len(found) - 1))).tolist()
        for (name, curves), colour in zip(found.items(), [*colours, "#009E73"], strict=True):
            band(axes, self.points, curves, name, colour, errors=True)
        dress(axes, self.points, self.batch)
        axes.legend(frameon=False, fontsize=9, title="rule after", title_fontsize=9)
        return headline(
            figure,
            f"{self.data}, {self.labelled} labelled examples a class; rules meta-trained on "
            f"images\nmean and standard error of {self.runs} networks",
        )
