"""Continual permuted MNIST: who goes on learning."""

from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.inner import StreamCurves
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import band, headline, label, legend_below, sheet
from hebbax.plots import LEARNER_COLOURS

RULE = "blur/stream"
ENDS = 10
"""Permutations at the begin and at the end that are compared."""
REPLACED = (1e-4, 1e-3)
"""Shares of units that continual backpropagation replaces at each update; the better counts."""
PULLS = (1e-3, 1e-2)
"""Strengths of the pull to the start."""


class Streams(Experiment):
    """Digits whose pixels change places a hundred times, for a rule and for tuned opponents."""

    name: ClassVar = "blur/streams"
    source: ClassVar = "Dohare et al., Nature 2024, online permuted MNIST; no figure of BLUR's"
    claim: ClassVar = (
        "Networks that learn by the shipped rule for streams are as right at the end of the last "
        "permutations as at the end of the first, and right more often than those that learn by "
        "Adam, whose accuracy falls: they keep their plasticity."
    )
    criterion: ClassVar = (
        "accuracy in the last third of permutations, mean of the last ten at least that of the "
        "first ten for the rule and less for Adam, and that of the rule's last ten above Adam's; "
        "Adam has the learning rate that was best on the whole stream"
    )
    smoke: ClassVar = {
        "data": "digits", "size": 8, "hidden": (8,), "permutations": 2, "updates": 3, "batch": 16,
        "networks": 1, "rates": (1e-2,), "sgd_rates": (0.1,),
    }  # fmt: skip
    paper: ClassVar = {
        "permutations": 800, "networks": 10, "rates": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
        "sgd_rates": (0.01, 0.03, 0.1, 0.3, 1.0),
    }  # fmt: skip

    data: str = "mnist"
    size: int = 10
    hidden: tuple[int, ...] = (64,)
    permutations: int = 100
    updates: int = 60
    batch: int = 128
    networks: int = 2
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    """Of Adam and what is made of it."""
    sgd_rates: tuple[float, ...] = (0.1, 0.3, 1.0)

    def run(self, work: Path, seed: int) -> Finding:
        """Let everyone learn from the same stream."""
        family = (
            hx.tasks.digits()
            if self.data == "digits"
            else hx.tasks.images(self.data, size=self.size, crop=2 * self.size)
        )
        x, y = hx.tasks.permuted_rows(family, self.permutations, self.updates * self.batch, seed)
        settings: dict[str, Any] = {
            "chunk": self.batch, "hidden": self.hidden, "classes": family.outputs,
            "window": None, "seeds": self.networks, "key": jax.random.key(seed),
        }  # fmt: skip
        rule, theta = hx.zoo.load(RULE)
        found: dict[str, tuple[StreamCurves, float | None]] = {
            RULE: (hx.evaluate_stream(rule, theta, x, y, **settings), None)
        }
        tuned: dict[str, list[Any]] = {
            "Adam": [None],
            "SGD": [None],
            "pulled to the start": [
                hx.Backprop(lambda rate, pull=pull: pulled(rate, pull), activation="relu")
                for pull in PULLS
            ],
            "continual backpropagation": [hx.ContinualBackprop(share) for share in REPLACED],
        }
        for name, rules in tuned.items():
            tried = [
                hx.best_stream_backprop(
                    "sgd" if name == "SGD" else "adam", x, y, rule=r,
                    rates=self.sgd_rates if name == "SGD" else self.rates, **settings,
                )
                for r in rules
            ]  # fmt: skip
            found[name] = max(tried, key=lambda each: each[0].accuracy.mean())
        late = {name: self._late(curves) for name, (curves, _) in found.items()}
        numbers = {
            name: {
                "accuracy": float(curves.accuracy.mean()),
                "first": float(late[name][:, :ENDS].mean()),
                "last": float(late[name][:, -ENDS:].mean()),
                "learning_rate": rate,
            }
            for name, (curves, rate) in found.items()
        }
        ours, adam = numbers[RULE], numbers["Adam"]
        holds = (
            ours["last"] >= ours["first"]
            and adam["last"] < adam["first"]
            and ours["last"] > adam["last"]
        )
        shows = "Accuracy at the end of permutations, first and last ten: " + ", ".join(
            f"{name} {n['first']:.3f} and {n['last']:.3f}" for name, n in numbers.items()
        )
        table = [
            {"learner": name, "network": network, "permutation": place + 1, "accuracy": f"{a:.4f}"}
            for name, each in late.items()
            for network, line in enumerate(each)
            for place, a in enumerate(line)
        ]
        return Finding(table, numbers, bool(holds), shows + ".", self._draw(late))

    def _late(self, curves: StreamCurves) -> np.ndarray:
        """Return accuracy in the last third of each permutation, `[networks, permutations]`."""
        right = curves.right.reshape(len(curves.right), self.permutations, -1)
        return right[:, :, right.shape[2] * 2 // 3 :].mean(axis=2)

    def _draw(self, late: dict[str, np.ndarray]) -> Figure:
        figure, [[axes]] = sheet(8, 4)
        points = np.arange(1, self.permutations + 1)
        for (name, lines), colour in zip(late.items(), LEARNER_COLOURS, strict=False):
            band(axes, points, lines, name, colour)
        label(axes, "permutation", "accuracy in its last third")
        legend_below(figure, [axes])
        return headline(figure, "MNIST at 10 by 10 pixels that change places again and again")


def pulled(rate: Any, pull: float) -> optax.GradientTransformation:
    """Return Adam on a loss that holds synapses near where they began (Kumar et al., 2023)."""

    def nearer(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return jax.tree.map(lambda g, w, s: g + pull * (w - s), updates, params, state), state

    # The state is the synapses as they began.
    return optax.chain(
        optax.GradientTransformation(lambda params: params, nearer), optax.adam(rate)
    )
