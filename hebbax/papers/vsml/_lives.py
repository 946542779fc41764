"""Long lives of networks whose every update is dear: one by one, each kept when it is over."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

import hebbax as hx
from hebbax._files import write_whole
from hebbax.inner import watch
from hebbax.losses import accuracy, cross_entropy

PIECE = 50
"""Updates that are compiled as one."""
TEST_PIECE = 1000


class Life(NamedTuple):
    """What became of one network.

    **Fields:** `online` and `loss` `[steps]`, accuracy and cross-entropy on each batch before it
    was learnt; `test`, the share of the whole test set that is correct after the last.
    """

    online: np.ndarray
    loss: np.ndarray
    test: float


def live(
    rule: hx.AbstractRule,
    theta: PyTree,
    family: hx.tasks.AbstractFamily,
    *,
    hidden: Sequence[int],
    steps: int,
    batch: int,
    key: PRNGKeyArray,
    file: Path | None = None,
) -> Life:
    """Train one fresh network, or return what `file` holds of it.

    `key` decides its first weights and its batches, the same for every rule.
    """
    if file is not None and file.is_file():
        held = json.loads(file.read_text())
        return Life(np.asarray(held["online"]), np.asarray(held["loss"]), held["test"])
    k_net, k_data = jax.random.split(key)
    net = rule.init_network(theta, k_net, (family.inputs, *hidden, family.outputs))
    parts, done = [], 0
    while done < steps:
        count = min(PIECE, steps - done)
        net, part = _learn(rule, theta, net, family, k_data, jnp.asarray(done), count, batch)
        parts.append(np.asarray(part))
        done += count
    online, loss = np.concatenate(parts).T
    life = Life(online, loss, _test(rule, theta, net, family))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"online": online.tolist(), "loss": loss.tolist(), "test": life.test})
        write_whole(file, lambda path: path.write_text(text))
    return life


@eqx.filter_jit
def _learn(
    rule: hx.AbstractRule,
    theta: PyTree,
    net: PyTree,
    family: hx.tasks.AbstractFamily,
    key: PRNGKeyArray,
    done: Array,
    count: int,
    batch: int,
) -> tuple[PyTree, Float[Array, "count 2"]]:
    def update(before: tuple[PyTree, Array], index: Array) -> tuple[PyTree, Array]:
        x, y = family.stream(jax.random.fold_in(key, index), 1, batch)
        net, prediction = rule.update(theta, before[0], x[0], y[0])
        return net, jnp.stack([accuracy(prediction, y[0]), cross_entropy(prediction, y[0])])

    begin, always = (net, jnp.zeros(2)), jnp.ones(count, bool)
    (net, _), seen = watch(update, begin, lambda after: after[1], always, first=done)
    return net, seen


def _test(
    rule: hx.AbstractRule, theta: PyTree, net: PyTree, family: hx.tasks.AbstractFamily
) -> float:
    x, y = family.test_set()
    parts = [slice(i, i + TEST_PIECE) for i in range(0, len(x), TEST_PIECE)]
    correct = [len(x[p]) * float(_correct(rule, theta, net, x[p], y[p])) for p in parts]
    return sum(correct) / len(x)


@eqx.filter_jit
def _correct(rule: hx.AbstractRule, theta: PyTree, net: PyTree, x: Any, y: Any) -> Array:
    return accuracy(rule.predict(theta, net, x), y)


def smooth(lines: np.ndarray, window: int) -> np.ndarray:
    """Return the mean of each value `[lives, steps]` and those before it, `window` at most."""
    total = np.cumsum(np.pad(lines, [(0, 0), (1, 0)]), axis=1)
    ends = np.arange(1, lines.shape[1] + 1)
    begins = np.maximum(ends - window, 0)
    return (total[:, ends] - total[:, begins]) / (ends - begins)
