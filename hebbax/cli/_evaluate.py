"""`hebbax evaluate RULE --task TASK`."""

import dataclasses
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from hebbax.cli._command import Command
from hebbax.cli._console import console, print_json, say
from hebbax.cli._errors import BadInputError, at_least, blame, check_name, check_seed, check_sizes
from hebbax.cli._warned import heard, warn

if TYPE_CHECKING:
    from hebbax.inner import Curves
    from hebbax.networks import Architecture
    from hebbax.rules import AbstractRule, Sizes

OPTIMIZERS = {
    "sgd": "SGD",
    "momentum": "momentum",
    "adam": "Adam",
    "nadamw": "NAdamW",
    "muon": "Muon",
}
NORMALIZED, UNTRAINED = "-normalized", "untrained"
"""Of `hebbax.inner.opponents`, which would take its time to import."""
POINTS = (1, 2, 5)
STEPS, BATCH = 50, 128
HIDDEN = (64,)
ENDED = 1
"""The exit status where a rule's numbers ended before its lifetime did."""
CHUNK, WINDOW = 32, 500.0
"""The defaults of `hebbax.evaluate_stream`, which would take its time to import."""


@dataclasses.dataclass(frozen=True)
class Evaluate(Command):
    """Train networks with a rule, beside tuned optimisers that have what it has, and judge them."""

    rule: Annotated[Positional[str], tyro.conf.arg(metavar="RULE")]
    """A shipped rule (see `hebbax rules`), a rule file, or a run directory."""
    task: Annotated[str | None, tyro.conf.arg(metavar="TASK")] = None
    """A data set such as mnist (see `hebbax data list`), a toy function such as xor, or sinusoids,
    whose targets are real numbers."""
    rule_class: str | None = None
    """Where the file holds a rule that is not of hebbax: MODULE:CLASS, which is imported."""
    stream: Annotated[str | None, tyro.conf.arg(metavar="STREAM")] = None
    """In place of a task: a stream such as elec2, or a .npz or .csv file with rows in the order of
    time; each --chunk of them is predicted before it is learnt from."""
    chunk: int = CHUNK
    """With --stream, rows in each update."""
    window: float = WINDOW
    """With --stream, rows after which the statistics that standardise inputs have forgotten."""
    raw: FlagCreatePairsOff[bool] = False
    """With --stream, leave inputs as they are."""
    figure: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """With --stream, where to draw accuracy over time, a .png, .pdf or .svg file."""
    size: int | None = None
    """Resize images to this many pixels a side; as they are by default."""
    crop: int | None = None
    """Keep this many pixels a side in the middle of images; all by default."""
    network: Literal["mlp", "cnn", "resnet"] | None = None
    """Fully connected, convolutional or residual; by default as the rule was meta-trained."""
    hidden: tuple[int, ...] | None = None
    """Units of the hidden layers; by default those that the rule was meta-trained with, as its card
    says, or 64 where it says nothing. None at all after --hidden: no hidden layers. Of a cnn or
    resnet, the channels; none for 16 and 32."""
    steps: int = STEPS
    """Updates."""
    batch: int = BATCH
    """Examples in each update."""
    online: FlagCreatePairsOff[bool] = False
    """Let examples of the test set come one by one, each predicted before it is learnt from; steps
    are examples then, and accuracies the shares that were right so far."""
    seeds: int = 8
    """Networks, each with its own synapses and batches."""
    seed: int = 0
    """Decides every random number."""
    baselines: bool = True
    """Whether to run its opponents too: tuned SGD, momentum, Adam, NAdamW and Muon, the same with
    the rule's batch normalisation, and the rule as it was before meta-training."""
    json: FlagCreatePairsOff[bool] = False
    """Print the results as JSON on standard output, all else on standard error."""

    def run(self) -> int:
        """Do it."""
        if self.stream is not None:
            from hebbax.cli._evaluate_stream import evaluate_on_stream

            return evaluate_on_stream(self)
        if self.task is None:
            raise BadInputError("--task or --stream is missing: on what is RULE to be judged?")
        of_streams = {"chunk": CHUNK, "window": WINDOW, "raw": False, "figure": None}
        for name, default in of_streams.items():
            if getattr(self, name) != default:
                given = "" if name == "raw" else f" {getattr(self, name)}"
                raise BadInputError(f"--{name}{given} is for --stream, which is missing.")
        at_least(1, size=self.size, crop=self.crop)
        at_least(1, steps=self.steps, batch=self.batch, seeds=self.seeds)
        check_seed(self.seed)
        check_sizes(self.hidden or ())
        if self.online and self.batch != BATCH:
            raise BadInputError(
                f"--batch is {self.batch}, but with --online examples come one by one."
            )
        from hebbax._compile_clock import CompileClock
        from hebbax.cli._jax import set_up_jax

        set_up_jax(runs=1)
        import jax

        from hebbax import tasks
        from hebbax.cli._rule import find_rule
        from hebbax.networks import between, named

        check_name("--task", self.task, tasks.names())
        found = find_rule(self.rule, self.rule_class)
        hidden = self.layers(found.card)
        if self.online:
            self.check_rule(found.rule, 1, "--online")
        else:
            self.check_rule(found.rule, self.batch, f"--batch {self.batch}")
        with blame(f"--task {self.task}", ("size", "crop")):
            family = tasks.by_name(self.task, size=self.size, crop=self.crop)
        if self.online and family.goal.metric != "accuracy":
            raise BadInputError(
                f"--online judges classes only; --task {self.task} is measured by its "
                f"{_words(family.goal.metric)}."
            )
        network = self._network(found.card)
        kind = "" if network == "mlp" else f"--network {network} "
        with blame(f"{kind}--hidden {' '.join(map(str, hidden))}".rstrip()):
            # Some rules fit some depths only; a shape is enough to find out.
            key = jax.random.key(self.seed)
            architecture = named(network, hidden)
            sizes = between(architecture, family.inputs, family.outputs, family.image)
            jax.eval_shape(lambda k: found.rule.init_network(found.theta, k, sizes), key)

        if self.online and self.steps > len(family.draw(key).test_set()[0]):
            raise BadInputError(
                f"--steps must be at most {len(family.draw(key).test_set()[0])}, the examples of "
                f"the test set, with --online; got {self.steps}."
            )
        self.check_length(found.card, self.steps)
        points = judged(self.steps)
        begin = time.perf_counter()
        with CompileClock() as clock, heard() as ends:
            curves, rates = self._compare(found, family, architecture, points, key)
        seconds = {"compile": clock.seconds, "run": time.perf_counter() - begin - clock.seconds}
        if self.json:
            print_json({**self._as_json(sizes, points, curves, rates, seconds), "warnings": ends})
        else:
            self._print(sizes, points, curves, rates, seconds)
        for sentence in ends:
            warn(f"{self.rule}: {sentence}")
        return ENDED if ends else 0

    @staticmethod
    def of_tasks() -> dict[str, Any]:
        """Return the options that are for tasks only and have a default, with that."""
        return {"steps": STEPS, "batch": BATCH, "online": False}

    def check_rule(self, rule: "AbstractRule", rows: int, given: str) -> None:
        """Refuse a rule that has no accuracy, or updates of fewer `rows` than it learns from.

        `given`: the option that says how many rows there are.

        **Raises:** `BadInputError`.
        """
        if not rule.learns_from_labels:
            raise BadInputError(
                f"RULE {self.rule} makes features from unlabelled examples, so that its networks "
                f"have no accuracy; hx.PlasticFeatures puts it to work."
            )
        if rows < rule.least_batch:
            raise BadInputError(
                f"RULE {self.rule} learns nothing from fewer than {rule.least_batch} examples at "
                f"once; got {given}."
            )

    def check_length(self, card: dict[str, Any], updates: int) -> None:
        """Say so if there are more updates than the rule's card tells of."""
        from hebbax._card import measured_updates

        longest = measured_updates(card)
        if longest is not None and updates > longest:
            warn(
                f"{updates:,} updates: {self.rule} was trained and measured with no more than "
                f"{longest:,}"
            )

    def layers(self, card: dict[str, Any]) -> tuple[int, ...]:
        """Return the units of the hidden layers; say so if they are more than the card knows."""
        from hebbax._card import measured_depth, trained_hidden

        trained = trained_hidden(card)
        hidden = self.hidden
        network = self._network(card)
        if network != _trained_network(card) and hidden is None:
            return HIDDEN if network == "mlp" else ()
        if hidden is None:
            hidden = HIDDEN if trained is None else trained
        deepest = measured_depth(card)
        if deepest is not None and len(hidden) > deepest:
            what = f"no more than {deepest}" if deepest else "no"
            warn(
                f"--hidden {' '.join(map(str, hidden))}: {self.rule} was trained and measured with "
                f"{what} hidden layer{'' if deepest == 1 else 's'}"
            )
        return hidden

    def _network(self, card: dict[str, Any]) -> str:
        return self.network or _trained_network(card)

    def _compare(
        self,
        found: Any,
        family: Any,
        hidden: "Architecture",
        points: tuple[int, ...],
        key: Any,
    ) -> tuple[dict[str, "Curves"], dict[str, list[float]]]:
        """Return the curves of every learner, and the rates of those that have one."""
        from hebbax._progress import Progress
        from hebbax.inner import evaluate, opponents

        settings: dict[str, Any] = {
            "hidden": hidden,
            "steps": self.steps,
            "seeds": self.seeds,
            "key": key,
        }
        if self.online:
            evaluate, against = _online(points)
        else:
            settings |= {"batch": self.batch, "at": points}
            against = opponents(found.rule, OPTIMIZERS)
        if not self.baselines:
            against = ()
        # Counted in evaluations, of which an opponent takes one for each step size.
        total = 1 + sum(other.candidates for other in against)
        rates: dict[str, list[float]] = {}
        with Progress("evaluating", total, shown=True) as bar:
            bar.update(0, "the rule")
            curves = {"rule": evaluate(found.rule, found.theta, family, **settings)}
            done = 1
            for other in against:
                bar.update(done, _title(other.name))
                curves[other.name], chosen = other.best(family, **settings)
                rates[other.name] = chosen.tolist()
                done += other.candidates
            bar.update(done)
        return curves, rates

    def _as_json(
        self,
        sizes: "Sizes",
        points: tuple[int, ...],
        curves: dict[str, "Curves"],
        rates: dict[str, list[float]],
        seconds: dict[str, float],
    ) -> dict[str, Any]:
        import numpy as np

        learners = {
            name: {
                f"{curve.metric}_mean": np.where(curve.finite, curve.score.mean(axis=0), np.nan),
                f"{curve.metric}_std": np.where(curve.finite, curve.score.std(axis=0), np.nan),
                curve.metric: np.where(np.isfinite(curve.loss), curve.score, np.nan),
                **({} if self.online else {"loss_mean": curve.loss.mean(axis=0)}),
                **({"learning_rate": rates[name]} if name in rates else {}),
            }
            for name, curve in curves.items()
        }
        return {
            "rule": self.rule,
            "task": self.task,
            "sizes": getattr(sizes, "shapes", sizes),
            **({} if self.online else {"batch": self.batch}),
            "seeds": self.seeds,
            "seed": self.seed,
            "metric": curves["rule"].metric,
            "higher_is_better": curves["rule"].higher_is_better,
            "examples" if self.online else "updates": points,
            "learners": learners,
            "seconds": seconds,
        }

    def _print(
        self,
        sizes: "Sizes",
        points: tuple[int, ...],
        curves: dict[str, "Curves"],
        rates: dict[str, list[float]],
        seconds: dict[str, float],
    ) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        from hebbax.networks import label

        place = console()
        say(place, f"{self.rule} on {self.task}: networks {label(sizes)}")
        what = (
            "share that was right of the first examples, each predicted before it was learnt from"
            if self.online
            else f"test {_words(curves['rule'].metric)} after updates of {self.batch} examples"
        )
        say(place, f"{what}, mean ± deviation of {self.seeds} networks")
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("after examples" if self.online else "after updates")
        for point in points:
            table.add_column(f"{point:,}", justify="right")
        for name, curve in curves.items():
            cells = [Text(_cell(curve, index)) for index in range(len(points))]
            if name in rates:
                for cell, rate in zip(cells, rates[name], strict=True):
                    cell.append(f"\n{rate:.2g}", style="dim")
            table.add_row(_title(name), *cells)
        place.print(table)
        if rates:
            say(place, "small: the best step size, chosen with hindsight at each column")
        if any(name.endswith(NORMALIZED) for name in rates):
            say(place, "normalised: on networks with the batch normalisation that the rule has")
        if UNTRAINED in rates:
            say(place, "not meta-trained: the rule as it was before, at its best step size")
        say(place, f"compiled in {seconds['compile']:.1f} s, ran for {seconds['run']:.1f} s")


