"""Recipes for BLUR genomes on small images of digits."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from hebbax.recipes._blur_toy import BlurRecipe

if TYPE_CHECKING:
    from hebbax.outer import Curriculum
    from hebbax.outer.objectives import AbstractObjective
    from hebbax.rules import Blur
    from hebbax.rules.blur import Genome
    from hebbax.tasks import AbstractFamily

MNIST_RULE: dict[str, Any] = {
    "init_scale": 0.1,
    "learn_synapse_gain": True,
    "synapse_normalization": {"bounded": True},
}
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
    "normalization": {"last": False},
    "synapse_normalization": {"learn": True},
    "learn_keep": False,
    "oja": "relative",
    "init_scale": 0.02,
    "learn_synapse_gain": True,
    "synapse_update": 3.0,
}
# In few updates synapses change so fast that older statistics are wrong.
FAST_WINDOW = 1000.0
PIXEL_NOISE, LABEL_NOISE = 1.0, 0.2
PAPER_START, PAPER_STATES = "blur/mnist", 4
"""The genome that `blur/paper` goes on from."""


@dataclasses.dataclass(frozen=True)
class BlurMnist(BlurRecipe):
    """MNIST at 10 by 10 pixels, all digits and two halves of them (BLUR sec. 4.2)."""

    name: ClassVar[str] = "blur/mnist"
    title: ClassVar[str] = "BLUR, meta-trained on MNIST at 10 by 10 pixels"
    evaluation: ClassVar[str] = f"--task mnist --size {MNIST_SIZE} --crop {MNIST_CROP}"

    states: int = 4
    """States per neuron, k; at least 2."""
    hidden: tuple[int, ...] = (64,)
    """Units of the hidden layers; of a cnn or resnet the channels, by default 16 and 32."""
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
        from hebbax.outer.objectives import OnlineCrossEntropy

        return OnlineCrossEntropy(steps=self.unrolls, batch=self.batch, query=self.query)


@dataclasses.dataclass(frozen=True)
class BlurMnist50(BlurMnist):
    """MNIST at 10 by 10 pixels, clean, noisy and with wrong labels; lifetimes that grow."""

    name: ClassVar[str] = "blur/mnist-50"
    title: ClassVar[str] = "BLUR, meta-trained on MNIST at 10 by 10 pixels from 10 to 50 updates"

    states: int = 2
    """States per neuron, k; at least 2."""
    least: ClassVar[dict[str, int]] = {**BlurRecipe.least, "skip": 0}
    window: ClassVar[float] = FAST_WINDOW

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
    steps: int = 1800
    """Meta-steps."""
    learning_rate: float = 1e-2
    """Adam's learning rate on θ, decayed to 2 % along a cosine."""
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

        normalization = {**LASTING_RULE["normalization"], "window": self.window}
        return Blur(states=self.states, **{**LASTING_RULE, "normalization": normalization})

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
        from hebbax.outer import Curriculum
        from hebbax.outer.objectives import OnlineCrossEntropy

        course = OnlineCrossEntropy(
            steps=self.unrolls, batch=self.batch, query=self.query, skip=self.skip
        )
        first = min(self.first, self.unrolls)
        growth = (self.unrolls / first) ** (1 / max(1, self.stages - 1))
        lengths = [round(first * growth**stage) for stage in range(self.stages - 1)]
        every = max(1, self.planned // self.stages)
        return Curriculum(course, (*lengths, self.unrolls), every)


@dataclasses.dataclass(frozen=True)
class BlurLasting(BlurMnist50):
    """The same, up to lifetimes of 200 updates: a genome that does not stop learning there."""

    name: ClassVar[str] = "blur/lasting"
    title: ClassVar[str] = "BLUR, meta-trained on MNIST at 10 by 10 pixels, to go on learning"
    window: ClassVar[float] = 20.0

    unrolls: int = 200
    """Updates in a lifetime of the last stage."""
    stages: int = 2
    """Stages of meta-training, in which lifetimes grow from first to unrolls."""
    first: int = 50
    """Updates in a lifetime of the first stage."""
    steps: int = 400
    """Meta-steps."""
    learning_rate: float = 2e-2
    """Adam's learning rate on θ, decayed to 2 % along a cosine."""
    checkpoint_every: int = 100
    """Meta-steps between checkpoints; a multiple of log_every."""


@dataclasses.dataclass(frozen=True)
class BlurPaper(BlurMnist50):
    """The paper's own rule: additive, asymmetric, ±1 into the second state, no gradient anywhere.

    MNIST at 10 by 10 pixels and its halves (BLUR sec. 4.2). It goes on from `blur/mnist`, whose
    lifetimes have 20 updates, with longer ones.
    """

    name: ClassVar[str] = "blur/paper"
    title: ClassVar[str] = "BLUR, the paper's additive rule, meta-trained on MNIST at 10 by 10"

    states: int = 4
    """States per neuron, k; at least 2."""
    stages: int = 1
    """Stages of meta-training, in which lifetimes grow from first to unrolls."""
    steps: int = 300
    """Meta-steps."""
    # At 4e-3 losses rise: the genome that it goes on from is sensitive to its numbers.
    learning_rate: float = 5e-4
    """Adam's learning rate on θ, decayed to 2 % along a cosine."""
    log_every: int = 25
    """Meta-steps between logged lines."""
    checkpoint_every: int = 50
    """Meta-steps between checkpoints; a multiple of log_every."""

    def __post_init__(self) -> None:
        """Refuse options out of range by name."""
        super().__post_init__()
        if self.states != PAPER_STATES:
            raise ValueError(
                f"states must be {PAPER_STATES}, as those of {PAPER_START}, which it starts from; "
                f"got {self.states}."
            )

    def rule(self) -> "Blur":
        """Return the rule of `blur/mnist`, that of eqs. 5 to 7."""
        return BlurMnist.rule(self)

    def start(self) -> "Genome":
        """Return the genome of short lifetimes."""
        from hebbax import zoo

        return zoo.load(PAPER_START)[1]

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return MNIST and its halves, relabelled from 0. **Raises:** see `hebbax.data.load`."""
        return BlurMnist.task_families(self)
