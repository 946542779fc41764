"""Supplement, section 1: learnt genomes descend no loss under any constant metric either."""

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from hebbax.analysis import MetricTest, change_jacobian, metric_test
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import headline, label, legend_below, sheet
from hebbax.papers.blur._closed import Ending, ending, follow
from hebbax.papers.blur._xor import (
    ALONG,
    BARE,
    GENOME,
    KINDS,
    PLAIN,
    Learner,
    Subject,
    forward_synapses,
    learners,
    subject,
)
from hebbax.plots import INK, LEARNER_COLOURS


class MetricEquivalence(Experiment):
    """The null space of gQ - (gQ)ᵀ = 0, at one state and at others, and trajectories that close.

    Normalisers alone may forbid a metric: so there are genomes without any, and backpropagation
    with those of the others.
    """

    name: ClassVar = "blur/metric-equivalence"
    source: ClassVar = "BLUR appendix A (supplement, section 1)"
    claim: ClassVar = "There is no positive-definite constant metric under which a loss descends."
    criterion: ClassVar = (
        "for no genome, with normalisers and without, a combination of the solutions that hold at "
        "all states, fresh ones and along training, is positive-definite, while for the "
        "backpropagation special case, put to the same test, there is one (the identity)"
    )
    smoke: ClassVar = {
        "steps": 4, "hidden": 2, "genomes": 1, "states": 3, "batch": 16, "trajectories": 1,
        "trajectory": 4,
    }  # fmt: skip
    paper: ClassVar = {"steps": 10_000}

    hidden: int = 5
    steps: int = 1000
    genomes: int = 3
    """Meta-seeds, with normalisers and without."""
    states: int = 101
    """Networks, each from a draw of its own, after 5, 0, 20 and 50 updates in turn."""
    batch: int = 512
    trajectories: int = 8
    """Of each learner, on a batch of xor that stays."""
    trajectory: int = 600
    """Its length in updates."""

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train on xor, differentiate one update of many networks, and solve for g."""
        counts = _counts(self.states)
        found: dict[str, list[list[MetricTest]]] = {}
        numbers: dict[str, Any] = {}
        for learner in learners(work / "xor", self.hidden, self.steps, seed, self.genomes):
            cases = [self._case(learner, state, seed) for state in range(self.states)]
            matrices = _jacobians(cases)
            tests = [metric_test(matrices[:n]) for n in counts]
            found.setdefault(learner.name, []).append(tests)
            numbers.setdefault(learner.name, []).append(_told(tests, matrices, cases))
            numbers[learner.name][-1]["trajectories"] = self._endings(learner, seed)
        definite = {
            name: [each["positive_definite"] for each in of_name]
            for name, of_name in numbers.items()
        }
        holds = definite[PLAIN][0] and not any(definite[GENOME] + definite[BARE])
        rows = [
            {"rule": name, "genome": number, "states": n, "solutions": test.everywhere,
             "positive_definite": test.definite}
            for name, of_name in found.items()
            for number, tests in enumerate(of_name)
            for n, test in zip(counts, tests, strict=True)
        ]  # fmt: skip
        return Finding(rows, numbers, holds, self._shows(numbers), _draw(found, counts))

    def _case(self, learner: Learner, state: int, seed: int) -> Subject:
        updates = _IN_TURN[state % len(_IN_TURN)]
        return subject(learner.rule, learner.theta, self.hidden, updates, self.batch, seed + state)

    def _endings(self, learner: Learner, seed: int) -> dict[str, int]:
        """Return how many trajectories end in which way.

        One closes that does so in steps of a tenth of an update, and of a fiftieth too.
        """
        found: Counter[str] = Counter()
        for number in range(self.trajectories):
            case = subject(
                learner.rule, learner.theta, self.hidden, 0, self.batch, seed + 1000 + number
            )
            found[self._ending(case)] += 1
        return dict(found)

    def _ending(self, case: Subject) -> Ending:
        end: Ending = "closes"
        for steps in _STEPS:
            if end == "closes":
                trajectory = follow(case, steps * self.trajectory, 1 / steps, steps // _POINTS)
                end = ending(trajectory)
        return end

    def _shows(self, numbers: dict[str, Any]) -> str:
        told = []
        for name, of_name in numbers.items():
            left = ", ".join(str(one["solutions_at_all_states"]) for one in of_name)
            definite = sum(one["positive_definite"] for one in of_name)
            told.append(
                f"{name} {left} ({definite} of {len(of_name)} with a positive-definite combination)"
            )
        closed = sum(
            one["trajectories"].get("closes", 0) for name in KINDS for one in numbers[name]
        )
        followed = len(KINDS) * self.genomes * self.trajectories
        return (
            f"Of the matrices g that solve the equations at one state, those that do at all "
            f"{self.states} span so many dimensions: {'; '.join(told)}. Of {followed} trajectories "
            f"of the genomes, {closed} close."
        )


_STEPS, _POINTS = (10, 50), 5
"""Euler's steps for an update, and points of a trajectory for one."""
_IN_TURN = (ALONG[1], ALONG[0], *ALONG[2:])
"""The first network has learnt for a while, the second is fresh."""


