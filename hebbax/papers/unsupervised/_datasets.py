"""Figure 5: few-shot classification on the features of the rule and of other learners."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import headline, label, sheet, sizes
from hebbax.papers._statistics import last_rows, mean_and_error, rounded
from hebbax.papers.unsupervised import _learners, _prototypes, _trained
from hebbax.papers.unsupervised._curves import shipped
from hebbax.papers.unsupervised._few_shot import FewShot, few_shot, read_out
from hebbax.rules import UnsupervisedRule

Score = Mapping[Any, float]
"""The accuracy of a run for each setting of a learner."""
Scores = dict[Any, list[float]]
"""Accuracies of all runs for each setting."""
OURS, RANDOM = "learned rule", "random initialisation"
BEATEN = ("VAE", "supervised")
FLOOR = 0.1
"""How far the rule is to be ahead of random initialisation."""
ERRORS = 2
"""Standard errors of the difference by which it is to be ahead of the others."""


class DataSets(Experiment):
    """The shipped rule on data it has not seen, with ten labelled examples a class."""

    name: ClassVar = "unsupervised/datasets"
    source: ClassVar = "Metz et al. fig. 5, sec. 5.2"
    claim: ClassVar = (
        "With ten labelled examples a class, features of the learned rule serve better than those "
        "of a VAE, supervised learning on the same examples, and random initialisation with a "
        "trained read-out."
    )
    criterion: ClassVar = (
        f"on all data sets at the first size, on the paper's network, the rule is at least "
        f"{100 * FLOOR:g} points of accuracy ahead of random initialisation, and ahead of the VAE "
        f"and of supervised learning by more than {ERRORS} standard errors of the difference "
        f"(means over runs; all but learned rules with the settings that are best on the test set)"
    )
    smoke: ClassVar = {
        "data": ("digits",), "sizes": (8,), "families": ("glyphs",), "hidden": (12,), "updates": 2,
        "others": (),
        "runs": 2, "tested": 100, "rates": (1e-2,), "points": (2,), "label_points": (2,),
    }  # fmt: skip
    paper: ClassVar = {
        "sizes": (14, 28), "updates": 3000, "batch": 128, "points": (10_000, 100_000),
        "label_points": (100, 1000, 10_000), "tested": 10_000,
    }  # fmt: skip

    rule: str = "unsupervised/meta"
    others: tuple[str, ...] = ("unsupervised/small",)
    """Other shipped rules, shown beside it."""
    data: tuple[str, ...] = ("mnist", "fashion_mnist")
    sizes: tuple[int, ...] = (14,)
    families: tuple[str, ...] = ("glyphs", "az_letters", "cifar10")
    hidden: tuple[int, ...] = (128, 128, 128, 128)
    features: int = 32
    step_size: float | None = None
    """Of the rule; None for its own. With smaller ones features take longer, and fluctuate less."""
    updates: int = 400
    batch: int = 32
    runs: int = 10
    tested: int = 2000
    rates: tuple[float, ...] = (3e-3, 1e-2)
    points: tuple[int, ...] = (300, 1000)
    label_points: tuple[int, ...] = (10, 30, 100, 300)

    def run(self, work: Path, seed: int) -> Finding:
        """Judge every learner on every data set at every size."""
        rules = {OURS: self._shipped(self.rule)}
        rules |= {name: self._shipped(name) for name in self.others}
        rows, numbers = [], {}
        for size in self.sizes:
            nets = self._prototype_networks(size, seed)
            for name in self.data:
                scores = self._learners(name, size, seed, rules)
                scores["prototypical network"] = self._prototypes(name, size, seed, nets)
                rows += [
                    row
                    for learner, found in scores.items()
                    for setting, accuracies in found.items()
                    for row in last_rows(
                        accuracies, each="run", form=rounded, data=name, size=size,
                        learner=learner, setting=str(setting),
                    )
                ]  # fmt: skip
                numbers[f"{name} {size}"] = {
                    learner: _summary(found) for learner, found in scores.items()
                }
        places = [f"{name} {self.sizes[0]}" for name in self.data]
        leads = {
            other: {place: _lead(numbers[place][OURS], numbers[place][other]) for place in places}
            for other in (RANDOM, *BEATEN)
        }
        holds = all(lead["mean"] >= FLOOR for lead in leads[RANDOM].values()) and all(
            lead["mean"] > ERRORS * lead["standard_error"]
            for other in BEATEN
            for lead in leads[other].values()
        )
        numbers["leads"] = leads
        told = "; ".join(
            f"over {other} "
            + ", ".join(
                f"{lead['mean']:+.1%} ± {lead['standard_error']:.1%} on {place}"
                for place, lead in of.items()
            )
            for other, of in leads.items()
        )
        at = ", ".join(f"{numbers[place][OURS]['mean']:.1%} on {place}" for place in places)
        shows = f"The rule is at {at}; leads {told}."
        return Finding(rows, numbers, holds, shows, self._draw(numbers))

    def _shipped(self, name: str) -> tuple[UnsupervisedRule, Any]:
        rule, theta = shipped(name)
        if self.step_size is not None:
            rule = dataclasses.replace(rule, step_size=self.step_size)
        return rule, theta

    def _each(
        self, name: str, size: int, seed: int, score: Callable[[FewShot, int], Score], **draw: Any
    ) -> Scores:
        """Collect the scores of all runs, each with data and a seed of its own."""
        found: Scores = {}
        for run in range(self.runs):
            own = 1000 * seed + run
            given = few_shot(name, size, own, tested=self.tested, **draw)
            for setting, accuracy in score(given, own).items():
                found.setdefault(setting, []).append(accuracy)
        return found

    def _learners(
        self, name: str, size: int, seed: int, rules: Mapping[str, tuple[UnsupervisedRule, Any]]
    ) -> dict[str, Scores]:
        layers = (size * size, *self.hidden, self.features)

        def by_rule(which: str) -> Callable[[FewShot, int], Score]:
            def score(given: FewShot, own: int) -> Score:
                at = (0, self.updates)
                found = _learners.by_rule(*rules[which], given, layers, at, self.batch, own)
                return {updates: read_out(f, given) for updates, f in found.items()}

            return score

        def by_vae(given: FewShot, own: int) -> Score:
            return {
                (rate, point): read_out(f, given)
                for rate in self.rates
                for point, f in _trained.by_vae(given, layers, self.points, rate, own).items()
            }

        def by_labels(given: FewShot, own: int) -> Score:
            return {
                (rate, point): accuracy
                for rate in self.rates
                for point, accuracy in _trained.by_labels(
                    given, layers, self.label_points, rate, own
                ).items()
            }

        def by_pca(given: FewShot, own: int) -> Score:
            return {
                white: read_out(_learners.by_pca(given, self.features, white, own), given)
                for white in (False, True)
            }

        def by_kmeans(given: FewShot, own: int) -> Score:
            return {"": read_out(_learners.by_kmeans(given, self.features, own), given)}

        learnt = {which: self._each(name, size, seed, by_rule(which)) for which in rules}
        return {
            **{which: {self.updates: found[self.updates]} for which, found in learnt.items()},
            RANDOM: {0: learnt[OURS][0]},
            "VAE": self._each(name, size, seed, by_vae),
            "supervised": self._each(name, size, seed, by_labels),
            "PCA": self._each(name, size, seed, by_pca),
            "k-means": self._each(name, size, seed, by_kmeans),
        }

    def _prototype_networks(self, size: int, seed: int) -> dict[Any, Any]:
        families = [
            hx.tasks.glyphs(10, size) if name == "glyphs" else hx.tasks.subsets(name, 10, size)
            for name in self.families
        ]
        layers = (size * size, *self.hidden, self.features)
        return {
            (rate, point): net
            for rate in self.rates
            for point, net in _prototypes.networks(
                families, layers, self.points, rate, seed
            ).items()
        }

    def _prototypes(self, name: str, size: int, seed: int, nets: Mapping[Any, Any]) -> Scores:
        # Pixels stay where they are: the network knows their places from meta-training.
        def score(given: FewShot, own: int) -> Score:
            return {setting: _prototypes.accuracy(net, given) for setting, net in nets.items()}

        return self._each(name, size, seed, score, permute=False)

    def _draw(self, numbers: Mapping[str, Any]) -> Figure:
        places = [place for place in numbers if place != "leads"]
        learners = list(numbers[places[0]])
        figure, [grid] = sheet(max(6.0, 2.9 * len(places)), 4, columns=len(places), sharey=True)
        for axes, place in zip(grid, places, strict=True):
            found = [numbers[place][learner] for learner in learners]
            axes.bar(
                range(len(learners)),
                [f["mean"] for f in found],
                yerr=[f["standard_error"] for f in found],
                color=["#D55E00" if learner == OURS else "#9AA5B1" for learner in learners],
                capsize=3,
            )
            axes.set_xticks(range(len(learners)), learners, rotation=60, ha="right", fontsize=8)
            label(axes, title=place)
        label(grid[0], y="test accuracy")
        return headline(
            figure,
            f"Ten labelled examples a class, networks pixels-{sizes(*self.hidden, self.features)}\n"
            f"mean of {self.runs} runs with standard errors",
        )


def _lead(ours: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    """Return the difference of two means and its standard error."""
    error = math.hypot(ours["standard_error"], other["standard_error"])
    return {"mean": ours["mean"] - other["mean"], "standard_error": error}


def _summary(found: Scores) -> dict[str, Any]:
    """Return mean and standard error with the setting that has the best mean."""
    best = max(found, key=lambda setting: statistics.fmean(found[setting]))
    mean, error = mean_and_error(found[best])
    return {"mean": mean, "standard_error": error, "setting": str(best)}
