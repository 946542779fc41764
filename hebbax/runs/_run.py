"""A run of the outer loop: where it is, how it moves on, what it writes."""

import dataclasses
import math
import time
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from hebbax._progress import Progress
from hebbax._trees import from_arrays, to_arrays
from hebbax.devices import DeviceGrid, gather
from hebbax.outer import Best, MetaTraining, Validator, Workers
from hebbax.outer.engines import AbstractEngine, Setup
from hebbax.rule_file import save_rule
from hebbax.runs import checkpoint
from hebbax.runs._callbacks import Callback
from hebbax.runs._metrics_log import finite_or_nan
from hebbax.runs._run_directory import RunDirectory
from hebbax.runs.checkpoint import CheckpointError

DIVERGED = 10
"""So many meta-steps in a row that are not finite are no accident any more."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What `meta_train` found.

    **Fields:**

    - `theta`: the meta-parameters with the lowest validation loss, of any run at any checkpoint.
    - `thetas`: those of all runs after the last step, with a leading axis.
    - `loss`, `run`, `step`: the validation loss of `theta`, and which run had it when.
    - `start_loss`: the lowest validation loss that any run had before its first meta-step, by the
      same measure; infinity if none was finite. A `loss` that is not below it is warned of.
    - `history`: the logged lines, as in `metrics.jsonl`.
    - `compile_seconds`, `seconds`: time to compile, and to run.
    """

    theta: PyTree
    thetas: PyTree
    loss: float
    run: int
    step: int
    start_loss: float
    history: tuple[dict[str, Any], ...]
    compile_seconds: float
    seconds: float