def _online(points: tuple[int, ...]) -> tuple[Any, Any]:
    """Return what takes the place of `evaluate`, and the opponents."""
    import numpy as np

    from hebbax.inner import RATES, Curves, Opponent, best_online_backprop, evaluate_online

    index = np.asarray(points) - 1

    def curves(cumulative: np.ndarray) -> Curves:
        accuracy = cumulative[:, index]
        # Nobody asks for the loss; what is not finite counts as wrong.
        return Curves(np.asarray(points), accuracy, np.zeros_like(accuracy))

    def evaluate(*arguments: Any, **settings: Any) -> Curves:
        return curves(evaluate_online(*arguments, **settings).cumulative)

    def best(*arguments: Any, **settings: Any) -> tuple[Curves, np.ndarray]:
        cumulative, chosen = best_online_backprop(*arguments, **settings)
        return curves(cumulative), chosen[index]

    against = [Opponent(name, len(RATES[name]), partial(best, name)) for name in OPTIMIZERS]
    return evaluate, against


def judged(steps: int) -> tuple[int, ...]:
    """Return the numbers of updates that are reported: 1, 2, 5, 10, … and the last."""
    points = {steps}
    scale = 1
    while scale <= steps:
        points.update(scale * point for point in POINTS if scale * point <= steps)
        scale *= 10
    return tuple(sorted(points))


def _title(name: str) -> str:
    """Return what a learner is called in the table."""
    optimizer = name.removesuffix(NORMALIZED)
    ending = ", normalised" if optimizer != name else ""
    others = {"rule": "the rule", UNTRAINED: "not meta-trained"}
    return {**others, **OPTIMIZERS}.get(optimizer, optimizer) + ending


def _cell(curve: "Curves", index: int) -> str:
    if not curve.finite[index]:
        return "overflow"
    score = curve.score[:, index]
    return f"{_short(float(score.mean()))}±{_short(float(score.std()))}"


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _short(share: float) -> str:
    text = f"{share:.3f}"
    return text[1:] if text.startswith("0.") else text


def _trained_network(card: dict[str, Any]) -> str:
    """Return the kind of network that a rule was meta-trained with, as its card says."""
    from hebbax._card import as_card
    from hebbax.networks import NAMES

    kind = as_card(card.get("options")).get("network")
    return kind if kind in NAMES else "mlp"
