"""Learning algorithm cloning inside networks that learn from data (VSML app. B)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.outer.objectives import Value
from hebbax.rules.vsml import Layer, Network, SharedCell, halved
from hebbax.teachers._cloning import (
    CloneBackprop,
    SynapseResponse,
    backpropagation,
    compare,
    errors,
    held,
    mean_of_rows,
    pass_down,
    pass_up,
)
from hebbax.teachers._synapses import ERRORS

Rows = Float[Array, "rows _"]


class CloneInNetwork(CloneBackprop):
    """How far sub-RNNs are from backpropagation where they learn from data (VSML app. B).

    A network of sub-RNNs of the rule `hebbax.teachers.cloning_rule` learns from batches, whose
    states are averaged over each. At every update each sub-RNN is compared with what
    backpropagation does with the same w and b, input and error, as in `CloneBackprop`. Among the
    task families may be `random_synapses`, on which it is what `CloneBackprop` is.

    What layers send to each other, in which errors of all sub-RNNs add up, is not compared:
    meta-training on that as well ruined clones within a hundred meta-steps.

    **Arguments:**

    - `given`: whether each layer is given the error that backpropagation computes through the whole
      network, rather than what the sub-RNNs above it send down. Without hidden layers it is the
      same.
    - the others as in `CloneBackprop`.

    **Raises:** `ValueError` for rates that are not positive.
    """

    batch: int = eqx.field(static=True, default=16)
    given: bool = eqx.field(static=True, default=False)

    def unroll_and_judge(
        self, rule: Any, theta: Any, net: Network, episode: Any, first: Any = 0, taken: Any = None
    ) -> tuple[Network, Value]:
        """Compare all sub-RNNs with backpropagation; `taken` must be None."""
        if taken is not None:
            raise ValueError("CloneInNetwork needs truncations of one length.")
        if episode.goal == ERRORS:
            return super().unroll_and_judge(rule, theta, net, episode)
        ready = halved(theta, rule.gate_offset)

        def update(
            layers: tuple[Layer, ...], data: tuple[Array, Array]
        ) -> tuple[tuple[Layer, ...], Any]:
            return self._update(rule, ready, layers, *data)

        layers, (loss, metrics) = jax.lax.scan(update, net.layers, (episode.x, episode.y))
        net = eqx.tree_at(lambda n: n.layers, net, layers)
        return net, (jnp.mean(loss), jax.tree.map(jnp.mean, metrics))

    def _update(
        self, rule: Any, theta: SharedCell, layers: tuple[Layer, ...], x: Rows, y: Rows
    ) -> tuple[tuple[Layer, ...], tuple[Float[Array, ""], dict[str, Float[Array, ""]]]]:
        inputs, sent, ticked = [], [], []
        for layer in layers:
            up, layer_after = pass_up(theta, layer, x)
            inputs.append(x)
            sent.append(up)
            ticked.append(layer_after)
            x = jax.lax.stop_gradient(rule.gains[0] * jnp.mean(up, axis=2))
        prediction = rule.bound * jnp.tanh(x / rule.bound)
        error = jax.nn.softmax(prediction) - y
        after, losses, metrics = [], [], []
        for index in reversed(range(len(layers))):
            layer, message = layers[index], inputs[index]
            down, changed = pass_down(theta, ticked[index], message, error)
            found = SynapseResponse(sent[index], down, held(changed) - held(layer))
            target = backpropagation(held(layer), message, error, self.rate, self.bias_rate)
            loss = compare(found, target, error[:, :, None], self.rate)
            losses.append(loss)
            metrics.append(errors(found, target, self.bias_rate))
            after.append(mean_of_rows(changed))
            error = rule.gains[1] * jnp.mean((target if self.given else found).e, axis=1)
            # No sub-RNN is to make another's task easier: what it receives is as it is.
            error = jax.lax.stop_gradient(error)
        mean = jax.tree.map(lambda *each: sum(each) / len(each), *metrics)
        return tuple(reversed(after)), (sum(losses, jnp.zeros(())), mean)
