"""`hebbax doctor RUN|RECIPE`."""

import dataclasses
import difflib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError, at_least, blame, check_seed
from hebbax.recipes import RECIPES, Recipe

if TYPE_CHECKING:
    from hebbax.doctor import Diagnosis, Measurement

COLUMNS = (
    ("updates", "in a lifetime"),
    ("loss", "the meta-loss, mean over episodes"),
    ("gradient", "norm of the mean meta-gradient"),
    ("variance", "of one episode's meta-gradient, summed over θ"),
    ("SNR", "squared norm over variance: the signal-to-noise ratio of one episode"),
    ("lost", "share of episodes without a finite loss and gradient"),
    ("FD cos", "cosine with central finite differences on the same episodes, along random lines"),
    ("FD diff", "relative difference from these"),
    ("FD error", "their own relative error, by comparison of two steps"),
    ("ES cos", "as FD cos, over the longer steps of an evolution strategy (ES): low if rugged"),
    ("ES/grad", "variance of ES at the same cost, over that of the gradient"),
    ("cut cos", "cosine of the gradient cut after so many updates with the whole lifetime's"),
)


@dataclasses.dataclass(frozen=True)
class Doctor(Command):
    """Examine the meta-gradient of a run or recipe against unroll length, and advise a method."""

    target: Annotated[Positional[str], tyro.conf.arg(metavar="RUN|RECIPE")]
    """A run's folder, whose best θ so far is examined, or a recipe, with a fresh θ."""
    unrolls: Annotated[
        tuple[int, ...],
        tyro.conf.arg(help_behavior_hint="(default: 1 2 5 10 … to beyond the recipe's)"),
    ] = ()
    """Updates in a lifetime to examine; the recipe's own are always among them."""
    episodes: int = 16
    """Lifetimes to differentiate at each; twice as many pairs of an evolution strategy live."""
    seed: int = 0
    """Decides episodes and directions, and a fresh θ."""
    json: FlagCreatePairsOff[bool] = False
    """Print the results as JSON on standard output, all else on standard error."""

    def run(self) -> int:
        """Do it."""
        at_least(2, episodes=self.episodes)
        if min(self.unrolls, default=1) < 1:
            raise BadInputError(
                f"--unrolls must hold numbers of updates of at least 1; "
                f"got {' '.join(map(str, self.unrolls))}."
            )
        check_seed(self.seed)
        recipe = RECIPES[self.target]() if self.target in RECIPES else _recipe_of(self.target)
        from hebbax.cli._jax import set_up_jax

        set_up_jax(runs=1)
        import jax

        key = jax.random.key(self.seed)
        with blame(f"RECIPE {recipe.name}", ("families",)):
            families = recipe.task_families()
            training = recipe.training(families)
        if self.target in RECIPES:
            theta, whose = training.rule.init(jax.random.fold_in(key, 1)), "a fresh θ"
        else:
            theta, whose = _theta(Path(self.target), recipe)
        place = console(stderr=self.json)
        hidden = " ".join(map(str, recipe.hidden)) or "none"
        hidden = hidden if recipe.network == "mlp" else f"{recipe.network} {hidden}"
        kinds = "1 task family" if len(families) == 1 else f"{len(families)} task families"
        say(
            place,
            f"{recipe.name}: {whose}; {kinds}, hidden layers {hidden}, "
            f"{recipe.unrolls} updates in a lifetime",
        )
        found = self._diagnose(recipe, theta, families, key)
        if self.json:
            print_json(
                {
                    "target": self.target,
                    "recipe": recipe.name,
                    "options": recipe.options(),
                    "theta": whose,
                    "seed": self.seed,
                    **dataclasses.asdict(found),
                }
            )
        else:
            say_diagnosis(place, found)
        return 0

    def _diagnose(self, recipe: Recipe, theta: Any, families: Any, key: Any) -> "Diagnosis":
        from hebbax._progress import Progress
        from hebbax.doctor import Sampling, series

        lengths = {*self.unrolls, recipe.unrolls} if self.unrolls else series(recipe.unrolls)
        done = []
        with Progress("examining", len(lengths), shown=True) as bar:
            bar.update(0, "compiling, up to a minute unless done before")

            def listen(measurement: "Measurement") -> None:
                done.append(measurement)
                bar.update(len(done), f"{measurement.unroll} updates")

            return recipe.diagnose(
                theta,
                families,
                unrolls=self.unrolls or None,
                sampling=Sampling(episodes=self.episodes, pairs=2 * self.episodes),
                key=key,
                listener=listen,
            )


