"""Meta-training and meta-testing as the experiments do them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import PyTree

import hebbax as hx
from hebbax.inner import RATES
from hebbax.recipes import FINAL_RATE

Families = hx.tasks.AbstractFamily | Sequence[hx.tasks.AbstractFamily]


def meta_train(
    work: Path,
    rule: hx.AbstractRule,
    families: Families,
    objective: Any,
    method: hx.methods.AbstractMethod,
    *,
    steps: int,
    seed: int,
    every: int = 250,
    **settings: Any,
) -> hx.Result:
    """Meta-train, or go on with the run in `work`.

    **Arguments:** `every`, meta-steps between checkpoints, at most; `settings` go to
    `hebbax.meta_train`, whose errors are raised.
    """
    every = min(steps, every)
    usual = {"validation": 4, "log_every": min(50, every), "checkpoint_every": every}
    return hx.meta_train(
        rule,
        families,
        objective,
        method,
        steps=steps,
        key=jax.random.key(seed),
        directory=work,
        progress=True,
        **{**usual, **settings},
    )


def learn(
    work: Path,
    rule: hx.AbstractRule,
    families: Families,
    objective: Any,
    *,
    steps: int,
    learning_rate: float = 1e-2,
    clip: float = 1.0,
    **settings: Any,
) -> hx.Result:
    """Meta-train by the gradient through whole lifetimes, with Adam and a rate that falls.

    `settings` go to `meta_train`.
    """
    rate = optax.cosine_decay_schedule(learning_rate, steps, alpha=FINAL_RATE)
    method = hx.methods.Gradient(optax.adam(rate), clip=clip)
    return meta_train(work, rule, families, objective, method, steps=steps, **settings)


def one_run(thetas: PyTree, run: int) -> PyTree:
    """Return the θ of one of the runs side by side."""
    return jax.tree.map(lambda a: a[run], thetas)


def trial(
    seed: int, *, hidden: Sequence[int], points: Sequence[int], batch: int, networks: int
) -> dict[str, Any]:
    """Return how fresh networks are trained and judged after `points` updates.

    These are arguments of `hebbax.evaluate` and of `best_backprop`, the same for all learners that
    are compared.
    """
    return {
        "hidden": tuple(hidden),
        "steps": max(points),
        "batch": batch,
        "seeds": networks,
        "key": jax.random.key(seed + 1),
        "at": points,
    }


def learning_rates(optimizer: str, count: int) -> tuple[float, ...]:
    """Return `count` learning rates over the four orders of magnitude of `best_backprop`."""
    return tuple(np.geomspace(RATES[optimizer][0], RATES[optimizer][-1], count).tolist())


def minutes(history: Sequence[Mapping[str, Any]]) -> float:
    """Return how long meta-steps took, without compilation and validation.

    Those of earlier processes count too.
    """
    before, seconds = 0, 0.0
    for line in history:
        seconds += (line["step"] - before) * line["step_seconds"]
        before = line["step"]
    return seconds / 60
