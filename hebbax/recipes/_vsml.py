"""Recipes for VSML."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, ClassVar

from hebbax.recipes._recipe import GradientRecipe

if TYPE_CHECKING:
    from hebbax.outer import Curriculum
    from hebbax.outer.methods import AbstractMethod
    from hebbax.outer.objectives import OnlineCrossEntropy
    from hebbax.rules import Vsml
    from hebbax.rules.vsml import SharedCell
    from hebbax.tasks import AbstractFamily
    from hebbax.teachers import CloneBackprop, CloneInNetwork

SIZE = 10
GAINS = (200.0, 20.0)
"""Of messages up and down: with them, backpropagation itself learns MNIST and Fashion-MNIST about
as fast as with any, through a hidden layer of 32."""
SPREAD = 0.1
"""Of the first weights, as parts of the gain."""
HEADS = 150.0
"""How many times the learning rate those numbers have that are hundreds at first."""


@dataclasses.dataclass(frozen=True)
class _Online(GradientRecipe):
    """What the recipes share that learn from single examples."""

    data: str = "mnist"
    """Images to meta-train on, a set that `hebbax data list` names."""
    size: int = SIZE
    """Pixels to a side."""
    hidden: tuple[int, ...] = ()
    """Units of the hidden layers."""
    unrolls: int = 200
    """Examples in a lifetime of the last stage; the first has half as many."""
    batch: int = 1
    """Examples in each update."""
    query: int = 1
    """Examples that judge a lifetime after its end, each like one in its course."""
    tasks: int = 8
    """Tasks sampled of each family at every meta-step."""
    runs: int = 1
    """θ trained side by side; the best is kept."""
    steps: int = 900
    """Meta-steps."""
    log_every: int = 10
    """Meta-steps between logged lines."""
    checkpoint_every: int = 50
    """Meta-steps between checkpoints; a multiple of log_every."""

    def course(self) -> "OnlineCrossEntropy":
        """Return a lifetime that is judged by every prediction, made before its label was seen."""
        from hebbax.outer.objectives import OnlineCrossEntropy

        # The paper minimises the sum: the same up to the scale of the gradient, whose norm is
        # clipped at one bound for lifetimes of every length here.
        return OnlineCrossEntropy(steps=self.unrolls, batch=self.batch, query=self.query, skip=0)


@dataclasses.dataclass(frozen=True)
class VsmlOnline(_Online):
    """VSML from scratch, on MNIST at 10 by 10 pixels, one example after another (sec. 3.3)."""

    name: ClassVar[str] = "vsml/online"
    title: ClassVar[str] = "VSML, meta-trained from scratch on MNIST at 10 by 10 pixels"
    evaluation: ClassVar[str] = f"--task mnist --size {SIZE} --online --steps 200"

    early: int = 300
    """Meta-steps in the first stage."""
    learning_rate: float = 5e-3
    """Adam's learning rate on θ, decayed to 2 % along a cosine."""
    validation: int = 16
    """Tasks of each family that decide which θ is the best, at every checkpoint."""

    def rule(self) -> "Vsml":
        """Return VSML as the paper has it, the error fed back on the datum that caused it."""
        from hebbax.rules import Vsml

        return Vsml()

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return the images as they are.

        **Raises:** see `hebbax.tasks.images`.
        """
        from hebbax.tasks import images

        return (images(self.data, size=self.size),)

    def objective(self) -> "Curriculum":
        """Judge lifetimes by all that is predicted, short ones first."""
        from hebbax.outer import Curriculum

        return Curriculum(self.course(), (max(1, self.unrolls // 2), self.unrolls), self.early)


@dataclasses.dataclass(frozen=True)
class VsmlProjected(VsmlOnline):
    """`vsml/online`, of whose lifetimes half see the images through random projections."""

    name: ClassVar[str] = "vsml/projected"
    title: ClassVar[str] = "VSML, meta-trained from scratch on MNIST and projections of it"

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return the images, as they are and projected at random.

        **Raises:** see `hebbax.tasks.images`.
        """
        from hebbax.tasks import projected

        (plain,) = super().task_families()
        return plain, projected(plain)


