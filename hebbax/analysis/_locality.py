"""Which signals does the change of a synapse use?"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from hebbax.rules import AbstractRule

OWN, SENDER, RECEIVER = "the synapse itself", "its sender", "its receiver"
INTO_RECEIVER = "other synapses into its receiver"
OUT_OF_SENDER = "other synapses out of its sender"
SAME_LAYER = "synapses beside it, of other neurons"
NEIGHBOURS = "other neurons of the two layers it joins"
ELSEWHERE = "neurons and synapses of other layers"
PLACES: tuple[str, ...] = (
    OWN, SENDER, RECEIVER, INTO_RECEIVER, OUT_OF_SENDER, SAME_LAYER, NEIGHBOURS, ELSEWHERE,
)  # fmt: skip
AT_HAND: tuple[str, ...] = (OWN, SENDER, RECEIVER)
"""What a synapse has at its own place."""
NEGLIGIBLE = 1e-6
"""Derivatives below this share of the largest count as none."""


@dataclasses.dataclass(frozen=True)
class Locality:
    """Where the signals come from that the change of a synapse uses.

    **Fields:**

    - `sensitivity`: for each of `PLACES`, the largest derivative of a synapse's change by a signal
      there, as a share of the largest of all, in [0, 1].
    """

    sensitivity: dict[str, float]

    @property
    def used(self) -> tuple[str, ...]:
        """The places that are used."""
        return tuple(p for p, share in self.sensitivity.items() if share > NEGLIGIBLE)

    @property
    def local(self) -> bool:
        """Whether a synapse uses nothing but itself and the two neurons that it joins."""
        return set(self.used) <= set(AT_HAND)


def locality(
    rule: AbstractRule,
    theta: PyTree,
    *,
    sizes: Sequence[int] | None = None,
    batch: int = 4,
    draws: int = 3,
    key: PRNGKeyArray | None = None,
) -> Locality:
    """Differentiate the change of every synapse by everything that the rule lets it read.

    Only the change itself is looked at: how the signals came to the neurons, by forward and
    backward passes and whatever normalises them, is not.

    **Arguments:**

    - `sizes`: units of the layers of a small network, input first; by default 4, 5, 4 and 3, or as
      many at the top as the rule is made for. Three pairs of layers or more tell all places apart.
    - `batch`, `draws`: random examples in a batch, and networks with a batch each.
    - `key`: decides all of them; by default that of seed 0.

    **Returns:** `Locality`, over all synapses, batches and networks.

    **Raises:** `NotImplementedError` if the rule has no method `plasticity`; `ValueError` if
    `batch` or `draws` is below 1.
    """
    for name, value in {"batch": batch, "draws": draws}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    if sizes is None:
        sizes = (4, 5, 4, rule.outputs_for(3))
    largest: dict[str, float] = dict.fromkeys(PLACES, 0.0)
    for own_key in jax.random.split(jax.random.key(0) if key is None else key, draws):
        for place, value in _largest(rule, theta, tuple(sizes), batch, own_key).items():
            largest[place] = max(largest[place], value)
    scale = max(largest.values()) or 1.0
    return Locality({place: value / scale for place, value in largest.items()})


@eqx.filter_jit
def _derivatives(
    rule: AbstractRule, theta: PyTree, sizes: tuple[int, ...], batch: int, key: PRNGKeyArray
) -> tuple[Any, Any]:
    """Return the sizes of the derivatives of all changes by all neurons and by all synapses."""
    k_net, k_x, k_y = jax.random.split(key, 3)
    net = rule.init_network(theta, k_net, sizes)
    x = jax.random.normal(k_x, (batch, sizes[0]))
    y = jax.nn.one_hot(jax.random.randint(k_y, (batch,), 0, sizes[-1]), sizes[-1])
    step = rule.plasticity(theta, net, x, y)

    def changes(neurons: Any, synapses: Any) -> Any:
        return jax.tree.map(jnp.subtract, step.change(neurons, synapses), synapses)

    jacobians = jax.jacrev(changes, argnums=(0, 1))(step.neurons, step.synapses)
    by_neurons, by_synapses = zip(*jax.tree.map(jnp.abs, jacobians), strict=True)
    return by_neurons, by_synapses


def _largest(
    rule: AbstractRule, theta: PyTree, sizes: tuple[int, ...], batch: int, key: PRNGKeyArray
) -> dict[str, float]:
    by_neurons, by_synapses = jax.tree.map(np.asarray, _derivatives(rule, theta, sizes, batch, key))
    found: dict[str, float] = dict.fromkeys(PLACES, 0.0)

    def note(place: str, values: np.ndarray) -> None:
        if values.size:
            found[place] = max(found[place], float(values.max()))

    for layer, of_layer in enumerate(by_neurons):
        for of, jacobian in enumerate(of_layer):
            # [senders, receivers, units]
            size = jacobian.max(axis=(2, 4))
            ends = {layer: 0, layer + 1: 1}
            if of not in ends:
                note(ELSEWHERE, size)
                continue
            same = np.eye(size.shape[2], dtype=bool)
            same = same[:, None] if ends[of] == 0 else same[None]
            same = np.broadcast_to(same, size.shape)
            note((SENDER, RECEIVER)[ends[of]], size[same])
            note(NEIGHBOURS, size[~same])
    for layer, of_layer in enumerate(by_synapses):
        for of, jacobian in enumerate(of_layer):
            # [senders, receivers, senders, receivers]
            size = jacobian.max(axis=(2, 5))
            if of != layer:
                note(ELSEWHERE, size)
                continue
            sender = np.eye(size.shape[0], dtype=bool)[:, None, :, None]
            receiver = np.eye(size.shape[1], dtype=bool)[None, :, None, :]
            note(OWN, size[np.broadcast_to(sender & receiver, size.shape)])
            note(INTO_RECEIVER, size[np.broadcast_to(~sender & receiver, size.shape)])
            note(OUT_OF_SENDER, size[np.broadcast_to(sender & ~receiver, size.shape)])
            note(SAME_LAYER, size[np.broadcast_to(~sender & ~receiver, size.shape)])
    return found
