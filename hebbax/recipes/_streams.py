"""The recipe for streams whose rows drift."""

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from hebbax.recipes._recipe import Recipe

if TYPE_CHECKING:
    from hebbax.outer.methods import AbstractMethod
    from hebbax.outer.objectives import AbstractObjective
    from hebbax.rules import Ensemble
    from hebbax.tasks import AbstractFamily

# Backpropagation through a leaky rectifier, to begin with, and synapses that count by their
# direction only; Oja's term and fading keep changes large beside them.
STREAM_RULE: dict[str, Any] = {
    "forward_activation": "leaky_relu_and_derivative",
    "backward_activation": "none",
    "backward_update": "multiplicative_second_state",
    "symmetric": True,
    "single_state": True,
    "feedback": "error",
    "normalization": None,
    "oja": {"form": "relative", "apart": False},
    "synapse_normalization": {"learn": True},
    "learn_keep": False,
    "init_scale": 0.0,
    "learn_synapse_gain": True,
    "synapse_update": 10.0,
}
# How members begin: rows over which they know their inputs, rows over which synapses fade, and η̃.
DEEP = ((1e6, 2e4, 6.0), (128.0, 1e4, 20.0), (32.0, 1e4, 6.0))
SHALLOW = ((1e6, 1e5, 30.0), (1e6, 1e6, 3.0), (32.0, 1e5, 30.0))
FAMILIES: tuple[tuple[str, int | None, int | None], ...] = (
    ("mixtures", 3, 15),
    ("hyperplanes", 8, 2),
    ("hyperplanes", 3, 2),
    ("mixtures", 10, 4),
    ("permuted_digits", None, None),
)
EARLY = 20.0
"""Updates from which on each doubling of them counts alike. With all predictions of 500 updates
counting alike, members learn too slowly for streams of a thousand rows."""
SPREADS = {
    "log_rows": 1.0,
    "log_life": 1.0,
    "log_pace": 0.4,
    "log_memory": 0.5,
    "log_sharpness": 0.3,
    "least": 0.5,
    "rescale": 0.2,
    "synapse_gain": 0.1,
}
"""What is searched for, and how widely at first, as parts of `std`: times, paces and votes, and how
long synapses of each member are. The other numbers of the members' genomes stay as they are."""


@dataclasses.dataclass(frozen=True)
class BlurStream(Recipe):
    """Tasks that drift: an ensemble that learns for as long as rows come, found by CMA-ES.

    Lifetimes are as long as what is searched for, the rows over which something is forgotten, asks
    for: longer than gradients reach.
    """

    name: ClassVar[str] = "blur/stream"
    title: ClassVar[str] = "An ensemble of BLUR networks, meta-trained on tasks that drift"
    evaluation: ClassVar[str] = "--stream elec2"
    least: ClassVar[dict[str, int]] = {**Recipe.least, "validation": 1, "population": 2}

    hidden: tuple[int, ...] = (32,)
    """Units of the hidden layers of deep members."""
    unrolls: int = 500
    """Updates in a lifetime."""
    batch: int = 32
    """Examples in each update."""
    runs: int = 1
    """θ trained side by side; the best is kept."""
    steps: int = 200
    """Meta-steps."""
    population: int = 16
    """Members that CMA-ES compares at every meta-step, on the same tasks."""
    std: float = 0.5
    """How widely CMA-ES searches at first."""
    validation: int = 12
    """Tasks of each family that decide which θ is the best, at every checkpoint."""
    log_every: int = 5
    """Meta-steps between logged lines."""
    checkpoint_every: int = 20
    """Meta-steps between checkpoints; a multiple of log_every."""

    def method(self) -> "AbstractMethod":
        """Return CMA-ES over times, paces and votes."""
        import jax
        import numpy as np

        from hebbax.outer.methods import CMAES

        names, numbers = [], []
        for path, array in jax.tree_util.tree_flatten_with_path(self.start())[0]:
            names += [path[-1].name] * array.size
            numbers += np.asarray(array, float).ravel().tolist()
        kept = {i: numbers[i] for i, name in enumerate(names) if name not in SPREADS}
        spreads = [SPREADS[name] for name in names if name in SPREADS]
        options = {"fixed_variables": kept, "CMA_stds": spreads}
        return CMAES(self.std, self.population, options=options)

    def rule(self) -> "Ensemble":
        """Return deep and shallow members that begin as backpropagation."""
        from hebbax.rules import Blur, Ensemble

        return Ensemble(Blur(**STREAM_RULE), deep=len(DEEP), shallow=len(SHALLOW))

    def start(self) -> Any:
        """Return a θ whose members know their inputs over long and short times."""
        import jax
        import jax.numpy as jnp

        theta = self.rule().init(jax.random.key(0))
        rows, life, pace = zip(*DEEP, *SHALLOW, strict=True)
        # A first guess: hidden layers learn more slowly than the last one.
        deep = dataclasses.replace(theta.deep, mu=theta.deep.mu.at[:, 1, 1].set(0.15))
        members = {}
        for kind, genomes, norm in (("deep", deep, 1.8), ("shallow", theta.shallow, 3.0)):
            members[kind] = dataclasses.replace(
                genomes,
                rescale=jnp.full_like(genomes.rescale, norm),
                synapse_gain=jnp.full_like(genomes.synapse_gain, 0.6),
            )
        return dataclasses.replace(
            theta,
            **members,
            log_rows=jnp.log(jnp.asarray(rows)),
            log_life=jnp.log(jnp.asarray(life)),
            log_pace=jnp.log(jnp.asarray(pace) / STREAM_RULE["synapse_update"]),
        )

    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return families that drift, of various sizes."""
        from hebbax.tasks import drifting

        return tuple(drifting(*family) for family in FAMILIES)

    def objective(self) -> "AbstractObjective":
        """Judge all that is predicted before it is learnt from, each doubling of rows alike."""
        from hebbax.outer.objectives import Prequential

        return Prequential(steps=self.unrolls, batch=self.batch, skip=1, early=EARLY)
