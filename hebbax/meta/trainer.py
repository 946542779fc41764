"""`meta_train`: the outer loop."""

import dataclasses
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from hebbax._progress import Progress
from hebbax._trees import digest
from hebbax._version import __version__
from hebbax.meta import checkpoint
from hebbax.meta.episodes import meta_loss
from hebbax.meta.methods import Gradient
from hebbax.meta.objectives import Objective
from hebbax.meta.run_directory import RunDirectory
from hebbax.rule_file import check_writable, hyperparameters, known, save_rule
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily


class TrainingState(eqx.Module):
    """Everything a run carries from one meta-step to the next; the leading axis counts runs.

    **Fields:**

    - `theta`, `method`: meta-parameters and the method's state.
    - `best_theta`: θ of the run with the lowest validation loss so far, with `best_loss`,
      `best_run` and `best_step`.
    """

    theta: PyTree
    method: PyTree
    best_theta: PyTree
    best_loss: Float[Array, ""]
    best_run: Int[Array, ""]
    best_step: Int[Array, ""]


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
    objective: Objective,
    method: Gradient,
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
    card: dict[str, Any] | None = None,
    progress: bool = False,
) -> Result:
    """Find meta-parameters θ that make `rule` learn the tasks of `family`.

    **Arguments:**

    - `family`: a task family, or several, all of which are sampled at every meta-step.
    - `objective`: what a lifetime was worth, see `hebbax.objectives`.
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
    - `card`: goes into the rule file.
    - `progress`: show a progress bar.

    **Returns:** a `Result`.

    **Raises:** `ValueError` for settings out of range; `CheckpointError` if `directory` holds
    another run; `KeyboardInterrupt` after a checkpoint is written, if interrupted.
    """
    families = tuple(family) if isinstance(family, Sequence) else (family,)
    for name, value in {
        "steps": steps,
        "runs": runs,
        "tasks": tasks,
        "validation": validation,
        "log_every": log_every,
        "checkpoint_every": checkpoint_every,
        "the number of families": len(families),
    }.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    if checkpoint_every % log_every:
        raise ValueError(
            f"checkpoint_every must be a multiple of log_every, {log_every}; "
            f"got {checkpoint_every}."
        )
    run_directory = None
    if directory is not None:
        if known(rule):
            check_writable(rule, card)
        config = {
            "version": __version__,
            "rule": {"family": type(rule).__name__, **_plain(hyperparameters(rule))},
            "families": [
                {"name": f.name, "inputs": f.inputs, "outputs": f.outputs, "digest": digest(f)}
                for f in families
            ],
            "objective": {
                "name": getattr(objective, "__name__", type(objective).__name__),
                "steps": objective.steps,
                "batch": objective.batch,
                "query": objective.query,
                **_plain(getattr(objective, "__dict__", {})),
            },
            "method": {"name": type(method).__name__, "fingerprint": method.fingerprint()},
            "hidden": list(hidden),
            "key": jax.random.key_data(key).tolist(),
            "theta": None if theta is None else digest(theta),
            "runs": runs,
            "tasks": tasks,
            "validation": validation,
            "log_every": log_every,
            "checkpoint_every": checkpoint_every,
        }
        run_directory = RunDirectory(directory, config)

    k_init, k_train, k_validation = jax.random.split(key, 3)
    advance, validate = _compile_ready(
        rule, families, objective, method, tuple(hidden), tasks, validation
    )
    state = _initial_state(rule, method, theta, k_init, runs)
    start, history = 0, []
    if run_directory is not None:
        found = checkpoint.load(run_directory.path, jax.eval_shape(lambda: state))
        if found is not None:
            start, state, about = found
            history = about["history"]
        run_directory.restart_log(history)
    state = _spread_over_devices(state, runs)

    begin = time.perf_counter()
    if start < steps:
        advance = advance.lower(families, state, k_train, 0, 1).compile()
        validate = validate.lower(families, state, k_validation, 0).compile()
    compile_seconds = time.perf_counter() - begin

    def keep(step: int) -> None:
        if run_directory is not None:
            checkpoint.save(run_directory.path, step, state, {"history": history})
        if run_directory is not None and known(rule) and jnp.isfinite(state.best_loss):
            save_rule(
                run_directory.path / "rule.safetensors",
                rule,
                state.best_theta,
                {
                    **(card or {}),
                    "meta_steps": int(state.best_step),
                    "validation_loss": float(state.best_loss),
                },
            )

    begin = time.perf_counter()
    step = start
    try:
        with Progress("meta-training", steps, start, shown=progress) as bar:
            while step < steps:
                lap = time.perf_counter()
                ahead = min(log_every - step % log_every, steps - step)
                advanced, metrics = advance(families, state, k_train, step, ahead)
                metrics = {name: value.tolist() for name, value in metrics.items()}
                reached = step + ahead
                rate = ahead / (time.perf_counter() - lap)
                line = {"step": reached, **metrics, "meta_steps_per_s": round(rate, 2)}
                checkpointed = reached % checkpoint_every == 0 or reached == steps
                if checkpointed:
                    advanced, losses = validate(families, advanced, k_validation, reached)
                    line["validation_loss"] = losses.tolist()
                # All at once, so that an interrupt finds the run before or after, not between.
                state, step, history = advanced, reached, [*history, line]
                if run_directory is not None:
                    run_directory.log(line)
                if checkpointed:
                    keep(step)
                bar.update(step, _headline(metrics))
    except KeyboardInterrupt:
        keep(step)
        raise
    return Result(
        theta=state.best_theta,
        thetas=state.theta,
        loss=float(state.best_loss),
        run=int(state.best_run),
        step=int(state.best_step),
        history=tuple(history),
        compile_seconds=compile_seconds,
        seconds=time.perf_counter() - begin,
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    simple = (bool, int, float, str, type(None))
    # Addresses of functions differ from process to process.
    return {
        n: v if isinstance(v, simple) else re.sub(r" at 0x[0-9a-f]+", "", repr(v))
        for n, v in values.items()
    }


def _headline(metrics: dict[str, Any]) -> str:
    best = min(range(len(metrics["loss"])), key=lambda run: _or_infinity(metrics["loss"][run]))
    return " ".join(
        f"{name} {metrics[name][best]:.3f}" for name in ("loss", "accuracy") if name in metrics
    )


def _or_infinity(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _initial_state(
    rule: AbstractRule, method: Gradient, theta: PyTree, key: PRNGKeyArray, runs: int
) -> TrainingState:
    if theta is None:
        thetas = jax.vmap(rule.init)(jax.random.split(key, runs))
    else:
        thetas = jax.tree.map(lambda a: jnp.broadcast_to(a, (runs, *jnp.shape(a))), theta)
    # Arrays read from a checkpoint are not weakly typed, and would be compiled for once more.
    thetas = jax.tree.map(lambda a: jnp.asarray(a, a.dtype), thetas)
    return TrainingState(
        theta=thetas,
        method=jax.vmap(method.init)(thetas),
        best_theta=jax.tree.map(lambda a: a[0], thetas),
        best_loss=jnp.full((), jnp.inf, float),
        best_run=jnp.zeros((), jnp.int32),
        best_step=jnp.zeros((), jnp.int32),
    )


def _spread_over_devices(state: TrainingState, runs: int) -> TrainingState:
    """Split the axis of runs over the devices, if there are several and they divide it."""
    devices = jax.devices()
    if len(devices) == 1 or runs % len(devices):
        return state
    mesh = jax.make_mesh((len(devices),), ("runs",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("runs"))
    whole = NamedSharding(mesh, PartitionSpec())

    def place(tree: PyTree, sharding: NamedSharding) -> PyTree:
        return jax.tree.map(lambda a: jax.device_put(a, sharding), tree)

    return TrainingState(
        place(state.theta, split),
        place(state.method, split),
        *(
            place(part, whole)
            for part in (state.best_theta, state.best_loss, state.best_run, state.best_step)
        ),
    )


def _compile_ready(
    rule: AbstractRule,
    families: Sequence[AbstractFamily],
    objective: Objective,
    method: Gradient,
    hidden: tuple[int, ...],
    tasks: int,
    validation: int,
) -> tuple[Any, Any]:
    """Return the two jitted functions of a run: some meta-steps, and the validation."""

    def one_step(
        families: Any, state: TrainingState, key: PRNGKeyArray
    ) -> tuple[TrainingState, dict[str, Float[Array, " runs"]]]:
        loss = meta_loss(rule, families, objective, hidden, tasks)
        theta, method_state, metrics = jax.vmap(
            lambda theta, state: method.step(loss, theta, state, key)
        )(state.theta, state.method)
        moved = eqx.tree_at(lambda s: (s.theta, s.method), state, (theta, method_state))
        return moved, {**metrics, "skipped": method_state.skipped}

    def advance(
        families: Any, state: TrainingState, key: PRNGKeyArray, first: Any, count: Any
    ) -> tuple[TrainingState, dict[str, Float[Array, " runs"]]]:
        shapes = jax.eval_shape(one_step, families, state, key)[1]
        nothing = {n: (jnp.zeros(s.shape), jnp.zeros(s.shape)) for n, s in shapes.items()}

        def body(index: Any, carried: Any) -> Any:
            state, sums = carried
            state, metrics = one_step(families, state, jax.random.fold_in(key, first + index))
            for name, value in metrics.items():
                total, number = sums[name]
                good = jnp.isfinite(value)
                sums[name] = (total + jnp.where(good, value, 0), number + good)
            return state, sums

        state, sums = jax.lax.fori_loop(0, count, body, (state, nothing))
        means = {name: total / number for name, (total, number) in sums.items()}
        return state, {**means, "skipped": state.method.skipped}

    def validate(
        families: Any, state: TrainingState, key: PRNGKeyArray, step: Any
    ) -> tuple[TrainingState, Float[Array, " runs"]]:
        loss = meta_loss(rule, families, objective, hidden, 1)
        keys = jax.random.split(key, validation)
        each = jax.lax.map(lambda k: jax.vmap(lambda t: loss(t, k)[0])(state.theta), keys)
        losses = jnp.mean(each, axis=0)
        losses = jnp.where(jnp.isfinite(losses), losses, jnp.inf)
        run = jnp.argmin(losses)
        better = losses[run] < state.best_loss
        best = (jax.tree.map(lambda a: a[run], state.theta), losses[run], run, step)
        old = (state.best_theta, state.best_loss, state.best_run, state.best_step)
        chosen = jax.tree.map(lambda n, o: jnp.where(better, n, o).astype(o.dtype), best, old)
        where = lambda s: (s.best_theta, s.best_loss, s.best_run, s.best_step)  # noqa: E731
        return eqx.tree_at(where, state, chosen), losses

    return jax.jit(advance), jax.jit(validate)