def _told(
    tests: list[MetricTest], matrices: list[np.ndarray], cases: list[Subject]
) -> dict[str, Any]:
    last = tests[-1]
    return {
        "weights": len(matrices[0]),
        "solutions_at_first_state": last.at_first,
        "solutions_at_all_states": last.everywhere,
        "positive_definite": last.definite,
        "smallest_eigenvalue": None if not last.everywhere else last.smallest_eigenvalue,
        "largest_accuracy": max(case.accuracy for case in cases),
    }


def _jacobians(subjects: list[Subject]) -> list[np.ndarray]:
    """Return ∂Δw/∂w of every subject, in double precision."""
    rule = subjects[0].rule
    with jax.enable_x64(True):

        def double(tree):
            return jax.tree.map(
                lambda a: a.astype(np.float64) if np.issubdtype(a.dtype, np.floating) else a,
                jax.tree.map(np.asarray, tree),
            )

        run = jax.jit(lambda t, n, x, y: change_jacobian(rule, t, n, x, y, forward_synapses))
        return [np.asarray(run(*map(double, (s.theta, s.net, s.x, s.y)))) for s in subjects]


def _counts(states: int) -> list[int]:
    return sorted({n for n in (1, 2, 3, 5, 10, 20, 50, 100) if n < states} | {states})


def _draw(found: dict[str, list[list[MetricTest]]], counts: list[int]) -> Figure:
    figure, [[axis]] = sheet(7.5, 4.8)
    for (name, of_name), colour in zip(found.items(), LEARNER_COLOURS, strict=False):
        for number, tests in enumerate(of_name):
            definite = np.array([test.definite for test in tests])
            solutions = np.array([test.everywhere for test in tests])
            axis.plot(counts, solutions, color=colour, label=None if number else name)
            for chosen, fill in ((definite, colour), (~definite, "white")):
                places = np.asarray(counts)[chosen]
                axis.plot(places, solutions[chosen], "o", color=colour, markerfacecolor=fill)
    for words, fill in (("positive-definite among them", INK), ("none among them", "white")):
        axis.plot([], [], "o", color=INK, markerfacecolor=fill, label=words)
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=1)
    most = max(test.everywhere for of_name in found.values() for one in of_name for test in one)
    axis.set_ylim(-0.2, 2 * most + 1)
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(StrMethodFormatter("{x:g}"))
    label(axis, "states at which gQ must be symmetric", "dimension of the space of solutions g")
    legend_below(figure, [axis], ncols=2)
    return headline(
        figure,
        f"Constant metrics g under which the rule could descend a loss\n{len(found[GENOME])} "
        f"genomes each, states of up to {counts[-1]} networks learning xor",
    )
