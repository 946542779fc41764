"""A short meta-training of the unsupervised rule, and what the rule was at moments of it."""

import dataclasses
from pathlib import Path
from typing import ClassVar, NamedTuple

import jax
from jaxtyping import PyTree

import hebbax as hx
from hebbax.papers._experiment import Experiment
from hebbax.papers._training import minutes, one_run
from hebbax.recipes import LOOK, SIZE, UnsupervisedHebbian
from hebbax.rule_file import read_rule_file, save_rule
from hebbax.rules import UnsupervisedRule
from hebbax.tasks import AbstractFamily


@dataclasses.dataclass(frozen=True)
class ShortTraining(UnsupervisedHebbian):
    """The recipe `unsupervised/hebbian` in minutes: fewer, cheaper meta-steps, natural images."""

    families: tuple[str, ...] = ("glyphs", "tiny_imagenet", "cifar10")
    size: int = SIZE
    unrolls: int = 50
    particles: int = 1
    evaluations: int = 1
    query: int = 200
    final: int = 100
    steps: int = 300
    log_every: int = 10
    checkpoint_every: int = 50

    def start(self) -> PyTree:
        """Return θ before meta-training."""
        return self.rule().init(jax.random.key(self.seed))

    def task_families(self) -> tuple[AbstractFamily, ...]:
        """Return the families by their names. **Raises:** see `plain_family`."""
        return tuple(hx.tasks.augmented(plain_family(f, self.size), **LOOK) for f in self.families)


def plain_family(name: str, size: int, ways: int = 10) -> AbstractFamily:
    """Return tasks of random classes of a set of images, or of `"glyphs"`, as they are.

    **Raises:** what `hebbax.tasks.subsets` raises.
    """
    if name == "glyphs":
        return hx.tasks.glyphs(ways, size, zoom=1.5)
    return hx.tasks.subsets(name, ways, size)


class Snapshot(NamedTuple):
    """The rule at a moment of meta-training.

    **Fields:**

    - `meta_steps`, `minutes`: how many it has had, and how long they took without compilation.
    - `rule`, `theta`: the rule.
    """

    meta_steps: int
    minutes: float
    rule: UnsupervisedRule
    theta: PyTree


class MetaTrained(Experiment):
    """An experiment with a meta-training of its own; these fields are the same for all of them.

    Those with the same settings and seed make the same rules.
    """

    smoke: ClassVar = {
        "meta_steps": (0, 2), "checkpoint_every": 2, "families": ("glyphs",), "side": 8,
        "channels": 2, "query": 40, "unrolls": 2,
    }  # fmt: skip

    meta_steps: tuple[int, ...] = (0, 50, 150, 300)
    """Moments of meta-training that are looked at, multiples of `checkpoint_every`."""
    checkpoint_every: int = 50
    families: tuple[str, ...] = ("glyphs", "tiny_imagenet", "cifar10")
    """What is meta-trained on: names of sets of images, or `"glyphs"`."""
    side: int = SIZE
    """Side of the images in pixels."""
    channels: int = 8
    """Channels of the rule's small networks."""
    query: int = 200
    """Labelled examples that judge each update, in all."""
    unrolls: int = 50
    """Updates in a lifetime of validation."""
    hebbian: float = ShortTraining.hebbian
    decorrelation: float = ShortTraining.decorrelation
    """Weights of these planes, from which the rule starts."""

    def snapshots(self, work: Path, seed: int) -> list[Snapshot]:
        """Return the rule after each of `meta_steps`, 0 for the start of meta-training.

        Rule files are kept in `snapshots/` of the folder, and the run itself in `meta-training/`:
        what is there is not done again, and an interrupted meta-training is gone on with.

        **Raises:** what `hebbax.meta_train` raises.
        """
        recipe = ShortTraining(
            families=self.families, size=self.side, channels=self.channels, query=self.query,
            unrolls=self.unrolls, hebbian=self.hebbian, decorrelation=self.decorrelation,
            log_every=min(ShortTraining.log_every, self.checkpoint_every),
            checkpoint_every=self.checkpoint_every, seed=seed,
            steps=max(self.meta_steps, default=1) or 1,
        )  # fmt: skip
        return [_snapshot(recipe, work, point) for point in sorted(set(self.meta_steps))]


def _snapshot(recipe: ShortTraining, work: Path, point: int) -> Snapshot:
    path = work / "snapshots" / f"step-{point:06d}.safetensors"
    if not path.is_file():
        taken, theta = 0.0, recipe.start()
        if point:
            result = recipe.meta_train(work / "meta-training", until=point, progress=True)
            taken, theta = minutes(result.history), one_run(result.thetas, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_rule(path, recipe.rule(), theta, {"meta_steps": point, "minutes": taken})
    rule, theta, card = read_rule_file(path)
    assert isinstance(rule, UnsupervisedRule)
    return Snapshot(point, card["minutes"], rule, theta)
