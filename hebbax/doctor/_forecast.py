"""`forecast`: what a run will need, before it is begun."""

import dataclasses
import math
import time
from typing import Any

import jax

from hebbax.doctor._memory import Memory, device_memory
from hebbax.outer import MetaTraining, Validator, as_training, shows_settings
from hebbax.outer.engines import Setup
from hebbax.rules import AbstractRule


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a run whose lifetimes are of one length; without a `Curriculum` there is one.

    **Fields:**

    - `unroll`: updates in a lifetime.
    - `first`, `last`: the meta-steps of this stage are those from `first` up to but not `last`.
    - `step_memory`, `validation_memory`: of the compiled programs, on each device.
    - `compile_seconds`: to compile both.
    - `step_seconds`: wall time of a meta-step, once compiled.
    - `validation_seconds`: of judging all runs once.
    - `validations`: how often that is done, at checkpoints and at the end of a stage.
    - `timed_steps`: meta-steps that `step_seconds` is a mean of.
    """

    unroll: int
    first: int
    last: int
    step_memory: Memory
    validation_memory: Memory
    compile_seconds: float
    step_seconds: float
    validation_seconds: float
    validations: int
    timed_steps: int

    @property
    def seconds(self) -> float:
        """Wall time that this part of the run will take, once compiled."""
        steps = self.last - self.first
        return steps * self.step_seconds + self.validations * self.validation_seconds


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What a run will need.

    **Fields:**

    - `theta`: how many meta-parameters θ each run has.
    - `networks`: how many synapses and states φ a network has, by its layer sizes.
    - `stages`: the parts of the run that are left.
    - `runs`, `devices`: how many runs there are, and devices at work.
    - `device_memory`: bytes that there are on each device; None where unknown.

    Files are written in next to no time and are not counted; nor is the memory of Python, JAX
    and their compiler, some hundred megabytes.
    """

    theta: int
    networks: dict[str, int]
    stages: tuple[Stage, ...]
    runs: int
    devices: int
    device_memory: int | None

    @property
    def peak_memory(self) -> int:
        """Bytes that a device needs at most: data, states, and what is computed on the way."""
        return max(max(s.step_memory.peak, s.validation_memory.peak) for s in self.stages)

    @property
    def compile_seconds(self) -> float:
        """Wall time to compile everything."""
        return sum((stage.compile_seconds for stage in self.stages), 0.0)

    @property
    def seconds(self) -> float:
        """Wall time of all that is left of the run, with compiling and validation."""
        return self.compile_seconds + sum((stage.seconds for stage in self.stages), 0.0)


@shows_settings
def forecast(
    rule: AbstractRule | MetaTraining,
    *others: Any,
    start: int = 0,
    seconds: float = 2.0,
    **settings: Any,
) -> Forecast:
    """Compile what `meta_train` with the same arguments would, take a few meta-steps, and tell.

    Nothing is written. Where compiled programs are kept (`jax_compilation_cache_dir`), the run
    itself will find them.

    **Arguments:** those of `hebbax.meta_train` that are settings, one by one, as in
    `forecast(rule, family, objective, method, steps=…, key=…)`, or as one `MetaTraining`; and

    - `start`: meta-steps that have been taken already, by a run that is to be gone on with.
    - `seconds`: how long meta-steps are timed for, at least one of them after a first.

    **Returns:** a `Forecast`; at least one stage is compiled and timed even if nothing is left.

    **Raises:** `ValueError` for settings out of range.
    """
    training = as_training(rule, *others, **settings)
    training.check_alone()
    if start < 0:
        raise ValueError(f"start must be at least 0; got {start}.")
    layout = training.layout()
    course, steps, every = training.course, training.steps, training.checkpoint_every
    stages, first = [], min(start, steps)
    for stage in range(course.stage(min(first, steps - 1)), course.stage(steps - 1) + 1):
        last = min(course.end(stage) or steps, steps)
        turns = last // every - first // every + (last > first and last % every > 0)
        stages.append(_measure(Setup(training, layout, stage), first, last, turns, seconds))
        first = last
    theta = jax.eval_shape(training.rule.init, training.key)
    return Forecast(
        theta=sum(leaf.size for leaf in jax.tree.leaves(theta)),
        networks=training.networks(),
        stages=tuple(stages),
        runs=training.runs,
        devices=1 if layout.mesh is None else layout.mesh.size,
        device_memory=device_memory(),
    )


def _measure(setup: Setup, first: int, last: int, validations: int, seconds: float) -> Stage:
    training = setup.training
    engine, validator = training.method.engine(setup), Validator(setup)
    state: Any = engine.start(training.thetas(), jax.random.fold_in(training.keys.init, 1))
    begin = time.perf_counter()
    engine.compile(state)
    validator.compile(engine.thetas(state))
    compiled = time.perf_counter()
    # The first call of a program allocates, and is slower than those to come.
    state, _ = engine.advance(state, first, 1)
    validator(engine.thetas(state))
    judged = time.perf_counter()
    validator(engine.thetas(state))
    validation_seconds = time.perf_counter() - judged
    taken, count, most = 0, 1, max(last - first, 1)
    lap = time.perf_counter()
    while True:
        state, _ = engine.advance(state, first + 1 + taken, count)
        taken += count
        passed = time.perf_counter() - lap
        if passed >= seconds or taken == most:
            break
        # As many as will fill what is left of the time, but twice as many at most.
        fitting = max(1, int((seconds - passed) * taken / passed))
        count = min(2 * count, fitting, most - taken)
    engine.close()
    return Stage(
        unroll=setup.objective.steps,
        first=first,
        last=last,
        step_memory=Memory.of(engine.program),
        validation_memory=Memory.of(validator.program),
        compile_seconds=compiled - begin,
        step_seconds=passed / taken,
        validation_seconds=validation_seconds,
        validations=validations,
        timed_steps=taken,
    )


def spelt_seconds(seconds: float) -> str:
    """Return a duration as one would say it: `3.2 s`, `4 min 10 s`, `2 h 5 min`."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 59.95:
        return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours / 24:.1f} days"
