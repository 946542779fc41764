"""Supplement, figure 4: lifetimes that grow, and runs that go on from the best."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import headline, label, mark, sheet
from hebbax.papers._statistics import standard_error
from hebbax.papers._training import learn
from hebbax.papers.blur._genomes import PAPER, blur, images_of, title
from hebbax.plots import INK, LEARNER_COLOURS

LAST = 0.4
"""Share of a stage, at its end, that speaks for it."""


class CurriculumTraining(Experiment):
    """Accuracy during meta-training on MNIST at 10 by 10, stage after stage."""

    name: ClassVar = "blur/curriculum"
    source: ClassVar = "BLUR supplement, fig. 4, sec. 3.4 (fig. 14, app. C.4)"
    claim: ClassVar = (
        "With lifetimes that grow by 5 updates a stage, and all runs going on from the best at the "
        "end of each, accuracy rises across stages."
    )
    criterion: ClassVar = (
        f"the accuracy at the end of meta-training lifetimes, mean over the runs and the last "
        f"{LAST:.0%} of the meta-steps of a stage, is higher in every stage than in the one before"
    )
    smoke: ClassVar = {
        "data": "digits", "states": 2, "hidden": (), "unrolls": (1, 2), "every": 4, "log_every": 1,
        "runs": 2, "batch": 16, "query": 16,
    }  # fmt: skip
    paper: ClassVar = {
        "hidden": (64, 64), "unrolls": tuple(range(10, 51, 5)), "every": 10_000, "log_every": 100,
        **{name: value for name, value in PAPER.items() if name != "steps"},
    }  # fmt: skip

    data: str = "mnist"
    states: int = 4
    hidden: tuple[int, ...] = (32, 32)
    unrolls: tuple[int, ...] = (5, 10, 15, 20)
    every: int = 150
    log_every: int = 10
    runs: int = 4
    batch: int = 128
    query: int = 512
    learning_rate: float = 1e-2
    clip: float = 1.0

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train, and read the log."""
        family = images_of(self.data)
        objective = hx.objectives.OnlineCrossEntropy(
            steps=self.unrolls[0], batch=self.batch, query=self.query
        )
        history = learn(
            work / "genomes", blur(self.states), [family],
            hx.Curriculum(objective, self.unrolls, self.every),
            steps=self.every * len(self.unrolls), seed=seed, hidden=self.hidden, runs=self.runs,
            learning_rate=self.learning_rate, clip=self.clip, validation=16,
            log_every=self.log_every, checkpoint_every=self.every,
        ).history  # fmt: skip
        steps = np.array([line["step"] for line in history])
        accuracy = np.array([line["accuracy"] for line in history])
        stages = np.minimum((steps - 1) // self.every, len(self.unrolls) - 1)
        late = (steps - 1) % self.every >= int((1 - LAST) * self.every)
        of_stage = [accuracy[(stages == s) & late] for s in range(len(self.unrolls))]
        means = [float(a.mean()) for a in of_stage]
        chosen = [line["synchronized_on"] for line in history if "synchronized_on" in line]
        holds = bool((np.diff(means) > 0).all())
        numbers = {
            "unrolls": list(self.unrolls),
            "accuracy": means,
            "standard_error": [float(standard_error(a.mean(axis=1))) for a in of_stage],
            "best_run": [float(a.mean(axis=0).max()) for a in of_stage],
            "synchronized_on_run": chosen,
        }
        told = ", ".join(f"{m:.1%} ({n})" for n, m in zip(self.unrolls, means, strict=True))
        shows = f"Accuracy at the end of lifetimes, stage after stage (updates): {told}."
        lines = [
            {"step": int(step), "unroll": self.unrolls[stage], "run": run, "accuracy": f"{a:.5f}"}
            for step, stage, line in zip(steps, stages, accuracy, strict=True)
            for run, a in enumerate(line)
        ]
        figure = self._draw(title(self.data, family), steps, accuracy, means, chosen)
        return Finding(lines, numbers, holds, shows, figure)

    def _draw(
        self,
        images: str,
        steps: np.ndarray,
        accuracy: np.ndarray,
        means: list[float],
        chosen: list[int],
    ) -> Figure:
        figure, [[axes]] = sheet(8.5, 4.4)
        for run, line in enumerate(accuracy.T):
            colour = LEARNER_COLOURS[run % len(LEARNER_COLOURS)]
            axes.plot(steps, line, color=colour, linewidth=1, alpha=0.8, label=f"run {run + 1}")
        for stage, (unroll, mean) in enumerate(zip(self.unrolls, means, strict=True)):
            begin, end = stage * self.every, (stage + 1) * self.every
            axes.plot(
                [end - LAST * self.every, end], [mean, mean], color=INK, linewidth=2.5,
                label=None if stage else "mean of the end of the stage",
            )  # fmt: skip
            axes.text(
                (begin + end) / 2, 1.01, f"{unroll} updates", ha="center", fontsize=9, color=INK,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
            if stage < len(chosen):
                mark(axes, end)
        # The first meta-steps are near chance and would hide all that follows.
        floor = float(np.quantile(accuracy, 0.1))
        axes.set_ylim(max(floor - 0.05, 0), min(float(accuracy.max()) + 0.02, 1))
        axes.set_xlim(0, steps[-1])
        label(axes, "meta-steps", "accuracy after a lifetime")
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
        return headline(
            figure,
            f"Meta-training on {images}, {self.runs} runs from different genomes; dashed: "
            f"all go on from the best",
        )