@dataclasses.dataclass(frozen=True)
class VsmlGeneral(_Online):
    """VSML for long lifetimes: `vsml/projected` and the delta rule, trained on varied tasks.

    Lifetimes are longer than gradients reach: these are truncated.
    """

    name: ClassVar[str] = "vsml/general"
    title: ClassVar[str] = "VSML, meta-trained on varied tasks and long lifetimes"
    evaluation: ClassVar[str] = "--task mnist --online --steps 2000"

    unrolls: int = 1600
    """Examples in a lifetime of validation."""
    truncation: int = 400
    """Examples that the meta-gradient reaches back."""
    first: int = 1200
    """Examples in the lifetimes of the first meta-steps, on average."""
    final: int = 2000
    """Examples in those of the last."""
    particles: int = 2
    """Networks for each task, at points of their lifetimes of their own."""
    tasks: int = 1
    steps: int = 900
    checkpoint_every: int = 30
    learning_rate: float = 2e-3
    validation: int = 2

    def rule(self) -> "Vsml":
        """Return the rule of `vsml/projected` with units that follow the delta rule."""
        return self._joined()[0]

    def start(self) -> "SharedCell":
        """Return what `vsml/projected` ships with, beside the delta rule as set by hand."""
        return self._joined()[1]

    def _joined(self) -> "tuple[Vsml, SharedCell]":
        from hebbax.rules import Vsml
        from hebbax.teachers import with_delta_rule
        from hebbax.zoo import load

        rule, theta = load("vsml/projected")
        assert isinstance(rule, Vsml)
        return with_delta_rule(rule, theta)

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return digits, random projections, characters and photographs; no letters, no clothes.

        **Raises:** see `hebbax.tasks.images`.
        """
        from hebbax.tasks import glyphs, images, projected, subsets

        size = self.size
        return (
            images(self.data, size=size),
            projected(images(self.data, size=size)),
            glyphs(10, size),
            subsets("tiny_imagenet", 10, size),
        )

    def objective(self) -> "OnlineCrossEntropy":
        """Judge lifetimes by all that is predicted."""
        return self.course()

    def method(self) -> "AbstractMethod":
        """Return truncated gradients through lifetimes that grow."""
        import optax

        from hebbax.outer.methods import TruncatedGradient, Truncation
        from hebbax.teachers import still

        truncation = Truncation(
            self.truncation,
            count=max(1, self.first // self.truncation),
            spread=1.0,
            final_count=max(1, self.final // self.truncation),
            count_growth=self.planned,
        )
        factors = still(self.rule(), HEADS)
        optimizer = optax.chain(
            optax.adam(self.falling(self.learning_rate)),
            optax.stateless(functools.partial(_times, factors)),
        )
        return TruncatedGradient(
            optimizer, clip=self.clip, truncation=truncation, particles=self.particles
        )


# Not inside the method, for workers of a cluster are to find it by its name.
def _times(factors: Any, changes: Any, _: Any) -> Any:
    """Return changes of θ, each times its factor."""
    import jax

    return jax.tree.map(lambda change, factor: change * factor, changes, factors)


@dataclasses.dataclass(frozen=True)
class VsmlBackprop(GradientRecipe):
    """Teach sub-RNNs backpropagation, on random inputs and errors (VSML sec. 3.2, table 1)."""

    name: ClassVar[str] = "vsml/backprop"
    title: ClassVar[str] = "VSML, taught backpropagation on random data"
    evaluation: ClassVar[str] = "--task digits --batch 64"

    least: ClassVar[dict[str, int]] = {**GradientRecipe.least, "states": 3}

    states: int = 10
    """Units of a sub-RNN; at least 3."""
    hidden: tuple[int, ...] = ()
    """Must be empty: synapses are taught one by one, and then fit networks of any depth."""
    unrolls: int = 2
    """Batches of inputs and errors that synapses meet one after another."""
    batch: int = 8
    """Rows in each, over which states are averaged."""
    query: int = 72
    """Must be three times the side."""
    side: int = 24
    """Inputs, and outputs, of the random synapses: side² of them at every meta-step."""
    runs: int = 1
    """Rules trained side by side; the best is kept."""
    steps: int = 8000
    """Meta-steps."""
    rate: float = 0.1
    """The inner learning rate, for weights as parts of the gain."""
    bias_rate: float = 0.1
    """The same of biases, as part of the rate."""

    def __post_init__(self) -> None:
        """Refuse options out of range by name."""
        super().__post_init__()
        if self.hidden:
            raise ValueError(
                f"hidden must be empty, because synapses are taught one by one; "
                f"got {' '.join(map(str, self.hidden))}."
            )
        if self.query != 3 * self.side:
            raise ValueError(
                f"query must be three times the side, {3 * self.side}; got {self.query}."
            )

    def rule(self) -> "Vsml":
        """Return a rule with messages of one number, whose states are averaged over a batch."""
        from hebbax.teachers import cloning_rule

        return cloning_rule(self.states, gains=GAINS, spread=SPREAD)

    def start(self) -> Any:
        """Return sub-RNNs that keep three states and forget the others."""
        import jax

        from hebbax.teachers import begin

        return begin(self.rule(), jax.random.fold_in(jax.random.key(self.seed), 1))

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return random inputs and errors."""
        from hebbax.teachers import random_synapses

        return (random_synapses(self.side),)

    def objective(self) -> "CloneBackprop":
        """Compare what sub-RNNs do with backpropagation."""
        from hebbax.teachers import CloneBackprop

        return CloneBackprop(
            steps=self.unrolls,
            batch=self.batch,
            query=self.query,
            rate=self.rate,
            bias_rate=self.bias_rate,
        )

    def objective_in_networks(self, batch: int, *, given: bool) -> "CloneInNetwork":
        """Compare what they do with the same where networks learn from images (VSML app. B).

        On this recipe's own family it is what `objective` is, with `batch` rows; see
        `hebbax.teachers.CloneInNetwork` for `given`.
        """
        from hebbax.teachers import CloneInNetwork

        return CloneInNetwork(
            steps=self.unrolls,
            batch=batch,
            query=self.query,
            given=given,
            rate=self.rate,
            bias_rate=self.bias_rate,
        )
