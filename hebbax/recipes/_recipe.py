"""What a recipe is: a meta-training run with a name.

A recipe is a frozen dataclass: its fields are the options, their defaults the settings that are
known to work, its methods build what `meta_train` asks for. Nothing here imports JAX before a
method is called, so that the command line can show the options at once.
"""

import abc
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hebbax._options import check_options

if TYPE_CHECKING:
    import optax
    from jaxtyping import PRNGKeyArray

    from hebbax.doctor import Diagnosis, Forecast
    from hebbax.networks import Hidden, Units
    from hebbax.outer import Curriculum, MetaTraining
    from hebbax.outer.methods import AbstractMethod
    from hebbax.outer.objectives import AbstractObjective
    from hebbax.rules import AbstractRule
    from hebbax.runs import Callback, Result
    from hebbax.tasks import AbstractFamily

FINAL_RATE = 0.02
"""Share of the learning rate that is left at the end of the cosine."""


@dataclasses.dataclass(frozen=True)
class Recipe(abc.ABC):
    """What every recipe is: options, and what they say `meta_train` is to do.

    **Raises:** `ValueError` naming the first option that is out of range.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    evaluation: ClassVar[str]
    """What `hebbax evaluate` is to be asked about a rule of this recipe; "" if it learns without
    labels."""
    least: ClassVar[dict[str, int]] = {"seed": 0}
    """Least values of whole options that may not be 1, or may be less."""

    network: Literal["mlp", "cnn", "resnet"] = "mlp"
    """Fully connected, convolutional or residual."""
    hidden: tuple[int, ...] = (20,)
    """Units of the hidden layers; of a cnn or resnet the channels, by default 16 and 32."""
    unrolls: int = 10
    """Updates in a lifetime."""
    batch: int = 128
    """Examples in each update."""
    tasks: int = 1
    """Tasks sampled of each family at every meta-step."""
    runs: int = 4
    """θ trained side by side; the best is kept."""
    steps: int = 2000
    """Meta-steps."""
    validation: int = 16
    """Tasks of each family that decide which θ is the best, at every checkpoint."""
    log_every: int = 50
    """Meta-steps between logged lines."""
    checkpoint_every: int = 500
    """Meta-steps between checkpoints; a multiple of log_every."""
    seed: int = 0
    """Decides every random number."""

    def __post_init__(self) -> None:
        """Refuse options out of range by name."""
        check_options(self)
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be from 0 to {2**32 - 1}; got {self.seed}.")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            low = self.least.get(field.name, 1)
            if type(value) is int and value < low:
                raise ValueError(f"{field.name} must be at least {low}; got {value}.")
            if isinstance(value, float) and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{field.name} must be positive and finite; got {value}.")
        if min(self.hidden, default=1) < 1:
            raise ValueError(
                f"hidden must hold sizes of at least 1; got {' '.join(map(str, self.hidden))}."
            )
        if self.checkpoint_every % self.log_every:
            raise ValueError(
                f"checkpoint_every must be a multiple of log_every, {self.log_every}; "
                f"got {self.checkpoint_every}."
            )

    @abc.abstractmethod
    def rule(self) -> "AbstractRule":
        """Return the rule whose meta-parameters are learnt."""

    @abc.abstractmethod
    def task_families(self) -> tuple["AbstractFamily", ...]:
        """Return the task families that are sampled at every meta-step.

        **Raises:** what the families' constructors raise, for unknown names or missing data.
        """

    @abc.abstractmethod
    def objective(self) -> "AbstractObjective | Curriculum":
        """Return what a lifetime is judged by."""

    def layers(self, families: int) -> "Hidden":
        """Return what all of so many families' networks are built of, or each its own."""
        return self.units()

    def units(self) -> "Units":
        """Return the hidden layers that `network` and `hidden` say."""
        from hebbax.networks import as_units, named

        return as_units(named(self.network, self.hidden))

    def start(self) -> Any:
        """Return the θ that all runs begin with; None for what the rule draws."""
        return None

    def key(self) -> "PRNGKeyArray":
        """Return what decides all random numbers."""
        import jax

        return jax.random.key(self.seed)

    @abc.abstractmethod
    def method(self) -> "AbstractMethod":
        """Return the outer loop's method."""

    def options(self) -> dict[str, Any]:
        """Return the options by name, as JSON has them."""
        values = dataclasses.asdict(self)
        return {n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}

    def training(
        self, families: "tuple[AbstractFamily, ...] | None" = None, *, until: int | None = None
    ) -> "MetaTraining":
        """Return what the options say, for `families` as `task_families()` returned them.

        `until` is the meta-step to stop at, the last by default.
        """
        from hebbax.outer import MetaTraining

        families = self.task_families() if families is None else families
        return MetaTraining(
            self.rule(), families, self.objective(), self.method(),
            hidden=self.layers(len(families)), steps=self.steps if until is None else until,
            key=self.key(), theta=self.start(), runs=self.runs, tasks=self.tasks,
            validation=self.validation, log_every=self.log_every,
            checkpoint_every=self.checkpoint_every,
        )  # fmt: skip

    def meta_train(
        self,
        directory: Path,
        families: "tuple[AbstractFamily, ...] | None" = None,
        *,
        until: int | None = None,
        callbacks: Sequence["Callback"] = (),
        progress: bool = False,
    ) -> "Result":
        """Run the recipe in `directory`, or go on with the run it holds.

        **Arguments:**

        - `families`: what `task_families()` returned, if it has been called already.
        - `until`: the meta-step to stop at for now, a multiple of `checkpoint_every`; the same
          call with a later one goes on.
        - `callbacks`: who else is told of every logged line, see `hebbax.Callback`.
        - `progress`: show a progress bar.

        **Returns:** what `hebbax.meta_train` returns; see there for the errors too.
        """
        import jax

        from hebbax._version import __version__
        from hebbax.runs import meta_train

        training = self.training(families, until=until)
        card = {
            "title": self.title,
            "recipe": self.name,
            "options": self.options(),
            "families": [family.name for family in training.all_families],
            "hebbax": __version__,
            "jax": jax.__version__,
        }
        return meta_train(
            training, directory=directory, callbacks=callbacks, card=card, progress=progress
        )

    def forecast(
        self, families: "tuple[AbstractFamily, ...] | None" = None, *, start: int = 0
    ) -> "Forecast":
        """Return what the run will need from meta-step `start` on, see `hebbax.forecast`."""
        from hebbax.doctor import forecast

        return forecast(self.training(families), start=start)

    def diagnose(
        self, theta: Any, families: "tuple[AbstractFamily, ...] | None" = None, **settings: Any
    ) -> "Diagnosis":
        """Return how the meta-gradient at θ fares, see `hebbax.diagnose`, also for `settings`."""
        from hebbax.doctor import diagnose

        return diagnose(self.training(families), theta, **settings)


@dataclasses.dataclass(frozen=True)
class GradientRecipe(Recipe):
    """A recipe that follows the meta-gradient, by a learning rate that falls along a cosine."""

    learning_rate: float = 1e-2
    """Adam's learning rate on θ, decayed to 2 % along a cosine."""
    decay: int | None = None
    """Meta-steps over which it decays; None for all of them."""
    clip: float = 1.0
    """Bound on the norm of the meta-gradient."""

    def method(self) -> "AbstractMethod":
        """Return the outer loop's method: Adam on the gradient through whole lifetimes."""
        import optax

        from hebbax.outer.methods import Gradient

        return Gradient(optax.adam(self.falling(self.learning_rate)), clip=self.clip)

    @property
    def planned(self) -> int:
        """The meta-steps that schedules are made for; others may follow."""
        return self.steps if self.decay is None else self.decay

    def falling(self, rate: float) -> "optax.Schedule":
        """Return a learning rate that begins as `rate` and falls along a cosine."""
        import optax

        return optax.cosine_decay_schedule(rate, self.planned, alpha=FINAL_RATE)
