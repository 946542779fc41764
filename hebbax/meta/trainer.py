"""`meta_train`: the outer loop."""

import contextlib
import dataclasses
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from hebbax._progress import Progress
from hebbax._trees import from_arrays, to_arrays
from hebbax.meta import checkpoint
from hebbax.meta.callbacks import Callback
from hebbax.meta.checkpoint import CheckpointError
from hebbax.meta.configuration import configuration
from hebbax.meta.curriculum import Curriculum
from hebbax.meta.engines import AbstractEngine, Setup, engine_for
from hebbax.meta.methods import AbstractMethod
from hebbax.meta.objectives import Objective
from hebbax.meta.run_directory import RunDirectory
from hebbax.meta.validation import Best, Validator
from hebbax.rule_file import check_writable, known, save_rule
from hebbax.rules import AbstractRule
from hebbax.scale.sharding import Layout, gather, is_first_process
from hebbax.tasks import AbstractFamily

DIVERGED = 10
"""So many meta-steps in a row that are not finite are no accident any more."""


@runtime_checkable
class Workers(Protocol):
    """What `meta_train(workers=...)` asks of those who compute in its place."""

    def engine(self, setup: Setup) -> AbstractEngine[Any]:
        """Return the engine that carries out a setup's meta-steps."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return what of their settings decides results, as JSON has it."""
        ...


@dataclasses.dataclass(frozen=True)
class Result:
    """What `meta_train` found.

    **Fields:**

    - `theta`: the meta-parameters with the lowest validation loss, of any run at any checkpoint.
    - `thetas`: those of all runs after the last step, with a leading axis.
    - `loss`, `run`, `step`: the validation loss of `theta`, and which run had it when.
    - `history`: the logged lines, as in `metrics.jsonl`.
    - `compile_seconds`, `seconds`: time to compile, and to run.
    """

    theta: PyTree
    thetas: PyTree
    loss: float
    run: int
    step: int
    history: tuple[dict[str, Any], ...]
    compile_seconds: float
    seconds: float


