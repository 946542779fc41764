"""Recipes of the unsupervised update rule (Metz et al., ICLR 2019)."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from hebbax.recipes._recipe import GradientRecipe

if TYPE_CHECKING:
    from jaxtyping import PRNGKeyArray

    from hebbax.networks import Hidden
    from hebbax.outer.methods import TruncatedGradient
    from hebbax.outer.objectives import FewShotRidge
    from hebbax.rules import UnsupervisedRule
    from hebbax.rules.unsupervised import Parameters
    from hebbax.tasks import AbstractFamily
    from hebbax.teachers import CloneClustering

SIZE = 14
"""Side of the images of meta-training, in pixels."""
# No pixel means the same in two tasks, and brightness tells less than shape.
LOOK: dict[str, Any] = {
    "mask": 0.3, "example_mask": 0.3, "fade": 0.7, "shift": 1, "invert": 0.3,
}  # fmt: skip
# Pixels that drop out of single examples are noise, and with it a rule had better look at little
# else than the directions that vary most.
CLEAN_LOOK: dict[str, Any] = {"mask": 0.3, "fade": 0.3, "invert": 0.3}


@dataclasses.dataclass(frozen=True)
class _Unsupervised(GradientRecipe):
    """What the recipes share: letters and small photographs, and truncated gradients."""

    evaluation: ClassVar[str] = ""
    look: ClassVar[dict[str, Any]]
    """How images are augmented."""

    hidden: tuple[int, ...] = ()
    """Units of the hidden layers."""
    shallow: bool = False
    """Whether every second family has networks without hidden layers."""
    unrolls: int = 50
    """Updates in a lifetime of validation."""
    batch: int = 32
    """Examples in each update."""
    truncation: int = 4
    """Updates that the meta-gradient reaches back."""
    first: int = 20
    """Updates in the lifetimes of the first meta-steps, on average."""
    final: int = 150
    """Updates in the lifetimes that begin after half of the meta-steps, on average."""
    particles: int = 2
    """Networks for each task, at points of their lifetimes of their own."""
    runs: int = 1
    """Meta-parameters trained side by side; the best are kept."""
    step_size: float = 0.02
    """Step size λ of the rule's updates."""
    channels: int = 8
    """Channels of the rule's small networks; half as many of the error signal."""
    others: float = 2.0
    """Weight of the planes that do not lead, from which the rule starts."""
    merge_rate: float = 20.0
    """How many times the learning rate the planes' weights have."""
    learning_rate: float = 3e-3
    """Adam's learning rate on the meta-parameters, decayed to 2 % along a cosine."""
    steps: int = 600
    """Meta-steps."""
    clip: float = 1.0
    """Bound on the norm of the meta-gradient."""
    average: float | None = None
    """Part of itself that an average of θ keeps at each meta-step; None for no average."""
    validation: int = 2
    """Tasks of each family that decide which meta-parameters are the best, at every checkpoint."""
    log_every: int = 20
    """Meta-steps between logged lines."""
    checkpoint_every: int = 100
    """Meta-steps between checkpoints; a multiple of log_every."""

    def key(self) -> "PRNGKeyArray":
        """Return a key of the generator that is quick to compile, for many augmentations."""
        import jax

        return jax.random.key(self.seed, impl="unsafe_rbg")

    def layers(self, families: int) -> "Hidden":
        """Return the same hidden layers for all families, or none for every second one."""
        if not self.shallow:
            return self.units()
        return tuple(() if index % 2 else self.units() for index in range(families))

    def led_by(self, **leading: float) -> "UnsupervisedRule":
        """Return a rule in whose fresh θ planes have these weights, the others `others`."""
        from hebbax.rules import UnsupervisedRule
        from hebbax.rules.unsupervised import PLANES

        return UnsupervisedRule(
            step_size=self.step_size,
            hidden_channels=self.channels,
            top_channels=self.channels,
            signal_channels=max(1, self.channels // 2),
            merge_init=tuple(leading.get(plane, self.others) for plane in PLANES[12]),
        )

    def task_families(self) -> "tuple[AbstractFamily, ...]":
        """Return letters and photographs, never digits. **Raises:** see `hebbax.data.load`."""
        from hebbax.tasks import augmented, glyphs, subsets

        families = (
            glyphs(10, SIZE, zoom=1.5),
            subsets("az_letters", 10, SIZE),
            # Of ten classes of photographs, features as few as these hardly tell anything.
            subsets("cifar10", 3, SIZE),
            subsets("tiny_imagenet", 3, SIZE),
        )
        return tuple(augmented(family, **self.look) for family in families)

    def method(self) -> "TruncatedGradient":
        """Return truncated gradients through lifetimes that grow."""
        import optax

        from hebbax.outer.methods import TruncatedGradient, Truncation

        rate = self.falling(self.learning_rate)
        # The planes' weights are a thousand times as large as the steps that suit the others.
        faster = optax.adam(lambda step: self.merge_rate * rate(step))
        optimizer = optax.multi_transform({"merge": faster, "rest": optax.adam(rate)}, _kinds)
        truncation = Truncation(
            self.truncation,
            count=max(1, self.first // self.truncation),
            spread=0.5,
            final_count=max(1, self.final // self.truncation),
            count_growth=max(1, self.planned // 2),
        )
        return TruncatedGradient(
            optimizer,
            clip=self.clip,
            average=self.average,
            truncation=truncation,
            particles=self.particles,
        )


# Not inside the method, for workers of a cluster are to find it by its name.
def _kinds(theta: Any) -> Any:
    """Return which leaves of θ are planes' weights, as labels in a tree like it."""
    import jax

    return jax.tree_util.tree_map_with_path(
        lambda path, _: "merge" if ".merge" in jax.tree_util.keystr(path) else "rest", theta
    )


@dataclasses.dataclass(frozen=True)
class UnsupervisedHebbian(_Unsupervised):
    """Meta-train an unsupervised update rule that starts as Hebbian learning."""

    name: ClassVar[str] = "unsupervised/hebbian"
    title: ClassVar[str] = "Unsupervised update rule, meta-trained from Hebbian learning"
    look: ClassVar[dict[str, Any]] = LOOK

    query: int = 400
    """Labelled examples that judge each update, in all."""
    evaluations: int = 2
    """Pairs of batches that they are split into."""
    hebbian: float = 300.0
    """Weight of the Hebbian plane, from which the rule starts."""
    decorrelation: float = 150.0
    """Weight of the decorrelating plane, from which the rule starts."""

    def rule(self) -> "UnsupervisedRule":
        """Return a rule that starts as Hebbian learning with decorrelation."""
        return self.led_by(hebb=self.hebbian, decorr_x=self.decorrelation)

    def objective(self) -> "FewShotRidge":
        """Return the paper's meta-objective, after every update."""
        from hebbax.outer.objectives import FewShotRidge

        return FewShotRidge(
            steps=self.unrolls,
            batch=self.batch,
            query=self.query,
            evaluations=self.evaluations,
            weight_penalty=0.0,
            every_update=True,
            # The rule itself keeps but little of each update.
            remat=False,
        )


@dataclasses.dataclass(frozen=True)
class UnsupervisedMeta(UnsupervisedHebbian):
    """Meta-train an unsupervised update rule that starts from all planes alike."""

    name: ClassVar[str] = "unsupervised/meta"
    title: ClassVar[str] = "Unsupervised update rule, meta-trained from a flat start"

    hidden: tuple[int, ...] = (64,)
    hebbian: float = UnsupervisedHebbian.others
    decorrelation: float = UnsupervisedHebbian.others
    particles: int = 8
    unrolls: int = 200
    final: int = 300
    steps: int = 1500
    average: float | None = 0.99
    shallow: bool = True

    def task_families(self) -> "tuple[AbstractFamily, ...]":
        """Return characters, letters, photographs and random projections; never digits or clothes.

        **Raises:** see `hebbax.data.load`.
        """
        from hebbax.tasks import augmented, glyphs, projected, subsets

        more = augmented(glyphs(20, SIZE, rotation=30.0, zoom=1.5), **self.look)
        return (*super().task_families(), more, projected(subsets("az_letters", 10, SIZE)))


@dataclasses.dataclass(frozen=True)
class UnsupervisedSmall(_Unsupervised):
    """Teach the unsupervised update rule an online clustering, one update at a time."""

    name: ClassVar[str] = "unsupervised/small"
    title: ClassVar[str] = "Unsupervised update rule, taught an online clustering"
    look: ClassVar[dict[str, Any]] = CLEAN_LOOK

    hidden: tuple[int, ...] = (64,)
    batch: int = 64
    truncation: int = 1
    first: int = 300
    final: int = 300
    particles: int = 1
    step_size: float = 0.01
    channels: int = 16
    merge_rate: float = 60.0
    readout: float = 100.0
    """Weight of the plane `lowrr_zero`, from which the rule starts."""
    activations: tuple[str, ...] = ("relu", "relu", "relu", "tanh")
    """Activation functions of the networks, another at each update."""
    slopes: tuple[float, ...] = (1.0, 8.0)
    """Factors of their arguments, in turn."""
    sharpness: float = 5.0
    """How sharply examples belong to one cluster."""
    residual: float = 0.75
    """Share of a unit's activity that is taken from its membership; below 1."""
    individual: bool = True
    """Whether this share, and that of what is told already, are each unit's own."""
    shallow: bool = True
    average: float | None = 0.995
    validation: int = 4
    steps: int = 3000
    log_every: int = 50
    checkpoint_every: int = 250

    def rule(self) -> "UnsupervisedRule":
        """Return a rule for any number of features that starts as a low-rank readout."""
        return dataclasses.replace(self.led_by(lowrr_zero=self.readout), top_units=None)

    def start(self) -> "Parameters":
        """Return θ with which biases fade, for nothing teaches them."""
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        theta = self.rule().init(jax.random.fold_in(jax.random.key(self.seed), 1))
        return eqx.tree_at(lambda t: t.bias, theta, jax.tree.map(jnp.zeros_like, theta.bias))

    def objective(self) -> "CloneClustering":
        """Compare every update with a step of the clustering."""
        from hebbax.teachers import CloneClustering

        return CloneClustering(
            steps=self.unrolls,
            batch=self.batch,
            sharpness=self.sharpness,
            residual=self.residual,
            individual=self.individual,
            activations=self.activations,
            slopes=self.slopes,
        )
