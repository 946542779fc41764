"""The learner that VSML's sub-RNNs are cloned from: backpropagation, computed as such."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax.rules import AbstractRule, Sizes, Vsml


class Synapses(eqx.Module):
    """A layer: `w` `[in, out]` and `b` `[out]`, as parts of the gain."""

    w: Float[Array, "in out"]
    b: Float[Array, " out"]


class Exact(AbstractRule):
    """What a perfect clone would do, from the same first weights.

    Layers are y = gain · (mean_a tanh(x_a) w_ab + b_b); errors go down as the mean over outputs of
    e (1 − tanh²x) w, times the other gain.

    **Arguments:** `like`, the rule of the clone: its gains and first weights; `weights`, which
    reads w and b off its states; `rate` and `bias_rate`, of the recipe that taught it.
    """

    like: Vsml = eqx.field(static=True)
    weights: Callable[..., tuple[Array, Array]] = eqx.field(static=True)
    rate: float = eqx.field(static=True, default=0.1)
    bias_rate: float = eqx.field(static=True, default=0.1)

    def init(self, key: PRNGKeyArray) -> tuple[()]:
        """Return nothing: there is nothing to be learnt."""
        return ()

    def init_network(
        self, theta: tuple[()], key: PRNGKeyArray, sizes: Sizes
    ) -> tuple[Synapses, ...]:
        """Draw the weights that the clone would begin with."""
        # Initial states do not depend on θ.
        layers = self.like.init_network(self.like.init(key), key, sizes).layers
        found = [self.weights(layer.c) for layer in layers if layer.c is not None]
        return tuple(Synapses(w[0].T, jnp.mean(b[0], axis=1)) for w, b in found)

    def update(
        self,
        theta: tuple[()],
        net: tuple[Synapses, ...],
        x: Float[Array, "batch in"],
        y: Any,
    ) -> tuple[tuple[Synapses, ...], Float[Array, "batch out"]]:
        """Take one step of gradient descent."""
        inputs, prediction = self._forward(net, x)
        if y is None:
            return net, prediction
        error, changed = jax.nn.softmax(prediction) - y, []
        for layer, t in zip(reversed(net), reversed(inputs), strict=True):
            step = self.rate / len(x)
            changed.append(
                Synapses(
                    layer.w - step * t.T @ error,
                    layer.b - step * self.bias_rate * jnp.sum(error, axis=0),
                )
            )
            error = self.like.gains[1] * (1 - t * t) * (error @ layer.w.T) / layer.w.shape[1]
        return tuple(reversed(changed)), prediction

    def predict(
        self, theta: tuple[()], net: tuple[Synapses, ...], x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the logits."""
        return self._forward(net, x)[1]

    def _forward(
        self, net: tuple[Synapses, ...], x: Float[Array, "batch in"]
    ) -> tuple[list[Float[Array, "batch _"]], Float[Array, "batch out"]]:
        inputs = []
        for layer in net:
            inputs.append(jnp.tanh(x))
            x = self.like.gains[0] * (inputs[-1] @ layer.w / len(layer.w) + layer.b[None])
        return inputs, x
