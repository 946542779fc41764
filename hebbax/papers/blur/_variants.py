"""Figure 9, supplement figure 7: 24 variants of the rule, each on digits and on characters."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.inner import best_backprop
from hebbax.papers._experiment import Finding
from hebbax.papers._figures import TITLES, headline, label, legend_below, sheet
from hebbax.papers._statistics import last_rows
from hebbax.papers._training import trial
from hebbax.papers.blur._genomes import PAPER, Genomes
from hebbax.papers.blur._xor import BACKPROP
from hebbax.plots import LEARNER_COLOURS
from hebbax.recipes import MNIST_CROP
from hebbax.rules import Perceptron
from hebbax.rules.blur import Network

LEARNT = 0.5
EQUAL = 1e-4
UPDATES = ("additive", "multiplicative", "multiplicative_second_state")
INITS = ("backprop", "random")
# What turns forward states into activity and derivative is common to all, so that the variant
# with the two-state multiplicative update, tied synapses and the initial genome of eq. 4 is
# backpropagation and the others are its neighbours.
COMMON: dict[str, Any] = {
    name: getattr(BACKPROP, name)
    for name in (
        *("forward_activation", "backward_activation", "last_activation", "normalization"),
        *("synapse_normalization", "fan_in", "feedback", "synapse_update"),
    )
} | {"learn_synapse_gain": True}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to fill in what eqs. 5 to 7 leave open; the fields are options of `Blur`."""

    backward_update: str
    symmetric: bool
    single_state: bool
    genome_init: str

    def rule(self, random_scale: float) -> hx.Blur:
        """Return the rule, of two states; `random_scale` is of a random genome's transforms."""
        scale = random_scale if self.genome_init == "random" else None
        return hx.Blur(states=2, init_scale=scale, **COMMON, **dataclasses.asdict(self))

    @property
    def name(self) -> str:
        """Return the options in words."""
        return (
            f"{self.backward_update.replace('_', ' ')}, "
            f"{'symmetric' if self.symmetric else 'asymmetric'}, "
            f"{'single' if self.single_state else 'multi'}-state, {self.genome_init}"
        )


CORNER = Variant("multiplicative_second_state", True, True, "backprop")
"""Starts as backpropagation."""


