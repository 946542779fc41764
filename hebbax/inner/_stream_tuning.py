"""Backpropagation on a stream, with every learning rate at once."""

from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray
from numpy.typing import ArrayLike

from hebbax._arguments import check_arguments
from hebbax._errors import check_choice
from hebbax._options import AT_LEAST_1, POSITIVE
from hebbax.inner._checks import check_judged
from hebbax.inner._standard import WINDOW
from hebbax.inner._stream import CHUNK, StreamCurves, checked_stream, timed
from hebbax.inner._tuning import RATES
from hebbax.rules import AbstractRule, Backprop, LearningRate


def best_stream_backprop(
    optimizer: str,
    x: ArrayLike,
    y: ArrayLike,
    *,
    rates: Sequence[Annotated[float, POSITIVE]] | None = None,
    activation: str = "relu",
    rule: AbstractRule | None = None,
    chunk: int = CHUNK,
    hidden: Sequence[Annotated[int, AT_LEAST_1]] = (64,),
    classes: int | None = None,
    window: Any = WINDOW,
    seeds: int = 1,
    key: PRNGKeyArray | None = None,
) -> tuple[StreamCurves, float]:
    """Let backpropagation learn from a stream, and take the learning rate that was best.

    It is chosen by the accuracy on the whole stream, which nobody knows in advance, so that the
    baseline is better than any that could be had.

    **Arguments:**

    - `optimizer`: `sgd`, `momentum`, `adam`, `nadamw` or `muon`.
    - `rates`: learning rates to choose from; four orders of magnitude by default.
    - `rule`: what takes the learning rate, in place of `Backprop` with that optimiser.
    - all others: as in `evaluate_stream`; linear without `hidden` layers.

    **Returns:** what the networks predicted with the best rate, and that rate.

    **Raises:** `ValueError` for an unknown optimiser, no rates, or what `evaluate_stream` refuses.
    """
    check_arguments(best_stream_backprop, locals())
    check_choice("optimizer", optimizer, RATES)
    rates = RATES[optimizer] if rates is None else tuple(rates)
    if not len(rates):
        raise ValueError("rates must hold at least one learning rate; got none.")
    if rule is None:
        rule = Backprop(optimizer, activation=activation)
    rows, labels, classes = checked_stream(x, y, classes, window, chunk, seeds)
    check_judged(rule, LearningRate(jnp.asarray(rates[0], float)), chunk, "chunk")
    thetas = jax.vmap(LearningRate)(jnp.asarray(rates, float))
    keys = jax.random.split(jax.random.key(0) if key is None else key, seeds)
    found, _, seconds = timed(rule, thetas, rows, labels, classes, chunk, hidden, keys)
    best = int(np.argmax((found == labels).mean(axis=(1, 2))))
    return StreamCurves(found[best], labels, classes, seconds), rates[best]
