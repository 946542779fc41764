"""A two-state genome that has learnt to learn xor, for the questions of BLUR sec. 3.5."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array, Float, PyTree

import hebbax as hx
from hebbax.papers._training import learn
from hebbax.rules.blur import Normalization, SynapseNormalization

TRAINED = hx.Blur(
    states=2,
    normalization=Normalization(last=False),
    feedback="error",
    init_scale=0.1,
    learn_synapse_gain=True,
    synapse_normalization=SynapseNormalization(learn=True),
)

BACKPROP = hx.Blur(
    states=2,
    forward_activation="tanh_and_derivative",
    backward_activation="none",
    last_activation="none",
    backward_update="multiplicative_second_state",
    symmetric=True,
    single_state=True,
    normalization=None,
    synapse_normalization=None,
    fan_in=True,
    genome_init="backprop",
    feedback="error",
    synapse_update=0.3,
)
"""The special case that is backpropagation (BLUR eq. 4)."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A rule with its θ, and a network that it is teaching xor.

    **Fields:**

    - `x` `[batch, 2]`, `y` `[batch, 2]`: the batch of every update.
    - `accuracy`: of the network on xor's test set.
    """

    rule: hx.AbstractRule
    theta: PyTree
    net: PyTree
    x: Float[Array, "batch in"]
    y: Float[Array, "batch out"]
    accuracy: float


def forward_synapses(net: Any) -> list[Any]:
    """Return the forward weights and biases of a network."""
    return [array for layer in net.layers for array in (layer.weight, layer.bias)]


def learners(
    work: Path, hidden: int, steps: int, seed: int
) -> dict[str, tuple[hx.AbstractRule, PyTree]]:
    """Return a genome meta-trained on xor (in `work`, gone on with), and backpropagation."""
    found = learn(
        work, TRAINED, [hx.tasks.toy("xor"), hx.tasks.toy("random_xor")],
        hx.objectives.OnlineCrossEntropy(steps=20, batch=128, query=256),
        steps=steps, seed=seed, hidden=(hidden,), learning_rate=2e-2, validation=8,
    )  # fmt: skip
    backprop = BACKPROP.init(jax.random.key(seed))
    return {"genome": (TRAINED, found.theta), "backpropagation": (BACKPROP, backprop)}


def subject(
    rule: hx.AbstractRule, theta: PyTree, hidden: int, updates: int, batch: int, seed: int
) -> Subject:
    """Train a fresh network on xor for some updates, and draw one more batch."""
    family = hx.tasks.toy("xor")
    k_net, k_data, k_batch = jax.random.split(jax.random.key(seed), 3)
    net = rule.init_network(theta, k_net, (2, hidden, 2))
    xs, ys = family.stream(k_data, max(updates, 1), batch)
    if updates:
        net, _ = hx.unroll(rule, theta, net, xs, ys)
    x, y = family.stream(k_batch, 1, batch)
    test_x, test_y = family.test_set()
    correct = hx.losses.accuracy(jax.jit(rule.predict)(theta, net, test_x), test_y)
    return Subject(rule, theta, net, x[0], y[0], float(correct))
