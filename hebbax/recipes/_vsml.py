"""Recipes for VSML."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from hebbax.recipes._recipe import GradientRecipe

if TYPE_CHECKING:
    from hebbax.outer import Curriculum
    from hebbax.rules import AbstractRule, Vsml
    from hebbax.tasks import AbstractFamily
    from hebbax.teachers import CloneBackprop

SIZE = 10
GAINS = (200.0, 20.0)
"""Of messages up and down: with them, backpropagation itself learns MNIST and Fashion-MNIST about
as fast as with any, through a hidden layer of 32."""
SPREAD = 0.1
"""Of the first weights, as parts of the gain."""


@dataclasses.dataclass(frozen=True)
class VsmlOnline(GradientRecipe):
    """VSML from scratch, on MNIST at 10 by 10 pixels, one example after another (sec. 3.3)."""

    name: ClassVar[str] = "vsml/online"
    title: ClassVar[str] = "VSML, meta-trained from scratch on MNIST at 10 by 10 pixels"
    evaluation: ClassVar[str] = f"--task mnist --size {SIZE} --online --steps 200"

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
    early: int = 300
    """Meta-steps in the first stage."""
    learning_rate: float = 5e-3
    """Adam's learning rate on θ, decayed to 2 % along a cosine."""
    log_every: int = 10
    """Meta-steps between logged lines."""
    checkpoint_every: int = 50
    """Meta-steps between checkpoints; a multiple of log_every."""
    validation: int = 16
    """Tasks of each family that decide which θ is the best, at every checkpoint."""

    def rule(self) -> "AbstractRule":
        """Return VSML as the paper has it, the error fed back on the datum that caused it."""
        from hebbax.rules import Vsml

        return Vsml()

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return the images, as they are and projected at random.

        **Raises:** see `hebbax.tasks.images`.
        """
        from hebbax.tasks import images, projected

        plain = images(self.data, size=self.size)
        return plain, projected(plain)

    def objective(self) -> "Curriculum":
        """Judge a lifetime by every prediction, each made before its label was seen."""
        from hebbax.outer import Curriculum
        from hebbax.outer.objectives import OnlineCrossEntropy

        # The paper minimises the sum: the same up to the scale of the gradient, whose norm is
        # clipped at one bound for lifetimes of every length here.
        course = OnlineCrossEntropy(steps=self.unrolls, batch=self.batch, query=self.query, skip=0)
        return Curriculum(course, (max(1, self.unrolls // 2), self.unrolls), self.early)


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
