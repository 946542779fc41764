"""`meta_train`: the outer loop."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import jax
from jaxtyping import PRNGKeyArray, PyTree

from hebbax._errors import shown
from hebbax._programs import keep_programs
from hebbax.devices import check_not_forked, is_first_process
from hebbax.networks import Architectures, Given
from hebbax.outer import Curriculum, MetaTraining, Workers, as_training, shows_settings
from hebbax.outer.engines import Setup
from hebbax.outer.methods import AbstractMethod
from hebbax.outer.objectives import AbstractObjective
from hebbax.rule_file import check_writable
from hebbax.rules import AbstractRule
from hebbax.runs._callbacks import Callback
from hebbax.runs._configuration import configuration
from hebbax.runs._run import Result, Run
from hebbax.runs._run_directory import RunDirectory
from hebbax.tasks import AbstractFamily


@overload
def meta_train(
    rule: AbstractRule,
    family: AbstractFamily | Sequence[AbstractFamily],
    objective: AbstractObjective | Curriculum,
    method: AbstractMethod,
    *,
    hidden: Given | Sequence[Given] | Architectures = (),
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
) -> Result: ...


@overload
def meta_train(
    rule: MetaTraining,
    *,
    directory: str | Path | None = None,
    workers: Workers | None = None,
    callbacks: Sequence[Callback] = (),
    card: dict[str, Any] | None = None,
    progress: bool = False,
) -> Result: ...


@shows_settings
def meta_train(
    rule: AbstractRule | MetaTraining,
    *others: Any,
    directory: str | Path | None = None,
    workers: Workers | None = None,
    callbacks: Sequence[Callback] = (),
    card: dict[str, Any] | None = None,
    progress: bool = False,
    **settings: Any,
) -> Result:
    """Find meta-parameters θ that make `rule` learn the tasks of `family`.

    All devices that JAX sees share the work, as far as they divide the runs and the tasks,
    particles or population of each; the result does not depend on their number but for rounding.
    In a program of several processes (`jax.distributed`) all call this with the same arguments
    and a directory that all can read; the first writes.

    Compiled programs are kept in `$HEBBAX_CACHE/xla` for the next process, if nobody else can write
    there and JAX has not been told of another folder (`JAX_COMPILATION_CACHE_DIR`);
    `JAX_ENABLE_COMPILATION_CACHE=false` keeps none.

    Settings can be given as one, `meta_train(hebbax.MetaTraining(rule, family, …), directory=…)`.

    **Arguments:**

    - `family`: a task family, or several, all of which are sampled at every meta-step.
    - `objective`: what a lifetime was worth, see `hebbax.objectives`; or a `Curriculum` of it.
    - `method`: how θ is changed, see `hebbax.methods`.
    - `hidden`: units of the hidden layers of the networks that are trained, or an `Architecture`,
      such as `networks.cnn()`; or a sequence of them
      for each family, as in `[(64,), ()]`; or `Architectures`, of which `workers` draw one for
      every lifetime. Validation uses its middle one then.
    - `steps`: meta-steps. A run that is over goes on if it is called again with more; it ends as
      if it had been called with so many at once where its first end was a checkpoint's turn.
    - `key`: decides every random number, together with the other arguments.
    - `directory`: where metrics, checkpoints and the best rule are written; if it holds a run
      with the same settings, that one is gone on with and ends with the same θ as if it had
      never stopped. A rule that `save_rule` could not write is refused. None writes nothing.
    - `theta`: meta-parameters to start every run from, instead of `rule.init`; `runs` meet
      different tasks and batches then, for they would stay the same.
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
    another run, or one of more than `steps`, or another process is at work in it; `OSError` if it
    cannot be written, with what was written before left whole; `RuntimeError` if in the end no θ
    that was found has a finite validation loss, or in a process forked from one that had used
    JAX; `KeyboardInterrupt` after a checkpoint is written, if interrupted.
    """
    check_not_forked()
    flags: Any = jax.config
    if flags.jax_disable_jit:
        raise ValueError(
            "meta_train compiles its programs before it runs them, which jax.disable_jit "
            "(JAX_DISABLE_JIT) forbids; turn it off, and use jax.debug_nans or jax.debug.print."
        )
    if flags.jax_debug_key_reuse:
        raise ValueError(
            "meta_train makes the keys of a step from the same key again and again, so that a run "
            "can go on from any checkpoint, which jax.debug_key_reuse (JAX_DEBUG_KEY_REUSE) takes "
            "for a fault; turn it off."
        )
    keep_programs()
    training = as_training(rule, *others, **settings)
    directory = None if directory is None else _folder(directory)
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ValueError(
                f"callbacks must hold objects with start, log and close (hebbax.Callback); "
                f"got {callback!r}."
            )
    if directory is not None:
        check_writable(training.rule, card)
    if workers is None:
        training.check_alone()
    else:
        workers.check(Setup(training))
    with contextlib.ExitStack() as stack:
        folder = None
        if directory is not None:
            config = configuration(training, workers)
            folder = RunDirectory(directory, config, card, writes=is_first_process())
            stack.callback(folder.close)
        run = Run(training, workers, folder, card or {})
        stack.callback(run.close)
        listeners = tuple(callbacks) if is_first_process() else ()
        with _listening(listeners, run.step, run.history):
            return run.go(listeners, progress)


def _folder(directory: str | Path) -> Path:
    """Return where a run is to lie, absolute. **Raises:** `ValueError` for what is no path."""
    if not isinstance(directory, (str, Path)) or str(directory) == "" or "\0" in str(directory):
        raise ValueError(f"directory must be None or the path of a folder; got {shown(directory)}.")
    return Path(directory).absolute()


@contextlib.contextmanager
def _listening(
    callbacks: Sequence[Callback], step: int, history: Sequence[dict[str, Any]]
) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for callback in callbacks:
            stack.callback(callback.close)
            callback.start(step, tuple(history))
        yield