def say_diagnosis(place: Any, found: "Diagnosis") -> None:
    """Print a diagnosis: a table, what its columns are, and the advice."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, _ in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for m in found.measurements:
        ratio = m.es_variance / m.variance if m.variance > 0 else math.nan
        own = "bold" if m.unroll == found.lifetime else ""
        table.add_row(
            f"{m.unroll}", _number(m.loss), _number(m.norm), _number(m.variance), _number(m.snr),
            f"{m.nonfinite:.0%}", _share(m.fd_cosine), _percent(m.fd_difference),
            _percent(m.fd_error), _share(m.es_cosine), _number(ratio),
            _share(m.truncation_cosine), style=own,
        )  # fmt: skip
    place.print(table)
    for name, meaning in COLUMNS:
        say(place, f"{name:>9}: {meaning}")
    sampling = found.sampling
    say(
        place,
        f"{sampling.episodes} episodes; ES: {sampling.pairs} antithetic pairs, standard deviation "
        f"{sampling.std:g}; θ holds {found.numbers:,} numbers; -: not measured, or not finite",
    )
    halves = found.at(found.lifetime).half_cosines
    if halves:
        say(
            place,
            f"cosine between the mean gradients of so many episodes and of as many others, at "
            f"{found.lifetime} updates: " + ", ".join(f"{n}: {_share(c)}" for n, c in halves),
        )
    say(place, "")
    say(place, found.advice.sentence)
    say(place, f"Because: {found.advice.decision}")
    for finding in found.advice.findings:
        say(place, f"  - {finding}")
    compiling = sum(m.compile_seconds for m in found.measurements)
    running = sum(m.seconds for m in found.measurements)
    say(place, f"compiled for {compiling:.1f} s, ran for {running:.1f} s")


def _recipe_of(name: str) -> Recipe:
    """Return the recipe that made a run, with its options. **Raises:** `BadInputError`."""
    folder = Path(name)
    if not folder.is_dir():
        near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.5)
        raise BadInputError(
            f"RUN|RECIPE must be a run's folder or one of {', '.join(RECIPES)}; got {name!r}."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    if not (folder / "config.json").is_file():
        raise BadInputError(
            f"RUN {name} is a folder without a run: it has no config.json, which 'hebbax train' "
            f"writes."
        )
    from hebbax.runs import read_config

    with blame(f"RUN {name}"):
        card = read_config(folder).get("card") or {}
    made_by = card.get("recipe")
    if not isinstance(made_by, str) or made_by not in RECIPES:
        raise BadInputError(
            f"RUN {name} was not made by a recipe ({', '.join(RECIPES)}), but by "
            f"{made_by or 'a program'}; call hebbax.diagnose in Python."
        )
    given = card.get("options")
    if not isinstance(given, dict):
        raise BadInputError(f"RUN {name} has a config.json whose card tells no options.")
    options: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    unknown = options.keys() - {field.name for field in dataclasses.fields(RECIPES[made_by])}
    if unknown:
        raise BadInputError(
            f"RUN {name} was made by another version of {made_by}, with the option "
            f"{sorted(unknown)[0]}, which there is no more."
        )
    with blame(f"RUN {name}"):
        return RECIPES[made_by](**options)


def _theta(folder: Path, recipe: Recipe) -> tuple[Any, str]:
    """Return the best θ of a run so far, and what it is. **Raises:** `BadInputError`."""
    import jax

    from hebbax._trees import from_arrays
    from hebbax.rule_file import read_rule_file
    from hebbax.runs import checkpoint

    skeleton = jax.eval_shape(recipe.rule().init, jax.random.key(0))

    def best(arrays: dict[str, Any]) -> Any:
        start = "best/"
        parts = {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
        return from_arrays(skeleton, parts)

    with blame(f"RUN {folder}"):
        found = checkpoint.load(folder, best)
        if found is not None:
            step, theta, about = found
            return theta, (
                f"the best θ in {folder}, of meta-step {about['best']['step']:,} "
                f"(checkpoint of step {step:,})"
            )
        file = folder / "rule.safetensors"
        if file.is_file():
            _, theta, card = read_rule_file(file)
            return theta, f"the θ of {file}, of meta-step {card.get('meta_steps', 0):,}"
    raise BadInputError(f"RUN {folder} holds no checkpoint yet; wait for its first.")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _share(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _percent(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.1%}" if value < 1 else f"{100 * value:.2g}%"
