"""Figure 10: what the rule does to two moons and to digits, on principal components."""

from collections.abc import Mapping
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
from hebbax.papers.unsupervised._curves import OURS, shipped
from hebbax.papers.unsupervised._few_shot import FewShot, few_shot, read_out
from hebbax.papers.unsupervised._learners import by_rule
from hebbax.plots import INK, tidy

SHARE = 0.95
"""Of the variance, which the components that are counted explain."""
FRESH, TRAINED = "random initialisation", "after the rule"


class Embedding(NamedTuple):
    """Features of test examples on their principal components.

    **Fields:**

    - `projected`: the first three components of each example.
    - `y`: the examples' classes.
    - `explained`: the share of variance that the first 1, 2, ... components explain.
    - `accuracy`: of the few-shot read-out.
    """

    projected: Float[np.ndarray, "n 3"]
    y: Int[np.ndarray, "n"]
    explained: Float[np.ndarray, "features"]
    accuracy: float

    @property
    def needed(self) -> int:
        """How many components explain `SHARE` of the variance."""
        return int(np.searchsorted(self.explained, SHARE)) + 1


class Embeddings(Experiment):
    """Features before and after the rule's updates, two moons beside digits."""

    name: ClassVar = "unsupervised/embedding"
    source: ClassVar = "Metz et al. fig. 10, sec. 5.5"
    claim: ClassVar = (
        "The variance of the rule's features of two moons lies in few principal components, that "
        "of its features of MNIST in more."
    )
    criterion: ClassVar = (
        f"after the updates fewer principal components explain {SHARE:.0%} of the variance of the "
        f"features of two moons than of those of digits"
    )
    smoke: ClassVar = {
        "data": "digits", "size": 8, "hidden": (), "updates": 2, "shown": 60, "many": 200,
    }  # fmt: skip
    paper: ClassVar = {"hidden": (128, 128, 128, 128), "updates": 3000, "batch": 128}

    rule: str = "unsupervised/small"
    data: str = "mnist"
    size: int = 14
    hidden: tuple[int, ...] = (128,)
    updates: int = 100
    batch: int = 32
    shown: int = 1000
    """Test examples that are embedded."""
    many: int = 10_000
    """Unlabelled examples, at most."""

    def run(self, work: Path, seed: int) -> Finding:
        """Embed both before and after."""
        given = {
            "two moons": self._moons(seed),
            self.data: few_shot(self.data, self.size, seed, tested=self.shown, many=self.many),
        }
        found = {name: self._embed(data, seed) for name, data in given.items()}
        needed = {name: {s: e.needed for s, e in each.items()} for name, each in found.items()}
        moons, digits = (needed[name][TRAINED] for name in found)
        numbers = {
            f"components_for_{SHARE:.0%}": needed,
            "variance_of_three_components": {
                name: {s: float(e.explained[2]) for s, e in each.items()}
                for name, each in found.items()
            },
            "accuracy": {
                name: {s: e.accuracy for s, e in each.items()} for name, each in found.items()
            },
        }
        shows = (
            f"After {self.updates} updates {moons} components explain {SHARE:.0%} of the variance "
            f"of two moons and {digits} that of {self.data}; few-shot accuracy goes "
            + " and ".join(
                f"from {each[FRESH].accuracy:.1%} to {each[TRAINED].accuracy:.1%} on {name}"
                for name, each in found.items()
            )
            + "."
        )
        table = [
            {"data": name, "network": state, "components": count,
             "explained": round(float(share), 5)}
            for name, each in found.items()
            for state, embedding in each.items()
            for count, share in enumerate(embedding.explained, 1)
        ]  # fmt: skip
        return Finding(table, numbers, moons < digits, shows, self._draw(found))

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
            found[state] = Embedding(
                components.transform(seen)[:, :3],
                given.test_y,
                np.cumsum(components.explained_variance_ratio_),
                read_out(features[updates], given),
            )
        return found

    def _draw(self, found: Mapping[str, Mapping[str, Embedding]]) -> Figure:
        figure = Figure(figsize=(12, 7), layout="constrained")
        grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 1.1))
        for row, (name, each) in enumerate(found.items()):
            for column, (state, embedding) in enumerate(each.items()):
                axes: Any = figure.add_subplot(grid[row, column], projection="3d")
                axes.scatter(
                    *embedding.projected.T, c=embedding.y, s=8, alpha=0.8, linewidths=0,
                    cmap="tab10" if embedding.y.max() > 1 else "coolwarm",
                )  # fmt: skip
                words = f"{name}, {state}\nfew-shot accuracy {embedding.accuracy:.1%}"
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
                line = found[name][state].explained
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
            f"Features of {self.shown} test examples before and after {self.updates} updates, "
            f"networks inputs-{sizes(*self.hidden, 32)}; colours are classes, which the rule is "
            f"not shown",
        )
