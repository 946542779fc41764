"""The quickstart: meta-learn a genome, and see it train networks on tasks it never saw."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hebbax import plots, tasks
from hebbax._compile_clock import CompileClock
from hebbax._errors import check_choice
from hebbax._files import write_whole
from hebbax._progress import Progress
from hebbax._version import __version__
from hebbax.inner import RATES, Curves, best_backprop, evaluate
from hebbax.outer.methods import Gradient
from hebbax.outer.objectives import OnlineCrossEntropy
from hebbax.recipes import QUICKSTART_RULE
from hebbax.rule_file import save_rule
from hebbax.rules import Blur
from hebbax.runs import Result, meta_train
from hebbax.tasks import AbstractFamily

HIDDEN = (20,)
BATCH, UPDATES = 128, 20
TEST_ROWS = 2048
"""Rows of a test set that are judged at once: all of every set here."""
POINTS = (5, 10, 20)
"""Numbers of updates in the table."""
LOOKS = (0, 1, 2, 5, 10, 20)
"""Numbers of updates in the picture of decision regions."""
OPTIMIZERS = {"SGD": "sgd", "Adam": "adam"}
GENOME = "genome"

# The genome starts as backpropagation (BLUR eq. 4), and a little noise tells the runs apart. The
# outputs are left as they are: normalised, they would have one mean over the batch, which is wrong
# where classes are not equally frequent.
RULE = Blur(states=2, **QUICKSTART_RULE)
LEARNING_RATE = 2e-2


@dataclasses.dataclass(frozen=True)
class Budget:
    """How much work a quickstart is.

    **Fields:**

    - `steps`, `runs`: meta-steps, and genomes side by side, of which the best is kept.
    - `checkpoint_every`: meta-steps between checkpoints.
    - `learn`: toy functions to meta-train on.
    - `digits`: whether to meta-train on the digits too, which takes a compilation of its own.
    - `held_out`: tasks of the table.
    - `drawn`: those of the picture of decision regions.
    - `seeds`: networks a task.
    - `rates`: learning rates of each baseline, over four orders of magnitude.
    """

    steps: int
    runs: int
    checkpoint_every: int
    learn: tuple[str, ...]
    digits: bool
    held_out: tuple[str, ...]
    drawn: tuple[str, ...]
    seeds: int
    rates: int


BUDGETS = {
    "full": Budget(
        steps=1500,
        runs=2,
        checkpoint_every=250,
        learn=("xor", "and", "circle", "random_xor", "random_circle"),
        digits=True,
        held_out=(
            "xor",
            "nxor",
            "or",
            "two_moons",
            "squares",
            "triangle",
            "wine",
            "breast_cancer",
        ),
        drawn=("nxor", "two_moons", "triangle"),
        seeds=8,
        rates=13,
    ),
    "smoke": Budget(
        steps=20,
        runs=2,
        checkpoint_every=20,
        learn=("xor",),
        digits=False,
        held_out=("nxor",),
        drawn=("nxor",),
        seeds=2,
        rates=3,
    ),
}


def run(budget: str, out: Path, seed: int, console: Console) -> dict[str, Any]:
    """Meta-train in `out`, or go on with what it holds; meta-test; print and draw the results.

    **Arguments:**

    - `budget`: `full` or `smoke`.
    - `out`: the run's folder; gets `rule.safetensors` and `figures/` too.
    - `seed`: decides every random number.
    - `console`: where the results are said.

    **Returns:** the rows of the table, seconds and paths, as JSON can hold them.

    **Raises:** `ValueError` for an unknown budget; `CheckpointError` if `out` holds another run;
    `OSError` if it cannot be written; `KeyboardInterrupt` after a checkpoint is written.
    """
    check_choice("budget", budget, BUDGETS)
    plan = BUDGETS[budget]
    begin = time.perf_counter()
    k_train, k_test, k_draw = jax.random.split(jax.random.key(seed), 3)
    with CompileClock() as clock:
        console.print(
            f"Meta-training {plan.runs} genomes on {', '.join(f.name for f in _families(plan))}: "
            f"networks with {HIDDEN[0]} hidden units, lifetimes of {UPDATES} updates of {BATCH}.",
            soft_wrap=True,
        )
        result = _meta_train(plan, out, k_train)
        meta_trained = time.perf_counter() - begin
        curves = _meta_test(plan, result, k_test)
        rows = _rows(curves, plan)
        file = out / "rule.safetensors"
        save_rule(file, RULE, result.theta, _card(plan, seed, result, rows))
        figures = _draw(plan, result, curves, out / "figures", k_draw)
    total = time.perf_counter() - begin
    results = {
        "budget": budget,
        "seed": seed,
        "rows": rows,
        "seconds": {
            "total": total,
            "compile": clock.seconds,
            "compiling": clock.phases,
            "run": total - clock.seconds,
            "meta_training": meta_trained,
            "meta_testing": total - meta_trained,
        },
        "rule": str(file),
        "figures": [str(path) for path in figures],
    }
    _say(console, plan, results)
    return results


def _families(plan: Budget) -> tuple[AbstractFamily, ...]:
    toys = tuple(map(tasks.toy, plan.learn))
    return (*toys, tasks.digits()) if plan.digits else toys


def _meta_train(plan: Budget, out: Path, key: jax.Array) -> Result:
    rate = optax.cosine_decay_schedule(LEARNING_RATE, plan.steps, alpha=0.02)
    return meta_train(
        RULE,
        _families(plan),
        OnlineCrossEntropy(steps=UPDATES, batch=BATCH, query=256),
        Gradient(optax.adam(rate), clip=1.0),
        hidden=HIDDEN,
        steps=plan.steps,
        key=key,
        # A smoke test must not stand in the way of the real run in the same folder.
        directory=out if plan is BUDGETS["full"] else out / "smoke",
        runs=plan.runs,
        validation=8,
        log_every=min(25, plan.checkpoint_every),
        checkpoint_every=plan.checkpoint_every,
        progress=True,
    )


def _meta_test(plan: Budget, result: Result, key: jax.Array) -> dict[str, dict[str, Curves]]:
    """Return the curves of every learner on every task; they meet the same batches."""
    settings: dict[str, Any] = {
        "hidden": HIDDEN,
        "steps": UPDATES,
        "batch": BATCH,
        "seeds": plan.seeds,
        "key": key,
        "test_batch": TEST_ROWS,
    }

    def baseline(optimizer: str) -> Callable[[AbstractFamily], Curves]:
        few = RATES[optimizer][:: (len(RATES[optimizer]) - 1) // (plan.rates - 1)]
        return lambda family: best_backprop(optimizer, family, rates=few, **settings)[0]

    learners = {
        GENOME: lambda family: evaluate(RULE, result.theta, family, **settings),
        **{name: baseline(optimizer) for name, optimizer in OPTIMIZERS.items()},
    }
    curves: dict[str, dict[str, Curves]] = {}
    with Progress("meta-testing", len(plan.held_out) * len(learners), shown=True) as bar:
        done = 0
        for task in plan.held_out:
            curves[task] = {}
            for name, learn in learners.items():
                bar.update(done, f"{name} on {task}")
                curves[task][name] = learn(tasks.by_name(task))
                done += 1
        bar.update(done)
    return curves


def _rows(curves: dict[str, dict[str, Curves]], plan: Budget) -> list[dict[str, Any]]:
    rows = []
    for task, learners in curves.items():
        accuracy = {
            name: {
                str(point): {
                    "mean": float(np.mean(curve.after(point))),
                    "std": float(np.std(curve.after(point))),
                }
                for point in POINTS
            }
            for name, curve in learners.items()
        }
        rows.append({"task": task, "seen": task in plan.learn, "accuracy": accuracy})
    return rows


def _card(plan: Budget, seed: int, result: Result, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "title": "BLUR, meta-trained by the quickstart on toy functions and digits",
        "recipe": "quickstart",
        "families": [family.name for family in _families(plan)],
        "options": {
            "hidden": list(HIDDEN),
            "unrolls": UPDATES,
            "batch": BATCH,
            "runs": plan.runs,
            "steps": plan.steps,
            "seed": seed,
        },
        "meta_steps": result.step,
        "validation_loss": result.loss,
        "accuracy": {row["task"]: row["accuracy"][GENOME] for row in rows},
        "hebbax": __version__,
        "jax": jax.__version__,
    }


def _draw(
    plan: Budget,
    result: Result,
    curves: dict[str, dict[str, Curves]],
    folder: Path,
    key: jax.Array,
) -> list[Path]:
    names = {
        GENOME: GENOME,
        **{name: f"{name}, best learning rate at each point" for name in OPTIMIZERS},
    }
    figures = {
        "learning_curves.png": plots.learning_curves(
            {
                _title(task, plan): {names[name]: curve for name, curve in learners.items()}
                for task, learners in curves.items()
            },
            title="A genome found in minutes, beside tuned backpropagation",
        ),
        "decision_regions.png": plots.decision_regions(
            RULE,
            result.theta,
            [tasks.toy(name) for name in plan.drawn],
            hidden=HIDDEN,
            updates=LOOKS,
            batch=BATCH,
            key=key,
            title="What networks learn with the genome",
        ),
    }
    for name, figure in figures.items():
        write_whole(folder / name, lambda p, f=figure: f.savefig(p, format="png", dpi=150))
    return [folder / name for name in figures]


def _title(task: str, plan: Budget) -> str:
    return task.replace("_", " ") + (" (meta-trained on)" if task in plan.learn else "")


def _say(console: Console, plan: Budget, results: dict[str, Any]) -> None:
    console.print(
        f"\nTest accuracy after {', '.join(map(str, POINTS[:-1]))} and {POINTS[-1]} updates of "
        f"{BATCH} examples, mean of {plan.seeds} networks, each from fresh random synapses:",
        soft_wrap=True,
    )
    console.print(_table(results["rows"]))
    for line in (
        "* meta-trained on, with other synapses; the others are new to the genome (nxor is xor",
        "with its classes exchanged)",
        "SGD and Adam have the best learning rate of four orders of magnitude, chosen on the test",
        "set for each task and each number of updates apart, which favours them; the genome has no",
        "knob. Bold is best.",
        "",
        f"rule file  {results['rule']}",
        *(f"picture    {path}" for path in results["figures"]),
        "{total:.0f} s in all, of which {compile:.0f} s compiling".format(**results["seconds"]),
        "",
        "What next:",
        f"  hebbax show {results['rule']}",
        f"  hebbax evaluate {results['rule']} --task iris --hidden 20 --steps 20",
    ):
        console.print(line, soft_wrap=True)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("task")
    learners = list(rows[0]["accuracy"])
    for name in learners:
        for point in POINTS:
            table.add_column(f"{name}\n{point}" if point == POINTS[0] else f"\n{point}")
    for row in rows:
        cells: list[str | Text] = []
        best = {
            point: max(row["accuracy"][name][str(point)]["mean"] for name in learners)
            for point in POINTS
        }
        for name in learners:
            for point in POINTS:
                mean = row["accuracy"][name][str(point)]["mean"]
                text = f"{mean:.2f}"
                # No markup: the command line's console prints text as it is.
                cells.append(_bold(text) if mean == best[point] else text)
        table.add_row(row["task"] + ("*" if row["seen"] else ""), *cells)
    return table


def _bold(text: str) -> Text:
    return Text(text, style="bold")