def meta_train(
    rule: AbstractRule,
    family: AbstractFamily | Sequence[AbstractFamily],
    objective: Objective | Curriculum,
    method: AbstractMethod,
    *,
    hidden: Sequence[int] = (),
    steps: int,
    key: PRNGKeyArray,
    directory: str | Path | None = None,
    theta: PyTree = None,
    runs: int = 1,
    tasks: int = 1,
    validation: int = 16,
    log_every: int = 50,
    checkpoint_every: int = 500,
    workers: Workers | None = None,
    callbacks: Sequence[Callback] = (),
    card: dict[str, Any] | None = None,
    progress: bool = False,
) -> Result:
    """Find meta-parameters θ that make `rule` learn the tasks of `family`.

    All devices that JAX sees share the work, as far as they divide the runs and the tasks,
    particles or population of each; the result does not depend on their number but for rounding.
    In a program of several processes (`jax.distributed`) all call this with the same arguments
    and a directory that all can read; the first writes.

    **Arguments:**

    - `family`: a task family, or several, all of which are sampled at every meta-step.
    - `objective`: what a lifetime was worth, see `hebbax.objectives`; or a `Curriculum` of it.
    - `method`: how θ is changed, see `hebbax.methods`.
    - `hidden`: units of the hidden layers of the networks that are trained.
    - `steps`: meta-steps. A run that is over goes on if it is called again with more; it ends as
      if it had been called with so many at once where its first end was a checkpoint's turn.
    - `key`: decides every random number, together with the other arguments.
    - `directory`: where metrics, checkpoints and the best rule are written; if it holds a run
      with the same settings, that one is gone on with and ends with the same θ as if it had
      never stopped. A rule of a family that `save_rule` does not know leaves checkpoints but
      no rule file. None writes nothing.
    - `theta`: meta-parameters to start every run from, instead of `rule.init`.
    - `runs`: genomes trained side by side from different initial θ on the same episodes, split
      over the devices if they divide them; the best is kept.
    - `tasks`: tasks sampled of each family at every meta-step.
    - `validation`: tasks of each family that decide which θ is the best, at every checkpoint.
    - `log_every`, `checkpoint_every`: meta-steps between logged lines and between checkpoints.
    - `workers`: others who compute in this process's place, such as `hebbax.scale.ray.Ray`.
    - `callbacks`: who else is told of every logged line, see `hebbax.Callback`.
    - `card`: goes into the rule file.
    - `progress`: show a progress bar.

    Every logged line holds, for each run: `loss` and the objective's metrics, `gradient_norm`,
    `nonfinite` and `clipped` (the shares of meta-steps that were), means over the steps since the
    last line; and `step_seconds`, `meta_steps_per_s`, `inner_updates_per_s`.

    A meta-step that is not finite changes nothing. A run that had ten or more in a row at a
    checkpoint's turn, or lost a finite validation loss, has diverged: it goes back to where it
    was at the checkpoint before, and a warning and the logged line's `diverged` say at which
    step that began and with which key, of which `jax.random.wrap_key_data` makes the key again.

    **Returns:** a `Result`.

    **Raises:** `ValueError` for settings out of range; `CheckpointError` if `directory` holds
    another run or another process is at work in it; `OSError` if it cannot be written, with what
    was written before left whole; `KeyboardInterrupt` after a checkpoint is written, if
    interrupted.
    """
    families = tuple(family) if isinstance(family, Sequence) else (family,)
    _check_counts(
        {
            "steps": steps,
            "runs": runs,
            "tasks": tasks,
            "validation": validation,
            "log_every": log_every,
            "checkpoint_every": checkpoint_every,
            "the number of families": len(families),
        }
    )
    if not isinstance(method, AbstractMethod):
        raise ValueError(
            f"method must be one of hebbax.methods, such as Gradient(optax.adam(5e-4)); "
            f"got {method!r}."
        )
    if directory is not None and known(rule):
        check_writable(rule, card)

    k_init, k_train, k_validation = jax.random.split(key, 3)
    layout = Layout()
    if workers is None:
        layout = Layout.over_devices(runs, method.inner(tasks))
    synchronized = isinstance(objective, Curriculum) and objective.synchronize
    setup = Setup(
        rule, families, _at(objective, 0), method, tuple(hidden), tasks, runs, k_train,
        apart=synchronized, layout=layout,
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        run_directory = None
        if directory is not None:
            config = configuration(
                rule,
                families,
                objective,
                theta,
                method={"name": type(method).__name__, "fingerprint": method.fingerprint()},
                hidden=list(hidden),
                key=jax.random.key_data(key).tolist(),
                runs=runs,
                tasks=tasks,
                validation=validation,
                log_every=log_every,
                checkpoint_every=checkpoint_every,
                workers=None if workers is None else workers.settings(),
            )
            run_directory = RunDirectory(directory, config, card, writes=is_first_process())
            stack.callback(run_directory.close)
        run = _Run(
            setup=setup,
            objective=objective,
            workers=workers,
            thetas=_initial_thetas(rule, theta, k_init, runs),
            k_init=k_init,
            k_validation=k_validation,
            validation=validation,
            folder=run_directory,
            card=card or {},
        )
        stack.callback(run.close)
        listeners = tuple(callbacks) if is_first_process() else ()
        with _listening(listeners, run.step):
            return run.go(steps, log_every, checkpoint_every, listeners, progress)


class _Run:
    """The run that `meta_train` makes or goes on with: where it is, and how it moves."""

    def __init__(
        self,
        setup: Setup,
        objective: Objective | Curriculum,
        workers: Workers | None,
        thetas: PyTree,
        k_init: PRNGKeyArray,
        k_validation: PRNGKeyArray,
        validation: int,
        folder: RunDirectory | None,
        card: dict[str, Any],
    ):
        self.setup, self.objective, self.workers = setup, objective, workers
        self.k_validation, self.validation = k_validation, validation
        self.folder, self.card = folder, card
        self.compile_seconds = 0.0
        self.step, self.stage = 0, 0
        self.history: list[dict[str, Any]] = []
        self.best = Best(jax.tree.map(lambda a: a[0], thetas))
        self.engine = self._engine(setup)
        self.validator: Validator | None = None
        self.state = self.engine.start(thetas, jax.random.fold_in(k_init, 1))
        if folder is not None:
            self._resume(folder)
        self.good, self.good_step = self.state, self.step
        self.judged = [math.inf] * setup.runs
        for line in self.history:
            self.judged = line.get("validation_loss", self.judged)

    def _engine(self, setup: Setup) -> AbstractEngine[Any]:
        return engine_for(setup) if self.workers is None else self.workers.engine(setup)

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

        found = checkpoint.load(folder.path, restore)
        if found is not None:
            self.step, (self.state, theta), about = found
            self.history, self.stage = about["history"], about["stage"]
            self.best = Best(theta, **about["best"])
        if folder.writes:
            folder.restart_log(self.history)

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
        about = {"history": self.history, "stage": self.stage, "best": best}
        try:
            checkpoint.save(self.folder.path, self.step, arrays, about)
        except OSError as error:
            raise OSError(
                error.errno,
                f"the checkpoint of step {self.step} cannot be written ({error.strerror}); those "
                f"before it are whole: mend that, and the same call goes on from the last",
                str(self.folder.path),
            ) from error
        if known(self.setup.rule) and math.isfinite(self.best.loss):
            card = {**self.card, "meta_steps": self.best.step, "validation_loss": self.best.loss}
            file = self.folder.path / "rule.safetensors"
            save_rule(file, self.setup.rule, self.best.theta, card)

    def go(
        self,
        steps: int,
        log_every: int,
        checkpoint_every: int,
        callbacks: Sequence[Callback],
        progress: bool,
    ) -> Result:
        """Take meta-steps until there have been `steps` of them."""
        begin = time.perf_counter()
        try:
            with Progress("meta-training", steps, self.step, shown=progress) as bar:
                while self.step < steps:
                    self._enter_stage()
                    reached = self._turn(steps, log_every, checkpoint_every)
                    lap = time.perf_counter()
                    state, metrics = self.engine.advance(self.state, self.step, reached - self.step)
                    line = self._line(reached, metrics, time.perf_counter() - lap)
                    end = isinstance(self.objective, Curriculum) and (
                        reached == self.objective.end(self.stage)
                    )
                    turn = end or reached % checkpoint_every == 0 or reached == steps
                    best, judged, good = self.best, self.judged, self.good
                    if turn:
                        state, best, judged = self._judge(state, reached, line, synchronize=end)
                        good = state
                    # All at once, so that an interrupt finds the run before or after, not between.
                    self.state, self.step, self.best, self.judged, self.history, self.good = (
                        state, reached, best, judged, [*self.history, line], good,
                    )  # fmt: skip
                    if self.folder is not None and self.folder.writes:
                        self.folder.log(line)
                    for callback in callbacks:
                        callback.log(line)
                    if turn:
                        self.good_step = reached
                        self.keep()
                    bar.update(reached, _headline(metrics))
        except KeyboardInterrupt:
            self.keep()
            raise
        return Result(
            theta=self.best.theta,
            thetas=jax.tree.map(jnp.asarray, gather(self.engine.thetas(self.state))),
            loss=self.best.loss,
            run=self.best.run,
            step=self.best.step,
            history=tuple(self.history),
            compile_seconds=self.compile_seconds,
            seconds=time.perf_counter() - begin - self.compile_seconds,
        )

    def _enter_stage(self) -> None:
        """Compile for the stage that this step belongs to, and judge the best θ by its measure."""
        stage = self.objective.stage(self.step) if isinstance(self.objective, Curriculum) else 0
        if self.validator is not None and stage == self.stage:
            return
        begin = time.perf_counter()
        setup = dataclasses.replace(self.setup, objective=_at(self.objective, stage))
        if setup.objective != self.engine.setup.objective:
            self.engine.close()
            self.engine = self._engine(setup)
        self.engine.compile(self.state)
        self.validator = Validator(setup, self.k_validation, self.validation)
        self.validator.compile(self.engine.thetas(self.state))
        if stage != self.stage and math.isfinite(self.best.loss):
            loss = self.validator.of(self.best.theta, self.setup.runs)
            self.best = dataclasses.replace(self.best, loss=loss)
        self.stage = stage
        self.compile_seconds += time.perf_counter() - begin

    def _turn(self, steps: int, log_every: int, checkpoint_every: int) -> int:
        """Return the next step at which something is to be done."""
        turns = [
            steps,
            self.step + log_every - self.step % log_every,
            self.step + checkpoint_every - self.step % checkpoint_every,
        ]
        if isinstance(self.objective, Curriculum):
            end = self.objective.end(self.stage)
            turns += [] if end is None else [end]
        return min(turns)

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
            for run in range(self.setup.runs)
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
        if synchronize and self.setup.apart:
            finite = np.where(np.isfinite(judged), judged, np.inf)
            chosen = int(np.argmin(finite))
            line["synchronized_on"] = chosen
            state = self.engine.replace_runs(state, state, [chosen] * self.setup.runs)
            judged = [judged[chosen]] * self.setup.runs
        return state, best, judged

    def _divergence(self, run: int, step: int) -> dict[str, Any]:
        key = self.setup.step_key(self.setup.key, step)
        key = jax.random.key_data(key[run] if self.setup.apart else key).tolist()
        warnings.warn(
            f"run {run + 1} of {self.setup.runs} diverged at step {step} (key {key}) and goes back "
            f"to where it was at step {self.good_step}.",
            RuntimeWarning,
            stacklevel=2,
        )
        return {"run": run, "step": step, "key": key, "back_to": self.good_step}


def _at(objective: Objective | Curriculum, stage: int) -> Any:
    return objective.at(stage) if isinstance(objective, Curriculum) else objective


def _check_counts(counts: dict[str, int]) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    log_every, checkpoint_every = counts["log_every"], counts["checkpoint_every"]
    if checkpoint_every % log_every:
        raise ValueError(
            f"checkpoint_every must be a multiple of log_every, {log_every}; "
            f"got {checkpoint_every}."
        )


def _initial_thetas(rule: AbstractRule, theta: PyTree, key: PRNGKeyArray, runs: int) -> PyTree:
    if theta is None:
        thetas = jax.vmap(rule.init)(jax.random.split(key, runs))
    else:
        thetas = jax.tree.map(lambda a: jnp.broadcast_to(a, (runs, *jnp.shape(a))), theta)
    # Arrays read from a checkpoint are not weakly typed, and would be compiled for once more.
    return jax.tree.map(lambda a: jnp.asarray(a, a.dtype), thetas)


@contextlib.contextmanager
def _listening(callbacks: Sequence[Callback], step: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for callback in callbacks:
            callback.start(step)
            stack.callback(callback.close)
        yield


def _headline(metrics: dict[str, Any]) -> str:
    best = min(range(len(metrics["loss"])), key=lambda run: _or_infinity(metrics["loss"][run]))
    return " ".join(
        f"{name} {metrics[name][best]:.3f}" for name in ("loss", "accuracy") if name in metrics
    )


def _or_infinity(value: float) -> float:
    return value if math.isfinite(value) else math.inf


__all__ = ["CheckpointError", "Result", "Workers", "meta_train"]