class Variants(Genomes):
    """Every variant meta-trained on small MNIST and on 10-way Omniglot, tested on both."""

    name: ClassVar = "blur/variants"
    source: ClassVar = "BLUR fig. 9, sec. 4.5; supplement fig. 7, sec. 3.7"
    claim: ClassVar = (
        "Most variants of the rule learn; the backprop-initialised corner equals gradient descent "
        "before meta-training."
    )
    criterion: ClassVar = (
        f"more than half of the variants reach a mean test accuracy of at least {LEARNT:g} after "
        f"the meta-trained number of updates on the data they were meta-trained on, and the first "
        f"update of the corner differs from a step of gradient descent by at most {EQUAL:g} of its "
        f"norm"
    )
    smoke: ClassVar = {
        "backward_updates": ("multiplicative_second_state",), "symmetric": (True,),
        "single_state": (True,), "inits": ("backprop",), "data": ("mnist",), "hidden": 4,
        "unrolls": 2, "steps": 2, "runs": 1, "subsets": 2, "rates": (0.1,),
    }  # fmt: skip
    paper: ClassVar = {**PAPER, "hidden": 64}

    backward_updates: tuple[str, ...] = UPDATES
    symmetric: tuple[bool, ...] = (True, False)
    single_state: tuple[bool, ...] = (True, False)
    inits: tuple[str, ...] = INITS
    data: tuple[str, ...] = ("mnist", "omniglot")
    size: int = 10
    """Side of the images in pixels."""
    hidden: int = 32
    random_scale: float = 0.3
    subsets: int = 10
    """Networks a test: on Omniglot each with ten characters of its own."""
    rates: tuple[float, ...] = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    """Learning rates of SGD; the best on each test is drawn, which favours it."""

    def run(self, work: Path, seed: int) -> Finding:
        """Compare the corner with gradient descent; meta-train and test all variants."""
        options = (self.backward_updates, self.symmetric, self.single_state, self.inits)
        variants = [Variant(*choice) for choice in itertools.product(*options)]
        learnt_from = {name: self._family(name, "background") for name in self.data}
        tested_on = {name: self._family(name, "evaluation") for name in self.data}
        error = self._gradient_error(seed)
        accuracy: dict[tuple[str, str, Variant], np.ndarray] = {}
        for variant in variants:
            for source, family in learnt_from.items():
                rule = variant.rule(self.random_scale)
                place = work / source / "-".join(map(str, dataclasses.astuple(variant)))
                theta = self.meta_train(place, rule, [family], (self.hidden,), seed).theta
                for target, test in tested_on.items():
                    # Answers of a network that overflowed count as wrong.
                    accuracy[source, target, variant] = hx.evaluate(
                        rule, theta, test, **self._trial(seed)
                    ).after(self.unrolls)
        sgd = {name: self._sgd(family, seed) for name, family in tested_on.items()}
        numbers, holds = self._decide(accuracy, sgd, error, variants)
        shows = (
            f"{numbers['variants_learnt']} of {len(variants)} variants learn on the data they were "
            f"meta-trained on; the corner's first update is gradient descent's to {error:.0e}."
        )
        rows = [
            row
            for (source, target, variant), values in accuracy.items()
            for row in last_rows(
                values, each="subset", trained_on=source, tested_on=target,
                **dataclasses.asdict(variant),
            )
        ]  # fmt: skip
        for name, (values, rate) in sgd.items():
            labels: dict[str, Any] = {"trained_on": f"SGD, rate {rate:g}", "tested_on": name}
            rows += last_rows(values, each="subset", **labels)
        return Finding(rows, numbers, holds, shows, self._draw(accuracy, sgd, variants))

    def _family(self, name: str, split: str) -> hx.tasks.AbstractFamily:
        if name == "omniglot":
            return hx.tasks.omniglot(ways=10, size=self.size, split=split)
        return hx.tasks.images(name, size=self.size, crop=MNIST_CROP)

    def _trial(self, seed: int) -> dict[str, Any]:
        return trial(
            seed, hidden=(self.hidden,), points=(self.unrolls,), batch=self.batch,
            networks=self.subsets,
        )  # fmt: skip

    def _sgd(self, family: Any, seed: int) -> tuple[np.ndarray, float]:
        curves, rates = best_backprop("sgd", family, rates=self.rates, **self._trial(seed))
        return curves.after(self.unrolls), float(rates[-1])

    def _gradient_error(self, seed: int) -> float:
        """Return by how much the corner's first update differs from a step of gradient descent.

        The norm of the difference over that of the step, on noise as images.
        """
        rule = CORNER.rule(self.random_scale)
        k_net, k_x, k_y = jax.random.split(jax.random.key(seed), 3)
        inputs = self.size**2
        theta = rule.init(k_net)
        net = rule.init_network(theta, k_net, (inputs, self.hidden, 10))
        x = jax.random.normal(k_x, (self.batch, inputs))
        y = jax.nn.one_hot(jax.random.randint(k_y, (self.batch,), 0, 10), 10)

        def loss(plain: Perceptron) -> jax.Array:
            return hx.losses.cross_entropy(plain(x, jnp.tanh)[-1], y)

        before = _plain(net)
        after = _plain(jax.jit(rule.update)(theta, net, x, y)[0])
        gradient = jax.jit(jax.grad(loss))(before)
        step = [-theta.eta_tilde * g for g in jax.tree.leaves(gradient)]
        change = [a - b for a, b in zip(*map(jax.tree.leaves, (after, before)), strict=True)]
        differences = [c - s for c, s in zip(change, step, strict=True)]
        return float(_norm(differences) / _norm(step))

    def _decide(
        self,
        accuracy: dict[tuple[str, str, Variant], np.ndarray],
        sgd: dict[str, tuple[np.ndarray, float]],
        error: float,
        variants: list[Variant],
    ) -> tuple[dict[str, Any], bool]:
        mean = {place: float(values.mean()) for place, values in accuracy.items()}
        learnt = [v for v in variants if all(mean[d, d, v] >= LEARNT for d in self.data)]
        tests = list(itertools.product(self.data, repeat=2))
        numbers = {
            "updates": self.unrolls,
            "corner_gradient_error": error,
            "variants": len(variants),
            "variants_learnt": len(learnt),
            "accuracy": {
                f"from {source}, on {target}": {v.name: mean[source, target, v] for v in variants}
                for source, target in tests
            },
            "best_variant": {
                f"from {source}, on {target}": max(
                    variants, key=lambda v, s=source, t=target: mean[s, t, v]
                ).name
                for source, target in tests
            },
            "sgd": {
                name: {"accuracy": float(values.mean()), "learning_rate": rate}
                for name, (values, rate) in sgd.items()
            },
        }
        return numbers, 2 * len(learnt) > len(variants) and error <= EQUAL

    def _draw(
        self,
        accuracy: dict[tuple[str, str, Variant], np.ndarray],
        sgd: dict[str, tuple[np.ndarray, float]],
        variants: list[Variant],
    ) -> Figure:
        figure, [panels] = sheet(
            4.5 + 4.2 * len(self.data), 1.8 + 0.3 * len(variants), columns=len(self.data),
            sharey=True,
        )  # fmt: skip
        for axes, target in zip(panels, self.data, strict=True):
            self._panel(axes, accuracy, sgd, variants, target)
        panels[0].set_yticks(_places(variants), [v.name for v in variants], fontsize=8)
        for words, variant in zip(panels[0].get_yticklabels(), variants, strict=True):
            words.set_fontweight("bold" if variant == CORNER else "normal")
        legend_below(figure, panels[:1], ncols=2)
        return headline(
            figure,
            f"Variants of the rule; images of {self.size} by {self.size} pixels, {self.hidden} "
            f"hidden units, best of {self.runs} genomes;\nmean and standard deviation of "
            f"{self.subsets} networks (on Omniglot each with ten characters of its own); "
            f"bold: the corner that starts as backpropagation",
        )

    def _panel(
        self,
        axes: Axes,
        accuracy: dict[tuple[str, str, Variant], np.ndarray],
        sgd: dict[str, tuple[np.ndarray, float]],
        variants: list[Variant],
        target: str,
    ) -> None:
        axes.set_xlim(0, 1)
        cases = itertools.product(enumerate(self.data), self.inits)
        for ((index, source), init), colour in zip(cases, LEARNER_COLOURS, strict=False):
            chosen = [i for i, variant in enumerate(variants) if variant.genome_init == init]
            each = [accuracy[source, target, variants[i]] for i in chosen]
            axes.errorbar(
                [values.mean() for values in each],
                # Those of other data a little lower.
                _places(variants)[chosen] - 0.35 * index,
                xerr=[values.std() for values in each],
                fmt="os"[index % 2], ms=4, color=colour, capsize=2, lw=1,
                label=f"meta-trained on {TITLES.get(source, source)}, {init} initial genome",
            )  # fmt: skip
        axes.axvline(
            sgd[target][0].mean(), color="black", lw=1.2, label="SGD, best of its learning rates"
        )
        label(
            axes,
            f"test accuracy after {self.unrolls} updates",
            title=f"tested on {TITLES.get(target, target)}",
        )


def _places(variants: list[Variant]) -> np.ndarray:
    """Return where each variant is drawn, the first one on top."""
    return np.arange(len(variants))[::-1]


def _plain(net: Network) -> Perceptron:
    """Return the only state of the forward synapses as the perceptron they are."""
    weights = tuple(layer.weight[0].T for layer in net.layers)
    biases = tuple(layer.bias[0] for layer in net.layers if layer.bias is not None)
    return Perceptron(weights, biases)


def _norm(arrays: list[jax.Array]) -> jax.Array:
    return jnp.sqrt(sum(jnp.sum(array**2) for array in arrays))
