"""A recipe for BLUR genomes that predict real numbers."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from hebbax.recipes._blur_toy import BlurRecipe

if TYPE_CHECKING:
    from hebbax.outer.objectives import AbstractObjective
    from hebbax.rules import Blur
    from hebbax.tasks import AbstractFamily

SINUSOIDS_RULE: dict[str, Any] = {
    "init_scale": 0.1,
    "learn_synapse_gain": True,
    "normalization": {"last": False},
    "synapse_normalization": {"learn": True},
}


@dataclasses.dataclass(frozen=True)
class BlurSinusoids(BlurRecipe):
    """Sine waves of random amplitude and phase (Finn et al., ICML 2017)."""

    name: ClassVar[str] = "blur/sinusoids"
    title: ClassVar[str] = "BLUR, meta-trained to predict sine waves"
    evaluation: ClassVar[str] = "--task sinusoids --steps 20"

    hidden: tuple[int, ...] = (40, 40)
    """Units of the hidden layers."""
    batch: int = 32
    """Examples in each update."""
    query: int = 128
    """Examples that judge a lifetime."""
    tasks: int = 8
    """Waves at every meta-step."""
    runs: int = 1
    """Genomes trained side by side; the best is kept."""

    def rule(self) -> "Blur":
        """Return a rule whose genomes start near backpropagation."""
        from hebbax.rules import Blur

        return Blur(states=self.states, **SINUSOIDS_RULE)

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return the family of sine waves."""
        from hebbax.tasks import sinusoids

        return (sinusoids(),)

    def objective(self) -> "AbstractObjective":
        """Judge a lifetime by its whole course, so that every prefix counts."""
        from hebbax.outer.objectives import OnlineLoss

        return OnlineLoss(steps=self.unrolls, batch=self.batch, query=self.query)