class Run:
    """The run that `meta_train` makes or goes on with: where it is, and how it moves."""

    def __init__(
        self,
        training: MetaTraining,
        workers: Workers | None,
        folder: RunDirectory | None,
        card: dict[str, Any],
    ):
        self.training, self.workers = training, workers
        self.folder, self.card = folder, card
        self.layout = training.layout() if workers is None else DeviceGrid()
        self.compile_seconds = 0.0
        self.step, self.stage = 0, 0
        self.history: list[dict[str, Any]] = []
        thetas = training.thetas()
        self.best = Best(jax.tree.map(lambda a: a[0], thetas))
        self.start_loss: float | None = None
        self.judged = [math.inf] * training.runs
        self.engine = self._engine(Setup(training, self.layout))
        self.validator: Validator | None = None
        self.state = self.engine.start(thetas, jax.random.fold_in(training.keys.init, 1))
        self.first = self.engine.thetas(self.state)
        if folder is not None:
            self._resume(folder)
            folder.note(card)
        self.good, self.good_step = self.state, self.step

    def _engine(self, setup: Setup) -> AbstractEngine[Any]:
        return (setup.training.method if self.workers is None else self.workers).engine(setup)

    def close(self) -> None:
        """Give back what the engine holds."""
        self.engine.close()

    def _resume(self, folder: RunDirectory) -> None:
        def restore(arrays: dict[str, np.ndarray]) -> tuple[Any, PyTree]:
            parts: dict[str, dict[str, np.ndarray]] = {"state": {}, "best": {}}
            for name, array in arrays.items():
                part, _, rest = name.partition("/")
                parts.setdefault(part, {})[rest] = array
            best = from_arrays(jax.eval_shape(lambda: self.best.theta), parts["best"])
            return self.engine.from_arrays(parts["state"], like=self.state), best

        found = checkpoint.load(folder.path, restore, folder.run)
        if found is None:
            folder.log.begin()
            return
        self.step, (self.state, theta), about = found
        self.stage = min(about.get("stage", 0), len(self.training.course.unrolls) - 1)
        self.best = Best(theta, **about["best"])
        self.start_loss = about.get("start_loss")
        if self.step > self.training.steps:
            raise CheckpointError(
                f"steps must be at least {self.step}, for so far is the run in {folder.path} "
                f"already; got {self.training.steps}. Ask for as many to have its result, for more "
                f"to go on, or give another directory."
            )
        if "log" in about:
            self.history, self.judged = folder.log.resume(about["log"]), about["judged"]
        else:
            # Older checkpoints held the history themselves.
            self.history = [*map(finite_or_nan, about["history"])]
            for line in self.history:
                self.judged = line.get("validation_loss", self.judged)
            folder.log.rewrite(self.history)
        # A process may have been killed between a checkpoint and the rule file.
        self._write_rule(folder)

    def keep(self) -> None:
        """Write a checkpoint, and the best rule so far."""
        if self.folder is None:
            return
        best = {name: getattr(self.best, name) for name in ("loss", "run", "step")}
        state = self.engine.to_arrays(self.state)
        if not self.folder.writes:
            return
        arrays = {f"state/{name}": array for name, array in state.items()}
        arrays |= {f"best/{name}": array for name, array in to_arrays(self.best.theta).items()}
        try:
            self.folder.log.write(self.history)
            about = {
                "log": self.folder.log.flush(),
                "judged": self.judged,
                "stage": self.stage,
                "best": best,
                "start_loss": self.start_loss,
            }
            checkpoint.save(self.folder.path, self.step, arrays, about, self.folder.run)
        except OSError as error:
            raise OSError(
                error.errno,
                f"the checkpoint of step {self.step} cannot be written ({error.strerror}); those "
                f"before it are whole: mend that, and the same call goes on from the last",
                str(self.folder.path),
            ) from error
        self._write_rule(self.folder)

    def _write_rule(self, folder: RunDirectory) -> None:
        if folder.writes and math.isfinite(self.best.loss):
            found = {"meta_steps": self.best.step, "validation_loss": self.best.loss}
            card = {**self.card, **found, "run": folder.run}
            save_rule(folder.path / "rule.safetensors", self.training.rule, self.best.theta, card)

    def go(self, callbacks: Sequence[Callback], progress: bool) -> Result:
        """Take meta-steps until there have been as many as the settings say."""
        steps = self.training.steps
        begin = time.perf_counter()
        try:
            with Progress("meta-training", steps, self.step, shown=progress) as bar:
                while self.step < steps:
                    self._enter_stage()
                    reached = self._turn()
                    lap = time.perf_counter()
                    state, metrics = self.engine.advance(self.state, self.step, reached - self.step)
                    line = self._line(reached, metrics, time.perf_counter() - lap)
                    end = reached == self.training.course.end(self.stage)
                    turn = end or reached % self.training.checkpoint_every == 0 or reached == steps
                    best, judged, good = self.best, self.judged, self.good
                    if turn:
                        synchronize = end and self.training.course.synchronize
                        state, best, judged = self._judge(state, reached, line, synchronize)
                        good = state
                    line = finite_or_nan(line)
                    # All at once, so that an interrupt finds the run before or after, not between.
                    self.state, self.step, self.best, self.judged, self.history, self.good = (
                        state, reached, best, judged, [*self.history, line], good,
                    )  # fmt: skip
                    if self.folder is not None:
                        self.folder.log.write(self.history)
                    for callback in callbacks:
                        callback.log(line)
                    if turn:
                        self.good_step = reached
                        self.keep()
                    bar.update(reached, _headline(metrics))
        except KeyboardInterrupt:
            self.keep()
            raise
        self._check_found()
        return Result(
            theta=self.best.theta,
            thetas=jax.tree.map(jnp.asarray, gather(self.engine.thetas(self.state))),
            loss=self.best.loss,
            run=self.best.run,
            step=self.best.step,
            start_loss=math.inf if self.start_loss is None else self.start_loss,
            history=tuple(self.history),
            compile_seconds=self.compile_seconds,
            seconds=time.perf_counter() - begin - self.compile_seconds,
        )

    def _enter_stage(self) -> None:
        """Compile for the stage that this step belongs to, and judge the best θ by its measure."""
        course = self.training.course
        stage = course.stage(self.step)
        if self.validator is not None and stage == self.stage:
            return
        begin = time.perf_counter()
        setup = Setup(self.training, self.layout, stage)
        if course.unrolls[stage] != course.unrolls[self.engine.setup.stage]:
            self.engine.close()
            self.engine = self._engine(setup)
        self.engine.compile(self.state)
        self.validator = Validator(setup)
        self.validator.compile(self.engine.thetas(self.state))
        if stage != self.stage or self.start_loss is None:
            losses = self.validator(self.first)
            self.start_loss = float(np.min(losses, where=np.isfinite(losses), initial=math.inf))
        if stage != self.stage and math.isfinite(self.best.loss):
            self.best = dataclasses.replace(self.best, loss=self.validator.of(self.best.theta))
        self.stage = stage
        self.compile_seconds += time.perf_counter() - begin

    def _check_found(self) -> None:
        """Say it if the run has found nothing, or nothing better than it had.

        **Raises:** `RuntimeError` if no θ that it found has a finite validation loss.
        """
        start = math.inf if self.start_loss is None else self.start_loss
        change = (
            "lower the learning rate (or CMAES's std), clip the gradient, make lifetimes or "
            "truncations shorter, or start from another theta or key"
        )
        if not math.isfinite(self.best.loss):
            began = f"{start:.4g}" if math.isfinite(start) else "not finite either"
            raise RuntimeError(
                f"the run has found no θ with a finite validation loss in {self.step:,} meta-steps "
                f"(before the first it was {began}); {change}."
            )
        if self.best.loss >= start:
            warnings.warn(
                f"the run of {self.step:,} meta-steps has found nothing better than its start, "
                f"whose validation loss was {start:.6g}; the lowest at a checkpoint is "
                f"{self.best.loss:.6g}, of step {self.best.step:,}: train longer, or {change}.",
                RuntimeWarning,
                stacklevel=4,
            )

    def _turn(self) -> int:
        """Return the next step at which something is to be done."""
        end = self.training.course.end(self.stage)
        every = self.training.log_every, self.training.checkpoint_every
        turns = [self.step + each - self.step % each for each in every]
        return min(self.training.steps, *turns, *(() if end is None else (end,)))

    def _line(self, reached: int, metrics: dict[str, Any], seconds: float) -> dict[str, Any]:
        rate = (reached - self.step) / seconds
        return {
            "step": reached,
            **metrics,
            "step_seconds": round(1 / rate, 6),
            "meta_steps_per_s": round(rate, 2),
            "inner_updates_per_s": round(rate * self.engine.updates_per_step(), 1),
        }

    def _judge(
        self, state: Any, reached: int, line: dict[str, Any], synchronize: bool
    ) -> tuple[Any, Best, list[float]]:
        """Validate, send back what diverged, and at a stage's end copy the best run."""
        assert self.validator is not None
        losses = self.validator(self.engine.thetas(state))
        line["validation_loss"] = losses.tolist()
        best = self.best.after(self.engine.thetas(state), losses, reached)
        length, since = self.engine.streaks(state)
        patience = min(DIVERGED, reached - self.good_step)
        lost = [
            length[run] >= patience
            or (math.isfinite(self.judged[run] or math.nan) and not math.isfinite(losses[run]))
            for run in range(self.training.runs)
        ]
        judged = [
            before if gone else float(now)
            for before, now, gone in zip(self.judged, losses, lost, strict=True)
        ]
        if any(lost):
            state = self.engine.replace_runs(
                state, self.good, [run if gone else None for run, gone in enumerate(lost)]
            )
            line["diverged"] = [
                self._divergence(run, int(since[run]) if length[run] else reached - 1)
                for run, gone in enumerate(lost)
                if gone
            ]
        if synchronize:
            finite = np.where(np.isfinite(judged), judged, np.inf)
            chosen = int(np.argmin(finite))
            line["synchronized_on"] = chosen
            state = self.engine.replace_runs(state, state, [chosen] * self.training.runs)
            judged = [judged[chosen]] * self.training.runs
        return state, best, judged

    def _divergence(self, run: int, step: int) -> dict[str, Any]:
        setup = self.engine.setup
        key = setup.step_key(setup.key, step)
        key = jax.random.key_data(key[run] if self.training.per_run else key).tolist()
        warnings.warn(
            f"run {run + 1} of {self.training.runs} diverged at step {step} (key {key}) and goes "
            f"back to where it was at step {self.good_step}.",
            RuntimeWarning,
            stacklevel=2,
        )
        return {"run": run, "step": step, "key": key, "back_to": self.good_step}


def _headline(metrics: dict[str, Any]) -> str:
    best = min(range(len(metrics["loss"])), key=lambda run: _or_infinity(metrics["loss"][run]))
    return " ".join(
        f"{name} {metrics[name][best]:.3f}" for name in ("loss", "accuracy") if name in metrics
    )


def _or_infinity(value: float) -> float:
    return value if math.isfinite(value) else math.inf
