"""All recipes by name, and those of BLUR."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hebbax.experiments.recipe import FINAL_RATE, Recipe
from hebbax.experiments.recipes_unsupervised import UnsupervisedSmall

if TYPE_CHECKING:
    from hebbax.meta.curriculum import Curriculum
    from hebbax.meta.methods import Gradient
    from hebbax.meta.objectives import AbstractObjective
    from hebbax.rules import Blur
    from hebbax.tasks import AbstractFamily

# Genomes start around backpropagation (BLUR eq. 4); the noise tells the runs apart.
# Outputs are not normalised: classes of toy functions are not equally frequent.
TOY_RULE: dict[str, Any] = {
    "init_scale": 0.1,
    "learn_synapse_gain": True,
    "learn_rescale": True,
    "feedback": "error",
    "normalize_last": False,
}

MNIST_RULE: dict[str, Any] = {"init_scale": 0.1, "learn_synapse_gain": True}
# BLUR sec. 4.2: digits cropped to the middle 20 pixels, then 10 by 10; all ten and two halves.
MNIST_SIZE, MNIST_CROP = 10, 20
MNIST_CLASSES: tuple[tuple[int, ...] | None, ...] = (None, (0, 1, 2, 3, 4), (5, 6, 7, 8, 9))

# Backpropagation through a leaky rectifier, to begin with, and synapses whose relative changes get
# smaller by themselves, because Oja's term lets them grow with the root of time only.
LASTING_RULE: dict[str, Any] = {
    "forward_activation": "leaky_relu_and_derivative",
    "backward_activation": "none",
    "backward_update": "multiplicative_second_state",
    "symmetric": True,
    "single_state": True,
    "feedback": "error",
    "normalize_last": False,
    "learn_rescale": True,
    "learn_keep": False,
    "oja": "relative",
    "init_scale": 0.02,
    "learn_synapse_gain": True,
    "synapse_update": 3.0,
}
PIXEL_NOISE, LABEL_NOISE = 1.0, 0.2


@dataclasses.dataclass(frozen=True)
class BlurRecipe(Recipe):
    """Meta-train a BLUR genome by gradient descent through the unroll."""

    least: ClassVar[Mapping[str, int]] = {"states": 2, "seed": 0, "skip": 0}

    states: int = 2
    """States per neuron, k; at least 2."""

    @abc.abstractmethod
    def rule(self) -> "Blur":
        """Return the rule whose genome is learnt."""

    def method(self) -> "Gradient":
        """Return the outer loop's optimiser."""
        import optax

        from hebbax.meta.methods import Gradient

        rate = optax.cosine_decay_schedule(self.learning_rate, self.steps, alpha=FINAL_RATE)
        return Gradient(optax.adam(rate), clip=self.clip)


@dataclasses.dataclass(frozen=True)
class BlurToy(BlurRecipe):
    """Toy functions of two variables (BLUR sec. 4.1): a genome within minutes."""

    name: ClassVar[str] = "blur/toy"
    title: ClassVar[str] = "BLUR, meta-trained on toy functions of two variables"
    evaluation: ClassVar[str] = "--task two_moons --steps 20"

    families: tuple[str, ...] = ("xor", "or", "and", "circle", "two_moons")
    """Toy functions to meta-train on."""

    def __post_init__(self) -> None:
        """Refuse options out of range by name."""
        super().__post_init__()
        if not self.families:
            raise ValueError("families must name at least one toy function; got none.")

    def rule(self) -> "Blur":
        """Return a rule whose genomes start near backpropagation."""
        from hebbax.rules import Blur

        return Blur(states=self.states, **TOY_RULE)

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return one family for each toy function."""
        from hebbax._errors import check_choice
        from hebbax.data.toy import TOYS
        from hebbax.tasks import toy

        for name in self.families:
            check_choice("families", name, TOYS)
        return tuple(toy(name) for name in self.families)

    def objective(self) -> "AbstractObjective":
        """Judge a lifetime by its end."""
        from hebbax.meta.objectives import QueryCrossEntropy

        return QueryCrossEntropy(steps=self.unrolls, batch=self.batch, query=self.query)


@dataclasses.dataclass(frozen=True)
class BlurMnist(BlurRecipe):
    """MNIST at 10 by 10 pixels, all digits and two halves of them (BLUR sec. 4.2)."""

    name: ClassVar[str] = "blur/mnist"
    title: ClassVar[str] = "BLUR, meta-trained on MNIST at 10 by 10 pixels"
    evaluation: ClassVar[str] = f"--task mnist --size {MNIST_SIZE} --crop {MNIST_CROP}"

    states: int = 4
    """States per neuron, k; at least 2."""
    hidden: tuple[int, ...] = (64,)
    """Units of the hidden layers."""
    unrolls: int = 20
    """Updates in a lifetime."""
    runs: int = 2
    """Genomes trained side by side; the best is kept."""
    steps: int = 4000
    """Meta-steps."""

    def rule(self) -> "Blur":
        """Return a rule whose genomes start near backpropagation."""
        from hebbax.rules import Blur

        return Blur(states=self.states, **MNIST_RULE)

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return MNIST and its halves, relabelled from 0. **Raises:** see `hebbax.data.load`."""
        from hebbax.tasks import images

        return tuple(
            images("mnist", size=MNIST_SIZE, crop=MNIST_CROP, classes=classes)
            for classes in MNIST_CLASSES
        )

    def objective(self) -> "AbstractObjective | Curriculum":
        """Judge a lifetime by its whole course, so that every prefix counts."""
        from hebbax.meta.objectives import OnlineCrossEntropy

        return OnlineCrossEntropy(steps=self.unrolls, batch=self.batch, query=self.query)


