"""Figure 3, left: a VAE's objective improves, and what does that do to few-shot accuracy?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.figure import Figure

from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import band, headline, label, logarithmic_from_zero, sheet, sizes
from hebbax.papers._statistics import mean_and_error
from hebbax.papers.unsupervised import _quantised
from hebbax.papers.unsupervised._curves import ERRORS, OURS
from hebbax.papers.unsupervised._few_shot import FewShot, few_shot, read_out
from hebbax.papers.unsupervised._trained import Head, Model, train
from hebbax.plots import INK

CLOSE = 1.8
"""Steps whose ratio is less have no room for both their labels."""
JUDGED = 2000
"""Images that the objective is measured on."""


class Mismatch(Experiment):
    """A VAE of small photographs, its code judged by few labels while it trains."""

    name: ClassVar = "unsupervised/mismatch"
    source: ClassVar = "Metz et al. fig. 3 left, sec. 5.1, app. on objective function mismatch"
    claim: ClassVar = (
        "The few-shot accuracy of a VAE's code falls late in training although its objective "
        "still improves."
    )
    criterion: ClassVar = (
        f"after the last step the mean few-shot accuracy of the code is below its highest before "
        f"by more than {ERRORS} standard errors of the difference (pairs of labelled sets), while "
        f"the evidence lower bound is the best so far"
    )
    smoke: ClassVar = {
        "data": "digits", "size": 8, "hidden": (12,), "code": 4, "points": (0, 2),
        "draws": 2, "tested": 200, "many": 400,
    }  # fmt: skip
    paper: ClassVar = {
        "rate": 1e-4, "tested": 10_000,
        "points": (0, 100, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    }  # fmt: skip

    data: str = "cifar10"
    size: int = 16
    hidden: tuple[int, ...] = (128, 128, 128)
    code: int = 32
    rate: float = 3e-3
    points: tuple[int, ...] = (0, 100, 300, 1000, 2000, 4000, 8000, 14_000, 20_000)
    """Steps of Adam on batches of 128 images."""
    draws: int = 30
    """Sets of ten labelled examples a class."""
    tested: int = 4000
    many: int = 50_000
    """Images to train on; those that are labelled are among them, as in the paper."""

    def run(self, work: Path, seed: int) -> Finding:
        """Train the VAE, and stop to judge its code."""
        given = few_shot(
            self.data, self.size, seed, tested=self.tested, many=self.many, held_out=False
        )
        x = jnp.asarray(given.unlabelled)
        keys = jax.random.split(jax.random.key(seed), 3)
        model = _quantised.draw(keys[0], (x.shape[1], *self.hidden, self.code))
        bounds, accuracies = [], []
        models = train(_quantised.loss, model, x, self.points, self.rate, keys[1])
        for trained in models:
            bounds.append([float(part) for part in _bound(trained, x[:JUDGED], keys[2])])
            code = Head(trained, x[:JUDGED])(given.test_x)
            accuracies.append(_few_shot_accuracies(code, given.test_y, self.draws, seed))
        each = np.asarray(accuracies).T
        best = int(each.mean(axis=0).argmax())
        fall, error = mean_and_error(each[:, best] - each[:, -1])
        losses = [loss for loss, _, _ in bounds]
        improves = losses[-1] == min(losses) and len(losses) > 1
        numbers = {
            "steps": list(self.points),
            "minus_bound": losses,
            "reconstruction": [said for _, said, _ in bounds],
            "divergence": [divergence for _, _, divergence in bounds],
            "accuracy": each.mean(axis=0).tolist(),
            "best_at_step": self.points[best],
            "fall": fall,
            "standard_error": error,
        }
        shows = (
            f"Few-shot accuracy of the code is {each[:, 0].mean():.1%} before training, at most "
            f"{each[:, best].mean():.1%} (step {self.points[best]:,}) and {each[:, -1].mean():.1%} "
            f"after {self.points[-1]:,} steps (fall {fall:.1%}, standard error {error:.1%}); the "
            f"objective goes from {losses[best]:,.0f} to {losses[-1]:,.0f} nats in between."
        )
        table = [
            {"step": point, "minus_bound": round(loss, 3), "draw": draw,
             "accuracy": round(float(accuracy), 4)}
            for point, loss, found in zip(self.points, losses, accuracies, strict=True)
            for draw, accuracy in enumerate(found)
        ]  # fmt: skip
        holds = improves and fall > ERRORS * error
        return Finding(table, numbers, holds, shows, self._draw(losses, each, best))

    def _draw(self, losses: Sequence[float], each: Float[np.ndarray, "d p"], best: int) -> Figure:
        figure, [[above], [below]] = sheet(7.5, 5, 2, sharex=True)
        band(above, self.points, each, None, OURS, errors=True, marker="o", ms=4)
        below.plot(self.points, losses, color="#0072B2", lw=1.7, marker="o", ms=4)
        label(above, y="few-shot accuracy\nof the code")
        label(below, "steps of Adam", "minus the evidence\nlower bound, nats")
        for axes in (above, below):
            axes.axvline(self.points[best], color=INK, lw=0.8, ls="--")
            logarithmic_from_zero(axes, self.points, _labels(self.points))
        notes = {"fontsize": 8, "color": INK, "textcoords": "offset points"}
        highest = (self.points[best], float(each[:, best].mean()))
        above.annotate("best", highest, xytext=(-6, -14), ha="right", **notes)
        # The fresh network's would leave no room for what comes later.
        later = losses[1:]
        margin = 0.08 * (max(later) - min(later)) + 1
        below.set_ylim(min(later) - margin, max(later) + margin)
        begin = f"{losses[0]:,.0f} at step 0"
        below.annotate(begin, (0, max(later)), xytext=(8, -4), **notes)
        return headline(
            figure,
            f"A VAE pixels-{sizes(*self.hidden, self.code)} of {self.data} at {self.size} by "
            f"{self.size}; dashed: where the code is best\n"
            f"mean and standard error of {self.draws} sets of ten labelled examples a class",
        )


@eqx.filter_jit
def _bound(model: Model, x: Array, key: Any) -> _quantised.Bound:
    return _quantised.bound(model, x, key)


def _few_shot_accuracies(
    code: Float[np.ndarray, "n code"], y: np.ndarray, draws: int, seed: int
) -> list[float]:
    """Return the accuracy by each of several sets of labelled examples on all the others."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        order = random.permutation(len(y))
        few = np.concatenate([order[y[order] == c][:10] for c in np.unique(y)])
        rest = np.setdiff1d(order, few)
        given = FewShot(code, code[few], y[few], code[rest], y[rest])
        found.append(read_out(lambda features: features, given))
    return found


def _labels(points: Sequence[int]) -> list[str]:
    """Return a label for every point that is not too close to the one after it, else nothing."""
    after = [*points[1:], None]
    return [
        "" if b is not None and a and b < CLOSE * a else f"{a:,}"
        for a, b in zip(points, after, strict=True)
    ]
