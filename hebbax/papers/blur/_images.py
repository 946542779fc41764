"""What BLUR's experiments on images share: families, meta-training, curves as rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import optax

import hebbax as hx
from hebbax.recipes import FINAL_RATE, MNIST_CROP, MNIST_RULE, MNIST_SIZE


def small_mnist(classes: tuple[int, ...] | None = None) -> hx.tasks.AbstractFamily:
    """Return MNIST as genomes are meta-trained on it: cropped to the digit, 10 by 10."""
    return hx.tasks.images("mnist", size=MNIST_SIZE, crop=MNIST_CROP, classes=classes)


def blur(states: int = 2, **options: Any) -> hx.Blur:
    """Return the rule of the recipe for images, with other options."""
    return hx.Blur(states=states, **{**MNIST_RULE, **options})


def learn(
    work: Path,
    rule: hx.AbstractRule,
    families: Sequence[hx.tasks.AbstractFamily],
    *,
    unrolls: int,
    steps: int,
    seed: int,
    hidden: Sequence[int] = (64,),
    runs: int = 1,
    batch: int = 128,
    query: int = 512,
    learning_rate: float = 1e-2,
    clip: float = 1.0,
    objective: Any = None,
    **settings: Any,
) -> hx.Result:
    """Meta-train a genome by gradient through the unroll, or go on with the run in `work`.

    `objective` is the whole course of a lifetime by default; `settings` go to `meta_train`.
    """
    rate = optax.cosine_decay_schedule(learning_rate, steps, alpha=FINAL_RATE)
    if objective is None:
        objective = hx.objectives.OnlineCrossEntropy(steps=unrolls, batch=batch, query=query)
    every = min(steps, 250)
    return hx.meta_train(
        rule,
        families,
        objective,
        hx.methods.Gradient(optax.adam(rate), clip=clip),
        **{
            "hidden": tuple(hidden),
            "steps": steps,
            "key": jax.random.key(seed),
            "directory": work,
            "runs": runs,
            "validation": 4,
            "log_every": min(50, every),
            "checkpoint_every": every,
            "progress": True,
            **settings,
        },
    )


def rows(curves: hx.Curves, **labels: Any) -> list[dict[str, Any]]:
    """Return a line for each network and point of learning curves, with `labels` in front."""
    return [
        {**labels, "seed": seed, "updates": int(step), "accuracy": float(value)}
        for seed, line in enumerate(curves.accuracy)
        for step, value in zip(curves.steps, line, strict=True)
    ]
