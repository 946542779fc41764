"""Supplement, section 1: a learnt genome descends no loss under any constant metric either."""

from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from hebbax.analysis import MetricTest, change_jacobian, metric_test
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import headline, label, sheet
from hebbax.papers.blur._xor import Subject, forward_synapses, learners, subject
from hebbax.plots import INK, LEARNER_COLOURS


class MetricEquivalence(Experiment):
    """The null space of gQ - (gQ)ᵀ = 0, at one state and at others."""

    name: ClassVar = "blur/metric-equivalence"
    source: ClassVar = "BLUR appendix A (supplement, section 1)"
    claim: ClassVar = "There is no positive-definite constant metric under which a loss descends."
    criterion: ClassVar = (
        "no combination of the solutions that hold at all states is positive-definite, while for "
        "the backpropagation special case, put to the same test, there is one (the identity)"
    )
    smoke: ClassVar = {"steps": 4, "hidden": 2, "states": 3, "batch": 16}
    paper: ClassVar = {"steps": 10_000}

    hidden: int = 5
    steps: int = 1000
    states: int = 101
    batch: int = 512

    def run(self, work: Path, seed: int) -> Finding:
        """Meta-train on xor, differentiate one update of many networks, and solve for g."""
        cases = learners(work / "xor", self.hidden, self.steps, seed)
        rows, numbers, found = [], {}, {}
        for name, (rule, theta) in cases.items():
            # The first has learnt for a while; the others are fresh, at other random states.
            subjects = [
                subject(rule, theta, self.hidden, 5 if not state else 0, self.batch, seed + state)
                for state in range(self.states)
            ]
            matrices = _jacobians(subjects)
            found[name] = [metric_test(matrices[:n]) for n in _counts(self.states)]
            last = found[name][-1]
            numbers[name] = {
                "weights": len(matrices[0]),
                "solutions_at_first_state": last.at_first,
                "solutions_at_all_states": last.everywhere,
                "positive_definite": last.definite,
                "smallest_eigenvalue": None if not last.everywhere else last.smallest_eigenvalue,
                "accuracy": subjects[0].accuracy,
            }
            rows += [
                {"rule": name, "states": n, "solutions": test.everywhere,
                 "positive_definite": test.definite}
                for n, test in zip(_counts(self.states), found[name], strict=True)
            ]  # fmt: skip
        genome, plain = numbers["genome"], numbers["backpropagation"]
        holds = not genome["positive_definite"] and plain["positive_definite"]
        shows = (
            f"Of {genome['solutions_at_first_state']} matrices g that solve the equations at one "
            f"state, {genome['solutions_at_all_states']} do at all {self.states}, "
            f"{'with' if genome['positive_definite'] else 'without'} a positive-definite "
            f"combination; for backpropagation {plain['solutions_at_all_states']} do, "
            f"{'with' if plain['positive_definite'] else 'without'} one."
        )
        return Finding(rows, numbers, holds, shows, _draw(found, _counts(self.states)))


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


def _draw(found: dict[str, list[MetricTest]], counts: list[int]) -> Figure:
    figure, [[axis]] = sheet(7, 4.4)
    for (name, tests), colour in zip(found.items(), LEARNER_COLOURS, strict=False):
        definite = np.array([test.definite for test in tests])
        solutions = np.array([test.everywhere for test in tests])
        axis.plot(counts, solutions, color=colour, label=name)
        for chosen, fill in ((definite, colour), (~definite, "white")):
            places = np.asarray(counts)[chosen]
            axis.plot(places, solutions[chosen], "o", color=colour, markerfacecolor=fill)
    for words, fill in (("positive-definite among them", INK), ("none among them", "white")):
        axis.plot([], [], "o", color=INK, markerfacecolor=fill, label=words)
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=1)
    axis.set_ylim(-0.2, 2 * max(test.everywhere for tests in found.values() for test in tests) + 1)
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(StrMethodFormatter("{x:g}"))
    label(axis, "states at which gQ must be symmetric", "dimension of the space of solutions g")
    headline(
        figure,
        "Constant metrics g under which the rule could descend a loss\n"
        f"one genome, states of up to {counts[-1]} networks learning xor",
    )
    axis.legend(frameon=False)
    return figure
