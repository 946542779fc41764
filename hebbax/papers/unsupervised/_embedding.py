"""Figure 10: what the rule does to two moons and to digits, on principal components."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import headline, label, sizes
from hebbax.papers._statistics import mean_and_error
from hebbax.papers.unsupervised._curves import ERRORS, OURS, shipped
from hebbax.papers.unsupervised._few_shot import FewShot, few_shot, read_out
from hebbax.papers.unsupervised._learners import by_rule
from hebbax.plots import INK, tidy

SHARE = 0.95
"""Of the variance, which the components that are counted explain."""
MOONS = "two moons"
FRESH, TRAINED = "random initialisation", "after the rule"


class Embedding(NamedTuple):
    """Features of test examples on their principal components.

    **Fields:**

    - `projected`: the first three components of each example.
    - `y`: the examples' classes.
    - `explained`: the share of variance that the first 1, 2, ... components explain.
    - `accuracy`: of the few-shot read-out.
    - `separation`: the share of the variance of those three components that lies between classes.
    """

    projected: Float[np.ndarray, "n 3"]
    y: Int[np.ndarray, "n"]
    explained: Float[np.ndarray, "features"]
    accuracy: float
    separation: float

    @property
    def needed(self) -> int:
        """How many components explain `SHARE` of the variance."""
        return int(np.searchsorted(self.explained, SHARE)) + 1


class Embeddings(Experiment):
    """Features before and after the rule's updates, two moons beside digits, some networks each."""

    name: ClassVar = "unsupervised/embedding"
    source: ClassVar = "Metz et al. fig. 10, sec. 5.5"
    claim: ClassVar = (
        "Without labels the rule separates the classes of two moons, in part, and of MNIST; the "
        "variance of its features of two moons lies in few principal components, that of its "
        "features of MNIST in more."
    )
    criterion: ClassVar = (
        f"on two moons and on digits, the share of the variance of the first three principal "
        f"components that lies between classes is higher after the updates than before by more "
        f"than {ERRORS} standard errors of the mean difference over networks; and after the "
        f"updates fewer components explain {SHARE:.0%} of the variance of the features of two "
        f"moons than of those of digits (means over networks)"
    )
    smoke: ClassVar = {
        "rule": "unsupervised/small", "data": "digits", "size": 8, "hidden": (), "updates": 2,
        "runs": 2, "shown": 60, "many": 200,
    }  # fmt: skip
    paper: ClassVar = {"updates": 3000, "batch": 128, "runs": 10}

    rule: str = "unsupervised/meta"
    data: str = "mnist"
    size: int = 14
    hidden: tuple[int, ...] = (128, 128, 128, 128)
    updates: int = 200
    batch: int = 32
    runs: int = 5
    """Networks, each with data of its own."""
    shown: int = 1000
    """Test examples that are embedded."""
    many: int = 10_000
    """Unlabelled examples, at most."""

    def run(self, work: Path, seed: int) -> Finding:
        """Embed both before and after, with every network."""
        found: dict[str, dict[str, list[Embedding]]] = {}
        for run in range(self.runs):
            own = 1000 * seed + run
            given = {
                MOONS: self._moons(own),
                self.data: few_shot(self.data, self.size, own, tested=self.shown, many=self.many),
            }
            for name, data in given.items():
                for state, embedding in self._embed(data, own).items():
                    found.setdefault(name, {}).setdefault(state, []).append(embedding)
        needed = _of_runs(found, "needed")
        separation, accuracy = _of_runs(found, "separation"), _of_runs(found, "accuracy")
        gains = {
            name: mean_and_error(np.subtract(each[TRAINED], each[FRESH]))
            for name, each in separation.items()
        }
        moons, digits = (float(np.mean(each[TRAINED])) for each in needed.values())
        numbers = {
            f"components_for_{SHARE:.0%}_of_runs": needed,
            "between_classes_of_runs": separation,
            "few_shot_accuracy_of_runs": accuracy,
            "gain_between_classes": {
                name: {"mean": mean, "standard_error": error}
                for name, (mean, error) in gains.items()
            },
        }
        holds = moons < digits and all(mean > ERRORS * error for mean, error in gains.values())
        shows = f"After {self.updates} updates of {self.rule}, mean of {self.runs} networks: " + (
            "; ".join(
                f"of {name} {np.mean(each[FRESH]):.1%} of the variance of three components lay "
                f"between classes and {np.mean(each[TRAINED]):.1%} do (gain {gains[name][0]:+.1%} "
                f"± {gains[name][1]:.1%}), few-shot accuracy went from "
                f"{np.mean(accuracy[name][FRESH]):.1%} to {np.mean(accuracy[name][TRAINED]):.1%}, "
                f"{np.mean(needed[name][TRAINED]):.1f} components explain {SHARE:.0%}"
                for name, each in separation.items()
            )
            + "."
        )
        table = [
            {"data": name, "network": state, "run": run, "components": count,
             "explained": round(float(share), 5)}
            for name, each in found.items()
            for state, embeddings in each.items()
            for run, embedding in enumerate(embeddings)
            for count, share in enumerate(embedding.explained, 1)
        ]  # fmt: skip
        return Finding(table, numbers, holds, shows, self._draw(found))

    def _moons(self, seed: int) -> FewShot:
        family = hx.tasks.toy("two_moons").draw(jax.random.key(seed))
        x, y = (np.asarray(part[0]) for part in family.stream(jax.random.key(seed), 1, self.many))
        test_x, test_y = (np.asarray(part)[: self.shown] for part in family.test_set())
        classes, test_classes = (part.argmax(axis=1) for part in (y, test_y))
        few = np.concatenate([np.flatnonzero(classes == c)[:10] for c in (0, 1)])
        return FewShot(x, x[few], classes[few], test_x, test_classes)

    def _embed(self, given: FewShot, seed: int) -> dict[str, Embedding]:
        rule, theta = shipped(self.rule)
        layers = (given.unlabelled.shape[1], *self.hidden, 32)
        points = {FRESH: 0, TRAINED: self.updates}
        features = by_rule(rule, theta, given, layers, points.values(), self.batch, seed)
        found = {}
        for state, updates in points.items():
            seen = features[updates](given.test_x)
            components = PCA(random_state=seed).fit(seen)
            projected = components.transform(seen)[:, :3]
            found[state] = Embedding(
                projected,
                given.test_y,
                np.cumsum(components.explained_variance_ratio_),
                read_out(features[updates], given),
                between(projected, given.test_y),
            )
        return found

    def _draw(self, found: Mapping[str, Mapping[str, Sequence[Embedding]]]) -> Figure:
        figure = Figure(figsize=(12, 7), layout="constrained")
        grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 1.1))
        for row, (name, each) in enumerate(found.items()):
            for column, (state, [embedding, *_]) in enumerate(each.items()):
                axes: Any = figure.add_subplot(grid[row, column], projection="3d")
                axes.scatter(
                    *embedding.projected.T, c=embedding.y, s=8, alpha=0.8, linewidths=0,
                    cmap="tab10" if embedding.y.max() > 1 else "coolwarm",
                )  # fmt: skip
                words = f"{name}, {state}\n{embedding.separation:.0%} between classes"
                label(axes, title=words)
                axes.tick_params(labelbottom=False, labelleft=False, labelright=False, length=0)
                for which in "xyz":
                    getattr(axes, f"set_{which}label")(
                        f"component {'xyz'.index(which) + 1}", fontsize=7, labelpad=-12, color=INK
                    )
                axes.set_box_aspect(None, zoom=1.15)
        axes = figure.add_subplot(grid[:, 2])
        tidy(axes)
        for name, colour in zip(found, (OURS, "#0072B2"), strict=True):
            for state, style in ((FRESH, ":"), (TRAINED, "-")):
                line = np.mean([embedding.explained for embedding in found[name][state]], axis=0)
                axes.plot(
                    range(1, len(line) + 1), line, style, color=colour, lw=1.8, marker=".",
                    label=f"{name}, {state}",
                )  # fmt: skip
        axes.axhline(SHARE, color=INK, lw=0.8, ls="--")
        axes.text(32, SHARE - 0.005, f"{SHARE:.0%}", ha="right", va="top", fontsize=8, color=INK)
        label(axes, "principal components", "share of the features' variance explained")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        return headline(
            figure,
            f"Features of {self.shown} test examples before and after {self.updates} updates of "
            f"{self.rule}, networks inputs-{sizes(*self.hidden, 32)}; the first of {self.runs}\n"
            f"colours are classes, which the rule is not shown; right: mean of {self.runs} "
            f"networks",
        )


def between(points: Float[np.ndarray, "n 3"], y: Int[np.ndarray, "n"]) -> float:
    """Return the share of the variance of points that lies between their classes."""
    total = np.square(points - points.mean(axis=0)).sum()
    within = sum(
        np.square(points[y == c] - points[y == c].mean(axis=0)).sum() for c in np.unique(y)
    )
    return float(1 - within / total) if total > 0 else 0.0


def _of_runs(
    found: Mapping[str, Mapping[str, Sequence[Embedding]]], quantity: str
) -> dict[str, dict[str, list[float]]]:
    return {
        name: {state: [getattr(one, quantity) for one in runs] for state, runs in each.items()}
        for name, each in found.items()
    }
