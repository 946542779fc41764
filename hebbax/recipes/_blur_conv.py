"""The recipe for BLUR genomes on convolutional networks."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hebbax.recipes._blur_images import LASTING_RULE
from hebbax.recipes._blur_toy import BlurRecipe

if TYPE_CHECKING:
    from hebbax.outer.methods import AbstractMethod
    from hebbax.outer.objectives import AbstractObjective
    from hebbax.rules import Blur
    from hebbax.rules.blur import Genome
    from hebbax.tasks import AbstractFamily

LAYERS = 3
"""Of synapses in `networks.cnn()`: two convolutions and the dense layer that reads them."""
START, START_STATES = "blur/lasting", 2
"""The genome of fully connected networks that those of all layers begin as."""
# First synapses, their pace and the spread of activations, by layer, as parts of that genome's. The
# last layer begins short, so that what it learns soon counts more than what it was drawn as.
GAIN, PACE, SPREAD = (1.0, 1.0, 0.1), (0.3, 0.3, 0.03), (1.0, 1.0, 2.0)
# Where activity leaks into the error, or the other way round, networks come to grief: the
# meta-gradient is many times larger there than elsewhere.
STIFF = ("mu", "mu_tilde", "nu_tilde", "backward_mean", "f")
CONV_RULE: dict[str, Any] = {
    **LASTING_RULE,
    "forward_activation": "tanh_and_derivative",
    # Statistics of the newest batch: early on, older ones are wrong.
    "normalization": {"last": True, "window": 1000.0},
    "synapse_normalization": None,
    "oja": None,
    "fan_in": True,
    "places": "root",
    "layer_genomes": LAYERS,
}


@dataclasses.dataclass(frozen=True)
class BlurConv(BlurRecipe):
    """MNIST on convolutional networks, a genome for each of three layers of synapses."""

    name: ClassVar[str] = "blur/conv"
    title: ClassVar[str] = "BLUR, meta-trained on convolutional networks, MNIST at 28 by 28 pixels"
    evaluation: ClassVar[str] = "--task mnist"
    least: ClassVar[dict[str, int]] = {**BlurRecipe.least, "skip": 0}

    network: Literal["mlp", "cnn", "resnet"] = "cnn"
    """Fully connected, convolutional or residual, of three layers of synapses."""
    hidden: tuple[int, ...] = (16, 32)
    """Units of the hidden layers; of a cnn or resnet the channels."""
    skip: int = 3
    """First updates of a lifetime that do not count."""
    unrolls: int = 50
    """Updates in a lifetime."""
    runs: int = 1
    """Genomes trained side by side; the best is kept."""
    steps: int = 110
    """Meta-steps."""
    learning_rate: float = 5e-3
    """Adam's learning rate on θ, decayed to 2 % along a cosine."""
    stiff: float = 0.06
    """The same of numbers that networks are most sensitive to, as part of the others'."""
    validation: int = 4
    """Tasks of each family that decide which genome is the best, at every checkpoint."""
    log_every: int = 10
    """Meta-steps between logged lines."""
    checkpoint_every: int = 20
    """Meta-steps between checkpoints; a multiple of log_every."""

    def __post_init__(self) -> None:
        """Refuse options out of range by name."""
        super().__post_init__()
        if self.states != START_STATES:
            raise ValueError(
                f"states must be {START_STATES}, as those of {START}, which it starts from; "
                f"got {self.states}."
            )
        if self.skip >= self.unrolls:
            raise ValueError(f"skip must be less than unrolls, {self.unrolls}; got {self.skip}.")

    def rule(self) -> "Blur":
        """Return the rule whose layers have genomes of their own."""
        from hebbax.rules import Blur

        return Blur(states=self.states, **CONV_RULE)

    def start(self) -> "Genome":
        """Return three times the genome that has seen fully connected networks only."""
        import jax
        import jax.numpy as jnp

        from hebbax import zoo

        one = dataclasses.replace(zoo.load(START)[1], rescale=None)
        genome = jax.tree.map(lambda a: jnp.stack([a] * LAYERS), one)
        return dataclasses.replace(
            genome,
            synapse_gain=genome.synapse_gain * jnp.asarray(GAIN),
            eta_tilde=genome.eta_tilde * jnp.asarray(PACE),
            forward_deviation=genome.forward_deviation * jnp.asarray(SPREAD)[:, None],
        )

    def method(self) -> "AbstractMethod":
        """Return Adam on the gradient through whole lifetimes, at two rates."""
        import jax
        import optax

        from hebbax.outer.methods import Gradient

        def adam(rate: float) -> optax.GradientTransformation:
            return optax.adam(self.falling(rate))

        def labels(theta: "Genome") -> "Genome":
            return jax.tree_util.tree_map_with_path(
                lambda path, _: "stiff" if path[-1].name in STIFF else "others", theta
            )

        rates = {"others": self.learning_rate, "stiff": self.stiff * self.learning_rate}
        optimizer = optax.partition({name: adam(rate) for name, rate in rates.items()}, labels)
        return Gradient(optimizer, clip=self.clip)

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return MNIST at its full size. **Raises:** see `hebbax.data.load`."""
        from hebbax.tasks import images

        return (images("mnist"),)

    def objective(self) -> "AbstractObjective":
        """Judge a lifetime by its whole course but its first updates."""
        from hebbax.outer.objectives import OnlineCrossEntropy

        return OnlineCrossEntropy(
            steps=self.unrolls, batch=self.batch, query=self.query, skip=self.skip
        )
