"""Two-state genomes that have learnt to learn xor, for the questions of BLUR sec. 3.5."""

import dataclasses
from collections.abc import Sequence
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

BARE_RULE = dataclasses.replace(
    TRAINED, normalization=None, synapse_normalization=None, fan_in=True
)
"""The same without normalisers, which alone are no gradient of a loss of the weights."""

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


NORMALIZED_BACKPROP = dataclasses.replace(
    BACKPROP,
    normalization=TRAINED.normalization,
    synapse_normalization=TRAINED.synapse_normalization,
)
"""That with what genomes have beside it: it tells what normalisers alone do."""

GENOME, BARE = "genome", "genome without normalisers"
PLAIN, NORMALIZED = "backpropagation", "backpropagation with the normalisers"
ALONG = (0, 5, 20, 50)
"""Updates after which networks are looked at, along their training."""


@dataclasses.dataclass(frozen=True)
class Learner:
    """A rule and its θ; `number` tells genomes of several meta-seeds apart."""

    name: str
    number: int
    rule: hx.AbstractRule
    theta: PyTree


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


KINDS = (GENOME, BARE)


def learners(
    work: Path, hidden: int, steps: int, seed: int, genomes: int, kinds: Sequence[str] = KINDS
) -> list[Learner]:
    """Return genomes meta-trained on xor, with normalisers and without, and backpropagation.

    **Arguments:** `work`, where runs are gone on with; `genomes`, meta-seeds of each of `kinds`.
    """
    found = []
    for name in kinds:
        rule = {GENOME: TRAINED, BARE: BARE_RULE}[name]
        for number in range(genomes):
            result = learn(
                work / f"{name.replace(' ', '-')}-{number}", rule,
                [hx.tasks.toy("xor"), hx.tasks.toy("random_xor")],
                hx.objectives.OnlineCrossEntropy(steps=20, batch=128, query=256),
                steps=steps, seed=seed + number, hidden=(hidden,), learning_rate=2e-2,
                validation=8,
            )  # fmt: skip
            found.append(Learner(name, number, rule, result.theta))
    key = jax.random.key(seed)
    for name, rule in ((PLAIN, BACKPROP), (NORMALIZED, NORMALIZED_BACKPROP)):
        found.append(Learner(name, 0, rule, rule.init(key)))
    return found


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
