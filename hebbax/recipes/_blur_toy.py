"""Recipes for BLUR genomes on toy functions, and what those on images share with them."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from hebbax.recipes._recipe import GradientRecipe

if TYPE_CHECKING:
    from hebbax.outer.objectives import AbstractObjective
    from hebbax.rules import Blur
    from hebbax.tasks import AbstractFamily

# Genomes start around backpropagation (BLUR eq. 4); the noise tells the runs apart.
# Outputs are not normalised: classes of toy functions are not equally frequent.
TOY_RULE: dict[str, Any] = {
    "init_scale": 0.1,
    "learn_synapse_gain": True,
    "feedback": "error",
    "normalization": {"last": False},
    "synapse_normalization": {"learn": True, "bounded": True},
}
QUICKSTART_RULE: dict[str, Any] = TOY_RULE


@dataclasses.dataclass(frozen=True)
class BlurRecipe(GradientRecipe):
    """Meta-train a BLUR genome by gradient descent through the unroll.

    **Raises:** `ValueError` naming the first option that is out of range.
    """

    least: ClassVar[dict[str, int]] = {**GradientRecipe.least, "states": 2}

    states: int = 2
    """States per neuron, k; at least 2."""
    query: int = 512
    """Examples that judge a lifetime."""


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
        from hebbax.data import TOYS
        from hebbax.tasks import toy

        for name in self.families:
            check_choice("families", name, TOYS)
        return tuple(toy(name) for name in self.families)

    def objective(self) -> "AbstractObjective":
        """Judge a lifetime by its end."""
        from hebbax.outer.objectives import QueryCrossEntropy

        return QueryCrossEntropy(steps=self.unrolls, batch=self.batch, query=self.query)
