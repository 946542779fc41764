"""`meta_train`: the outer loop."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from hebbax._rule_file import check_writable, known
from hebbax.devices import Layout, check_not_forked, is_first_process
from hebbax.networks import Architectures, as_hidden
from hebbax.outer import Curriculum, Workers
from hebbax.outer.engines import Setup
from hebbax.outer.methods import AbstractMethod
from hebbax.outer.objectives import Objective
from hebbax.rules import AbstractRule
from hebbax.runs._callbacks import Callback
from hebbax.runs._configuration import configuration
from hebbax.runs._run import Result, Run, at_stage
from hebbax.runs._run_directory import RunDirectory
from hebbax.tasks import AbstractFamily


def meta_train(
    rule: AbstractRule,
    family: AbstractFamily | Sequence[AbstractFamily],
    objective: Objective | Curriculum,
    method: AbstractMethod,
    *,
    hidden: Sequence[int] | Sequence[Sequence[int]] | Architectures = (),
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
    - `hidden`: units of the hidden layers of the networks that are trained; or a sequence of them
      for each family, as in `[(64,), ()]`; or `Architectures`, of which `workers` draw one for
      every lifetime. Validation uses its middle one then.
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
    - `workers`: others who compute in this process's place, such as `hebbax.Ray`.
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

    θ is validated before the first meta-step too, and a warning says so if nothing better than
    that was found.

    **Returns:** a `Result`.

    **Raises:** `ValueError` for settings out of range; `CheckpointError` if `directory` holds
    another run or another process is at work in it; `OSError` if it cannot be written, with what
    was written before left whole; `RuntimeError` if in the end no θ that was found has a finite
    validation loss, or in a process forked from one that had used JAX; `KeyboardInterrupt` after
    a checkpoint is written, if interrupted.
    """
    check_not_forked()
    flags: Any = jax.config
    if flags.jax_disable_jit:
        raise ValueError(
            "meta_train compiles its programs before it runs them, which jax.disable_jit "
            "(JAX_DISABLE_JIT) forbids; turn it off, and use jax.debug_nans or jax.debug.print."
        )
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
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ValueError(
                f"callbacks must hold objects with start, log and close (hebbax.Callback); "
                f"got {callback!r}."
            )
    architectures = hidden if isinstance(hidden, Architectures) else None
    if architectures is not None and workers is None:
        raise ValueError(
            "hidden=Architectures(...) needs workers, such as workers=hebbax.Ray(...), "
            "each of which has networks of a size of its own."
        )
    units = hidden.middle if isinstance(hidden, Architectures) else as_hidden(hidden, len(families))
    if directory is not None and known(rule):
        check_writable(rule, card)

    k_init, k_train, k_validation = jax.random.split(key, 3)
    layout = Layout()
    if workers is None:
        layout = Layout.over_devices(runs, method.inner(tasks))
    synchronized = isinstance(objective, Curriculum) and objective.synchronize
    setup = Setup(
        rule, families, at_stage(objective, 0), method, units, tasks, runs, k_train,
        apart=synchronized, layout=layout, architectures=architectures,
    )  # fmt: skip
    if workers is not None:
        workers.check(setup)
    with contextlib.ExitStack() as stack:
        run_directory = None
        if directory is not None:
            config = configuration(
                rule,
                families,
                objective,
                theta,
                method={"name": type(method).__name__, "fingerprint": method.fingerprint()},
                hidden=list(units) if architectures is None else architectures.settings(),
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
        run = Run(
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
        with _listening(listeners, run.step, run.history):
            return run.go(steps, log_every, checkpoint_every, listeners, progress)


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
def _listening(
    callbacks: Sequence[Callback], step: int, history: Sequence[dict[str, Any]]
) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for callback in callbacks:
            stack.callback(callback.close)
            callback.start(step, tuple(history))
        yield
