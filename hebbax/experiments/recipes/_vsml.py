"""Recipes for VSML."""

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from hebbax.experiments.recipes._recipe import Recipe

if TYPE_CHECKING:
    from hebbax.meta.curriculum import Curriculum
    from hebbax.rules import AbstractRule
    from hebbax.tasks import AbstractFamily

SIZE = 10


@dataclasses.dataclass(frozen=True)
class VsmlOnline(Recipe):
    """VSML from scratch, on MNIST at 10 by 10 pixels, one example after another (sec. 3.3)."""

    name: ClassVar[str] = "vsml/online"
    title: ClassVar[str] = "VSML, meta-trained from scratch on MNIST at 10 by 10 pixels"
    evaluation: ClassVar[str] = f"--task mnist --size {SIZE} --batch 1 --steps 200"

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
        from hebbax.meta.curriculum import Curriculum
        from hebbax.meta.objectives import OnlineCrossEntropy

        # The paper minimises the sum: the same up to the scale of the gradient, whose norm is
        # clipped at one bound for lifetimes of every length here.
        course = OnlineCrossEntropy(steps=self.unrolls, batch=self.batch, query=self.query, skip=0)
        return Curriculum(course, (max(1, self.unrolls // 2), self.unrolls), self.early)
