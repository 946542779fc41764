"""The recipe for a BLUR genome that learns from streams that drift, for life."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from hebbax.recipes._blur_toy import BlurRecipe
from hebbax.recipes._recipe import FINAL_RATE

if TYPE_CHECKING:
    from hebbax.outer import Curriculum
    from hebbax.outer.methods import AbstractMethod
    from hebbax.outer.objectives import AbstractObjective
    from hebbax.rules import Blur
    from hebbax.tasks import AbstractFamily

STREAM_RULE: dict[str, Any] = {
    "forward_activation": "leaky_relu_and_derivative",
    "backward_activation": "none",
    "backward_update": "multiplicative_second_state",
    "symmetric": True,
    "single_state": True,
    "feedback": "error",
    "normalization": None,
    "synapse_normalization": {"learn": True},
    "learn_keep": True,
    "oja": "relative",
    "init_scale": 0.02,
    "learn_synapse_gain": True,
}
KEEP, NORM, GAIN, HIDDEN_SHARE, SYNAPSE_UPDATE = 0.9985, 1.8, 0.6, 0.1, 5.0
"""Where genomes begin: f̃, the norm that synapses are brought to, their initial size, the share of
the feedback that hidden layers get, and η̃. Synapses that fade by a thousandth or two an update do
not grow, so that changes stay as large beside them as they are."""
KEEP_RATE = 0.002
"""Share of the learning rate that f̃ gets: it says how many thousand updates synapses last."""


@dataclasses.dataclass(frozen=True)
class BlurStream(BlurRecipe):
    """Streams that drift: mixtures, hyperplanes, permuted and rotated digits; none is real."""

    name: ClassVar[str] = "blur/stream"
    title: ClassVar[str] = "BLUR, meta-trained on drifting tasks, to learn for life"
    evaluation: ClassVar[str] = "--stream elec2"

    states: int = 2
    """States per neuron, k; at least 2."""
    hidden: tuple[int, ...] = (32,)
    """Units of the hidden layers."""
    unrolls: int = 100
    """Updates in a lifetime."""
    batch: int = 32
    """Examples in each update."""
    query: int = 32
    """Examples that are predicted after the last update."""
    tasks: int = 2
    """Tasks sampled of each family at every meta-step."""
    runs: int = 1
    """Genomes trained side by side; the best is kept."""
    steps: int = 60
    """Meta-steps."""
    learning_rate: float = 1e-2
    """Adam's learning rate on θ, decayed to 2 % along a cosine."""
    validation: int = 4
    """Tasks of each family that decide which genome is the best, at every checkpoint."""
    log_every: int = 10
    """Meta-steps between logged lines."""
    checkpoint_every: int = 20
    """Meta-steps between checkpoints; a multiple of log_every."""

    def rule(self) -> "Blur":
        """Return a rule that starts as backpropagation."""
        from hebbax.rules import Blur

        return Blur(states=self.states, synapse_update=SYNAPSE_UPDATE, **STREAM_RULE)

    def start(self) -> Any:
        """Return a genome whose synapses fade slowly, so that changes never become small."""
        import equinox as eqx
        import jax.numpy as jnp

        theta = self.rule().init(self.key())
        return eqx.tree_at(
            lambda t: (t.f_tilde, t.rescale, t.synapse_gain, t.mu),
            theta,
            (jnp.asarray(KEEP), jnp.asarray(NORM), jnp.asarray(GAIN), HIDDEN_SHARE * theta.mu),
        )

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return families of tasks that change with time."""
        from hebbax.tasks import drifting

        return (
            drifting("mixtures", 3, 12),
            drifting("mixtures", 8, 2),
            drifting("hyperplanes", 8, 2),
        )

    def objective(self) -> "AbstractObjective | Curriculum":
        """Judge what is predicted of each batch before it is learnt from."""
        from hebbax.outer.objectives import Prequential

        return Prequential(steps=self.unrolls, batch=self.batch, query=self.query)

    def method(self) -> "AbstractMethod":
        """Return the gradient through whole lifetimes, with smaller steps for f̃."""
        import jax
        import optax

        from hebbax.outer.methods import Gradient

        def slower(updates: Any, _: Any) -> Any:
            return jax.tree_util.tree_map_with_path(
                lambda path, u: KEEP_RATE * u if path[-1].name == "f_tilde" else u, updates
            )

        rate = optax.cosine_decay_schedule(self.learning_rate, self.steps, alpha=FINAL_RATE)
        return Gradient(optax.chain(optax.adam(rate), optax.stateless(slower)), clip=self.clip)
