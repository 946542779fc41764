"""`forecast`: what a run will need, before it is begun."""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from hebbax.devices import DeviceGrid
from hebbax.doctor._memory import Memory, device_memory
from hebbax.networks import Hidden, as_hidden
from hebbax.outer import Curriculum, Validator, layer_sizes
from hebbax.outer.engines import Setup, engine_for
from hebbax.outer.methods import AbstractMethod
from hebbax.outer.objectives import Objective
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily


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


def forecast(
    rule: AbstractRule,
    family: AbstractFamily | Sequence[AbstractFamily],
    objective: Objective | Curriculum,
    method: AbstractMethod,
    *,
    hidden: Sequence[int] | Sequence[Sequence[int]] = (),
    steps: int,
    key: PRNGKeyArray,
    theta: PyTree = None,
    runs: int = 1,
    tasks: int = 1,
    validation: int = 16,
    log_every: int = 50,
    checkpoint_every: int = 500,
    start: int = 0,
    seconds: float = 2.0,
) -> Forecast:
    """Compile what `meta_train` with the same arguments would, take a few meta-steps, and tell.

    Nothing is written. Where compiled programs are kept (`jax_compilation_cache_dir`), the run
    itself will find them.

    **Arguments:** those of `hebbax.meta_train`, and

    - `start`: meta-steps that have been taken already, by a run that is to be gone on with.
    - `seconds`: how long meta-steps are timed for, at least one of them after a first.

    **Returns:** a `Forecast`; at least one stage is compiled and timed even if nothing is left.

    **Raises:** `ValueError` for settings out of range.
    """
    families = tuple(family) if isinstance(family, Sequence) else (family,)
    counts = {
        "steps": steps, "runs": runs, "tasks": tasks, "validation": validation,
        "log_every": log_every, "checkpoint_every": checkpoint_every,
        "the number of families": len(families),
    }  # fmt: skip
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    if start < 0:
        raise ValueError(f"start must be at least 0; got {start}.")
    units = as_hidden(hidden, len(families))
    k_init, k_train, k_validation = jax.random.split(key, 3)
    layout = DeviceGrid.over_devices(runs, method.inner(tasks))
    synchronized = isinstance(objective, Curriculum) and objective.synchronize
    if theta is None:
        thetas = jax.vmap(rule.init)(jax.random.split(k_init, runs))
    else:
        thetas = jax.tree.map(lambda a: jnp.broadcast_to(a, (runs, *jnp.shape(a))), theta)
    thetas = jax.tree.map(lambda a: jnp.asarray(a, a.dtype), thetas)
    stages = []
    for first, last, part in _parts(objective, min(start, steps), steps):
        setup = Setup(
            rule, families, part, method, units, tasks, runs, k_train,
            per_run=synchronized, layout=layout,
        )  # fmt: skip
        turns = last // checkpoint_every - first // checkpoint_every
        turns += last > first and last % checkpoint_every > 0
        stages.append(
            _measure(
                setup, thetas, k_init, Validator(setup, k_validation, validation), first, last,
                turns, seconds,
            )
        )  # fmt: skip
    return Forecast(
        theta=_count(thetas) // runs,
        networks=_networks(rule, families, objective, units, thetas),
        stages=tuple(stages),
        runs=runs,
        devices=1 if layout.mesh is None else layout.mesh.size,
        device_memory=device_memory(),
    )


def _parts(
    objective: Objective | Curriculum, start: int, steps: int
) -> list[tuple[int, int, Objective]]:
    """Return the first meta-step, the end and the objective of every stage that is left."""
    if not isinstance(objective, Curriculum):
        return [(start, steps, objective)]
    parts = []
    for stage in range(objective.stage(min(start, steps - 1)), objective.stage(steps - 1) + 1):
        end = objective.end(stage)
        last = steps if end is None else min(end, steps)
        parts.append((start, last, objective.at(stage)))
        start = last
    return parts


def _measure(
    setup: Setup,
    thetas: PyTree,
    key: PRNGKeyArray,
    validator: Validator,
    first: int,
    last: int,
    validations: int,
    seconds: float,
) -> Stage:
    engine = engine_for(setup)
    state: Any = engine.start(thetas, jax.random.fold_in(key, 1))
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


def _networks(
    rule: AbstractRule,
    families: Sequence[AbstractFamily],
    objective: Any,
    hidden: Hidden,
    thetas: PyTree,
) -> dict[str, int]:
    """Return how many numbers φ holds, by layer sizes as in `784-64-10`."""
    judged = objective.objective if isinstance(objective, Curriculum) else objective
    theta = jax.eval_shape(lambda: jax.tree.map(lambda a: a[0], thetas))
    networks = {}
    for index in range(len(families)):
        sizes = layer_sizes(families, index, hidden, judged)
        net = jax.eval_shape(
            lambda t, k, sizes=sizes: rule.init_network(t, k, sizes), theta, jax.random.key(0)
        )
        networks["-".join(map(str, sizes))] = _count(net)
    return networks


def _count(tree: PyTree) -> int:
    return sum(int(np.prod(jnp.shape(leaf))) for leaf in jax.tree.leaves(tree))


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
