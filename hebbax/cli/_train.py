"""`hebbax train RECIPE`."""

import dataclasses
import re
import shlex
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from tyro.conf import FlagCreatePairsOff

from hebbax.cli._command import INTERRUPTED, Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError, blame, check_writable, flag
from hebbax.recipes import RECIPES, GradientRecipe, Recipe

if TYPE_CHECKING:
    from hebbax.outer import MetaTraining
    from hebbax.runs import Callback, Result
    from hebbax.tasks import AbstractFamily

    AnyRecipe = Recipe
else:
    AnyRecipe = tyro.extras.subcommand_type_from_defaults(
        {name: recipe() for name, recipe in RECIPES.items()},
        descriptions={name: recipe.__doc__ or "" for name, recipe in RECIPES.items()},
        prefix_names=False,
    )


@dataclasses.dataclass(frozen=True)
class Train(Command):
    """Meta-train a rule by a recipe, or go on with a run: 'hebbax train --resume DIR' takes all
    options from it, and more --steps go on with one that is over, at the rate it ended with."""

    recipe: AnyRecipe
    """What to train; 'hebbax train RECIPE --help' lists its options."""
    out: Path | None = None
    """The run's folder, runs/RECIPE by default; if it holds the run already, that goes on."""
    tensorboard: FlagCreatePairsOff[bool] = False
    """Write TensorBoard event files too, into the run's folder (needs hebbax[tensorboard])."""
    dry_run: FlagCreatePairsOff[bool] = False
    """Say what memory and time the run will need, and write nothing: compiles it, takes some
    meta-steps for two seconds."""
    json: FlagCreatePairsOff[bool] = False
    """Print the results as JSON on standard output, all else on standard error."""

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self.out or Path("runs") / self.recipe.name.replace("/", "-")

    def run(self) -> int:
        """Do it."""
        if not self.dry_run:
            check_writable(self.folder, "--out")
        from hebbax.cli._jax import set_up_jax

        set_up_jax(runs=self.recipe.runs * self.recipe.tasks)
        from hebbax.runs import CheckpointError

        self._check_same_run()
        callbacks = self._callbacks()
        place = console(stderr=self.json)
        with self._blaming():
            families = self.recipe.task_families()
            training = self.recipe.training(families)
        start = last_checkpoint(self.folder) or 0
        self._say_what(place, training, start)
        if self.dry_run:
            self._forecast(families, start)
            return 0
        try:
            result = self.recipe.meta_train(
                self.folder, families, callbacks=callbacks, progress=True
            )
        except CheckpointError as error:
            raise BadInputError(f"--out {self.folder}: {error}") from error
        except RuntimeError as error:
            raise BadInputError(f"RECIPE {self.recipe.name}: {error}") from error
        except OSError as error:
            # By now the data are in memory: only the run's folder is left to fail.
            raise BadInputError(f"--out {self.folder} cannot be written: {error}.") from error
        except KeyboardInterrupt:
            print(self._how_to_go_on(), file=sys.stderr)
            return INTERRUPTED
        if self.json:
            print_json(self._as_json(result, start))
        else:
            self._say_result(place, result, start)
        return 0

    def _callbacks(self) -> "list[Callback]":
        if not self.tensorboard:
            return []
        from hebbax.runs import TensorBoard

        try:
            return [TensorBoard(self.folder / "tensorboard")]
        except ImportError as error:
            raise BadInputError(f"--tensorboard: {error}") from error

    def _forecast(self, families: "tuple[AbstractFamily, ...]", start: int) -> None:
        from hebbax.cli._forecast import as_json, say_forecast

        found = self.recipe.forecast(families, start=start)
        if self.json:
            about = {"recipe": self.recipe.name, "options": self.recipe.options()}
            print_json({**about, "started_from": start, **as_json(found)})
        else:
            say_forecast(console(), found, shlex.join(self._words()))

    def _check_same_run(self) -> None:
        """Refuse to go on with a run of other options, of which the rule file keeps a record."""
        import jax

        from hebbax.rule_file import RuleFileError, read_rule_file

        file = self.folder / "rule.safetensors"
        if not file.is_file():
            return
        try:
            card = read_rule_file(file)[2]
        except RuleFileError as error:
            # What a run's configuration tells as well is enough, and its rule is written anew.
            if (self.folder / "config.json").is_file():
                return
            raise BadInputError(f"--out {self.folder}: {error}") from error
        if "recipe" in card and card["recipe"] != self.recipe.name:
            raise BadInputError(
                f"--out {self.folder} holds a run of {card['recipe']}, not of {self.recipe.name}; "
                f"give another folder."
            )
        before = card.get("options", {})
        # More steps go on with a run that is over, unless its learning rate would be another.
        allowed = ()
        if "steps" in before:
            length = {"steps": before["steps"]}
            if isinstance(self.recipe, GradientRecipe):
                length["decay"] = before.get("decay")
            with self._blaming():
                then = dataclasses.replace(self.recipe, **length)
                theta = jax.eval_shape(self.recipe.rule().init, self.recipe.key())
                then, now = then.method(), self.recipe.method()
            same = then.fingerprint(theta) == now.fingerprint(theta)
            allowed = tuple(length) if same else ()
        differ = [
            f"{flag(name)} is {_spelt(value)}, not {_spelt(before[name])}"
            for name, value in self.recipe.options().items()
            if name in before and before[name] != value and name not in allowed
        ]
        if differ:
            raise BadInputError(
                f"the run in {self.folder} has other options: {'; '.join(differ)}; give the same "
                f"to go on with it (hebbax train --resume {self.folder} does), or another --out."
            )

    def _blaming(self) -> AbstractContextManager[None]:
        """Blame the recipe, or the option that a message begins with."""
        options = [field.name for field in dataclasses.fields(self.recipe)]
        return blame(f"RECIPE {self.recipe.name}", options)

    def _say_what(self, place: Any, training: "MetaTraining", start: int) -> None:
        import jax

        from hebbax.cli._rule import count

        theta, networks = jax.eval_shape(training.rule.init, training.key), training.networks()
        synapses = ", ".join(f"{number:,} in {sizes}" for sizes, number in networks.items())
        names = "; ".join(family.name for family in training.all_families)
        say(
            place,
            f"{self.recipe.name}: {type(training.rule).__name__}, {count(theta):,} meta-parameters "
            f"θ, synapses φ: {synapses}; on {names}",
        )
        if start >= self.recipe.steps:
            say(place, f"the run in {self.folder} is complete: there is nothing left to train")
        elif start:
            say(place, f"going on from step {start:,} of {self.recipe.steps:,} in {self.folder}")
        say(place, "compiling first, a few seconds unless done before")

    def _how_to_go_on(self) -> str:
        words = shlex.join(self._words())
        step = last_checkpoint(self.folder)
        if step is None:
            return f"interrupted before the first checkpoint; start again with: {words}"
        return f"interrupted; checkpoint of step {step:,} in {self.folder}; go on with: {words}"

    def _words(self) -> list[str]:
        """Return the command line that makes this command: what is not a default."""
        words = ["hebbax", "train", self.recipe.name]
        for field in dataclasses.fields(self.recipe):
            value = getattr(self.recipe, field.name)
            if value != field.default:
                values = value if isinstance(value, tuple) else (value,)
                words += [flag(field.name), *map(str, values)]
        if self.out is not None:
            words += ["--out", str(self.out)]
        words += ["--tensorboard"] if self.tensorboard else []
        return [*words, "--json"] if self.json else words

    def _as_json(self, result: "Result", start: int) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name,
            "options": self.recipe.options(),
            "rule": self.folder / "rule.safetensors",
            "validation_loss": result.loss,
            "run": result.run,
            "step": result.step,
            "started_from": start,
            "seconds": {"compile": result.compile_seconds, "run": result.seconds},
        }

    def _say_result(self, place: Any, result: "Result", start: int) -> None:
        say(place, f"rule file: {self.folder / 'rule.safetensors'}")
        say(
            place,
            f"validation loss {result.loss:.4f}, of run {result.run + 1} of {self.recipe.runs} "
            f"at step {result.step:,}",
        )
        done = self.recipe.steps - start
        speed = f", {done / result.seconds:,.1f} meta-steps/s" if done > 0 else ""
        say(
            place,
            f"compiled in {result.compile_seconds:.1f} s, ran for {result.seconds:.1f} s{speed}",
        )
        rule = shlex.quote(str(self.folder))
        hidden = " ".join(("--hidden", *map(str, self.recipe.hidden)))
        if self.recipe.network != "mlp":
            hidden = f"--network {self.recipe.network} {hidden}"
        say(place, f"go on with: hebbax show {rule}")
        if self.recipe.evaluation:
            words = f"{hidden} {self.recipe.evaluation}"
            say(place, f"            hebbax evaluate {rule} {words}")


def last_checkpoint(folder: Path) -> int | None:
    """Return the step of the newest checkpoint in a run's folder, None if it holds none."""
    steps = [
        int(found[1])
        for path in (folder / "checkpoints").glob("step-*.safetensors")
        if (found := re.fullmatch(r"step-(\d+)\.safetensors", path.name))
    ]
    return max(steps, default=None)


def _spelt(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
