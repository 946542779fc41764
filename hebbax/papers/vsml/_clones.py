"""Sub-LSTMs that are cloned from backpropagation, by the recipe `vsml/backprop`."""

from typing import ClassVar

from hebbax.papers._experiment import Experiment
from hebbax.recipes import VsmlBackprop


class Clones(Experiment):
    """An experiment with a clone of its own."""

    smoke: ClassVar = {"cloning_steps": 50, "side": 6}
    paper: ClassVar = {"states": 32, "cloning_steps": 1_000_000, "side": 64}

    states: int = 10
    cloning_steps: int = 8000
    side: int = 24
    """Inputs, and outputs, of the random synapses."""

    def recipe(self, seed: int) -> VsmlBackprop:
        """Return the recipe with this experiment's settings."""
        every = min(self.cloning_steps, 500)
        return VsmlBackprop(
            states=self.states, steps=self.cloning_steps, side=self.side, query=3 * self.side,
            seed=seed, log_every=min(50, every), checkpoint_every=every,
        )  # fmt: skip
