"""Figure 7: a genome found by CMA-ES for accuracy itself, beside one found by gradients."""

from pathlib import Path
from typing import Any, ClassVar

import jax
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import band, label, mark, sheet
from hebbax.papers._statistics import rows
from hebbax.papers._training import learn, meta_train, trial
from hebbax.plots import LEARNER_COLOURS

BAR = 0.84
"""Accuracy after 15 updates that the paper reaches in 400 meta-steps."""


class CmaEs(Experiment):
    """CMA-ES from random genomes on the share of wrong answers, which has no gradient."""

    name: ClassVar = "blur/cma-es"
    source: ClassVar = "BLUR fig. 7, sec. 4.4"
    claim: ClassVar = (
        "CMA-ES finds a genome that reaches an accuracy of 0.84 on MNIST at 14 by 14 after 15 "
        "updates, in 400 meta-steps; it does not fall off beyond 15 updates."
    )
    criterion: ClassVar = (
        f"mean test accuracy after the trained number of updates at least {BAR}, in at most 400 "
        f"meta-steps, and at most 0.03 lower after any larger number of updates that is judged"
    )
    smoke: ClassVar = {
        "size": 7, "hidden": 8, "updates": 3, "batch": 16, "query": 32, "population": 4,
        "steps": 2, "gradient_steps": 2, "networks": 2, "points": (1, 3, 5),
    }  # fmt: skip
    paper: ClassVar = {"steps": 400, "gradient_steps": 10_000, "runs": 8}

    size: int = 14
    hidden: int = 512
    states: int = 2
    updates: int = 15
    batch: int = 128
    query: int = 2560  # 20 batches
    population: int = 80
    std: float = 0.3
    steps: int = 100
    gradient_steps: int = 300
    runs: int = 1
    networks: int = 8
    points: tuple[int, ...] = (1, 2, 5, 10, 15, 20, 30, 50, 100)

    def run(self, work: Path, seed: int) -> Finding:
        """Search, meta-train by gradients too, and let both train networks."""
        family = hx.tasks.images("mnist", size=self.size)
        rule = hx.Blur(states=self.states, genome_init="random", learn_synapse_gain=True)
        lifetime: dict[str, Any] = {"steps": self.updates, "batch": self.batch, "query": self.query}
        found = meta_train(
            work / "cma", rule, family, hx.objectives.QueryAccuracy(**lifetime),
            hx.methods.CMAES(std=self.std, population=self.population, seed=seed + 1),
            steps=self.steps, seed=seed, every=5, log_every=1, hidden=(self.hidden,),
            runs=self.runs,
        )  # fmt: skip
        # Gradients need a start that learns at all: around backpropagation, as the paper's do.
        near_backprop = hx.Blur(states=self.states, init_scale=0.1, learn_synapse_gain=True)
        descended = learn(
            work / "gradient", near_backprop, [family],
            hx.objectives.QueryCrossEntropy(**{**lifetime, "query": 512}),
            steps=self.gradient_steps, seed=seed, hidden=(self.hidden,),
        )  # fmt: skip
        settings = trial(
            seed, hidden=(self.hidden,), points=self.points, batch=self.batch,
            networks=self.networks,
        )  # fmt: skip
        curves = {
            "CMA-ES": hx.evaluate(rule, found.theta, family, **settings),
            "gradient": hx.evaluate(near_backprop, descended.theta, family, **settings),
        }
        search = _search(found)
        reached = curves["CMA-ES"].after(self.updates)
        beyond = [
            curves["CMA-ES"].after(point).mean() for point in self.points if point > self.updates
        ]
        first = next(
            (s["meta_step"] for s in search if s["mean_genome"] and s["mean_genome"] >= BAR), None
        )
        holds = reached.mean() >= BAR and self.steps <= 400 and min(beyond) >= reached.mean() - 0.03
        numbers = {
            "accuracy": float(reached.mean()),
            "accuracy_deviation": float(reached.std()),
            "accuracy_beyond": [float(b) for b in beyond],
            "gradient_accuracy": float(curves["gradient"].after(self.updates).mean()),
            "meta_steps": self.steps,
            "meta_steps_to_bar": first,
            "best_at_meta_step": found.step,
            "genome": int(sum(leaf.size for leaf in jax.tree.leaves(found.theta))),
            "minutes_of_search": found.seconds / 60,
        }
        shows = (
            f"CMA-ES from a random genome of {numbers['genome']} numbers reaches "
            f"{numbers['accuracy']:.3f} after {self.updates} updates in {self.steps} meta-steps "
            + ("" if first is None else f"({BAR} on validation tasks after {first}) ")
            + f"and {beyond[-1]:.3f} after {self.points[-1]}; the genome found by gradients "
            f"reaches {numbers['gradient_accuracy']:.3f} after {self.updates}."
        )
        table = [{"part": "search", **line} for line in search]
        for name, curve in curves.items():
            table += rows(curve.accuracy, curve.steps, each="seed", part="learning", genome=name)
        return Finding(table, numbers, bool(holds), shows, self._draw(search, curves))

    def _draw(self, search: list[dict[str, Any]], curves: dict[str, hx.Curves]) -> Figure:
        figure, [[left, right]] = sheet(10, 4, columns=2)
        for name, words, style in (
            ("population_mean", f"mean of {self.population} genomes", ":"),
            ("population_best", "best of them", "--"),
            ("mean_genome", "mean genome, validation tasks", "o-"),
        ):
            known = [line for line in search if line[name] is not None]
            steps = [line["meta_step"] for line in known]
            left.plot(steps, [line[name] for line in known], style, label=words, markersize=3)
        left.axhline(BAR, color="#555555", linewidth=0.8)
        left.text(1, BAR + 0.01, f"paper, 400 meta-steps: {BAR}", fontsize=8)
        label(left, "meta-steps of CMA-ES", f"accuracy after {self.updates} updates", "Searching")
        for (name, curve), colour in zip(curves.items(), LEARNER_COLOURS, strict=False):
            band(right, curve.steps, curve.accuracy, name, colour, marker="o", markersize=3)
        mark(right, self.updates)
        right.set_xscale("log")
        label(
            right,
            f"updates of {self.batch} examples (dashed: trained length)",
            "test accuracy, mean and standard deviation",
            f"Learning MNIST, {self.size} by {self.size}, {self.hidden} hidden units, "
            f"n = {self.networks}",
        )
        for axes in (left, right):
            axes.legend(fontsize=8, loc="lower right")
        return figure


def _search(found: hx.Result) -> list[dict[str, Any]]:
    """Return a line for each logged meta-step of the best run, in accuracies."""
    lines = []
    for line in found.history:
        validation = line.get("validation_loss")
        lines.append(
            {
                "meta_step": line["step"],
                "population_mean": 1 - line["loss"][found.run],
                "population_best": 1 - line["best_loss"][found.run],
                "mean_genome": None if validation is None else 1 - validation[found.run],
            }
        )
    return lines