@dataclasses.dataclass(frozen=True)
class BlurMnist50(BlurMnist):
    """MNIST at 10 by 10 pixels, clean, noisy and with wrong labels; lifetimes that grow."""

    name: ClassVar[str] = "blur/mnist-50"
    title: ClassVar[str] = "BLUR, meta-trained on MNIST at 10 by 10 pixels from 10 to 50 updates"

    states: int = 2
    """States per neuron, k; at least 2."""
    skip: int = 1
    """First updates of a lifetime that do not count."""
    unrolls: int = 50
    """Updates in a lifetime of the last stage."""
    stages: int = 3
    """Stages of meta-training, in which lifetimes grow from first to unrolls."""
    runs: int = 1
    """Genomes trained side by side; the best is kept."""
    first: int = 10
    """Updates in a lifetime of the first stage."""
    steps: int = 900
    """Meta-steps."""
    learning_rate: float = 2e-2
    """Adam's learning rate on the genome, decayed to 2 % along a cosine."""
    validation: int = 4
    """Tasks of each family that decide which genome is the best, at every checkpoint."""
    checkpoint_every: int = 150
    """Meta-steps between checkpoints; a multiple of log_every."""

    def __post_init__(self) -> None:
        """Refuse options out of range by name."""
        super().__post_init__()
        if self.skip >= min(self.first, self.unrolls):
            raise ValueError(
                f"skip must be less than the {min(self.first, self.unrolls)} updates of the "
                f"first stage; got {self.skip}."
            )

    def rule(self) -> "Blur":
        """Return a rule that starts as backpropagation."""
        from hebbax.rules import Blur

        return Blur(states=self.states, **LASTING_RULE)

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return MNIST, clean and made harder. **Raises:** see `hebbax.data.load`."""
        from hebbax.tasks import images, noisy

        clean = images("mnist", size=MNIST_SIZE, crop=MNIST_CROP)
        # Each pixel scaled by itself: other statistics of the inputs, so that the genome does not
        # rely on those of digits.
        mislabelled = images("mnist", size=MNIST_SIZE, crop=MNIST_CROP, standardize="pixels")
        uncropped = images("mnist", size=MNIST_SIZE, standardize="pixels")
        return clean, noisy(uncropped, pixels=PIXEL_NOISE), noisy(mislabelled, labels=LABEL_NOISE)

    def objective(self) -> "Curriculum":
        """Judge lifetimes by their whole course; they grow by the same factor at each stage."""
        from hebbax.meta.curriculum import Curriculum
        from hebbax.meta.objectives import OnlineCrossEntropy

        course = OnlineCrossEntropy(
            steps=self.unrolls, batch=self.batch, query=self.query, skip=self.skip
        )
        first = min(self.first, self.unrolls)
        growth = (self.unrolls / first) ** (1 / max(1, self.stages - 1))
        lengths = [round(first * growth**stage) for stage in range(self.stages - 1)]
        every = max(1, self.steps // self.stages)
        return Curriculum(course, (*lengths, self.unrolls), every)


@dataclasses.dataclass(frozen=True)
class BlurLasting(BlurMnist50):
    """The same, up to lifetimes of 200 updates: a genome that does not stop learning there."""

    name: ClassVar[str] = "blur/lasting"
    title: ClassVar[str] = "BLUR, meta-trained on MNIST at 10 by 10 pixels, to go on learning"

    unrolls: int = 200
    """Updates in a lifetime of the last stage."""
    stages: int = 2
    """Stages of meta-training, in which lifetimes grow from first to unrolls."""
    first: int = 50
    """Updates in a lifetime of the first stage."""
    steps: int = 400
    """Meta-steps."""
    checkpoint_every: int = 100
    """Meta-steps between checkpoints; a multiple of log_every."""


RECIPES: dict[str, type[Recipe]] = {
    recipe.name: recipe
    for recipe in (BlurToy, BlurMnist, BlurMnist50, BlurLasting, UnsupervisedSmall)
}
"""All recipes by name. One whose options have defaults of their own is a class of its own."""
