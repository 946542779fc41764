"""`Hebbian`: the classical local rules, plain and Oja's."""

import itertools
from collections.abc import Sequence
from typing import Annotated

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._options import NOT_NEGATIVE, check_options
from hebbax.losses import Targets
from hebbax.networks import Wiring, from_rows, gather
from hebbax.rules import activations
from hebbax.rules._backprop import LearningRate
from hebbax.rules._perceptron import Perceptron, draw_perceptron, meeting
from hebbax.rules._plasticity import Neurons, Plasticity, Synapses
from hebbax.rules._rule import AbstractRule, Sizes, Told, check_batch, check_sizes


class Hebbian(AbstractRule):
    """Each synapse grows with the product of the activities it joins; the label clamps the top.

    With labels the last layer's activity is taken to be ±1 as they say, with other targets the
    prediction plus their feedback, which for a residual is the target; the layers below it learn
    without supervision. With `oja`, each synapse decays by its receiver's squared activity
    (Oja, 1982), which keeps it bounded. To synapses that units share, as in a convolution, every
    place is an example.

    **Arguments:**

    - `oja`: Δw = γ (y x − y² w) instead of γ y x, averaged over the batch.
    - `learning_rate`: what `init` puts into θ, γ.
    - `activation`: of the hidden layers; see `activations.NAMES`, the plain ones.
    """

    oja: bool = eqx.field(static=True, default=True)
    learning_rate: Annotated[float, NOT_NEGATIVE] = eqx.field(static=True, default=1e-1)
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self) -> None:
        """Refuse options that are unknown or out of range, by name."""
        check_options(self)
        activations.plain(self.activation)

    @property
    def learns_without_labels(self) -> bool:
        """True: then the top layer learns from itself."""
        return True

    def synapse_matrices(self, net: Perceptron) -> list[Float[Array, "receivers senders"]]:
        """Return the weights of each layer."""
        return [weight.T for weight in net.weights]

    def init(self, key: PRNGKeyArray) -> LearningRate:
        """Return the learning rate as θ."""
        return LearningRate(jnp.asarray(self.learning_rate, float))

    def init_network(self, theta: LearningRate, key: PRNGKeyArray, sizes: Sizes) -> Perceptron:
        """Draw a perceptron of `sizes` units, input first, or of any wiring."""
        return draw_perceptron(key, sizes)

    def update(
        self,
        theta: LearningRate,
        net: Perceptron,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[Perceptron, Float[Array, "batch out"]]:
        """Change all synapses by one batch; without labels the top layer learns from itself."""
        check_batch(x, y, (net.sizes[0], net.sizes[-1]))
        layers, prediction = self._activity(net, x, y)
        return self._changed(theta, net, layers), prediction

    def plasticity(
        self,
        theta: LearningRate,
        net: Perceptron,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> Plasticity:
        """Return the change of the weights, given the activity of all units.

        **Raises:** `ValueError` for networks whose layers are not all dense.
        """
        check_sizes(net.wired)

        def change(neurons: Neurons, synapses: Synapses) -> Synapses:
            weights = tuple(w[:, :, 0] for w in synapses)
            changed = self._changed(theta, Perceptron(weights, net.biases), [n.T for n in neurons])
            return tuple(w[:, :, None] for w in changed.weights)

        check_batch(x, y, (net.sizes[0], net.sizes[-1]))
        layers, _ = self._activity(net, x, y)
        return Plasticity(
            tuple(a.T for a in layers), tuple(w[:, :, None] for w in net.weights), change
        )

    def _activity(
        self, net: Perceptron, x: Float[Array, "batch in"], y: Told
    ) -> tuple[list[Float[Array, "batch _"]], Float[Array, "batch out"]]:
        """Return the activity of all layers, the labels at the top, and the prediction."""
        layers = net(x, activations.plain(self.activation))
        prediction = layers[-1]
        if isinstance(y, Targets):
            layers = [*layers[:-1], prediction + y.feedback(prediction)]
        elif y is not None:
            layers = [*layers[:-1], (2 * y - 1).astype(prediction.dtype)]
        return [x, *layers], prediction

    def _changed(
        self, theta: LearningRate, net: Perceptron, layers: Sequence[Float[Array, "batch _"]]
    ) -> Perceptron:
        if net.wiring is not None:
            return self._changed_wired(theta, net, net.wiring, layers)
        weights, biases = [], []
        for w, b, (pre, post) in zip(
            net.weights, net.biases, itertools.pairwise(layers), strict=True
        ):
            change, bias_change = pre.T @ post / len(pre), jnp.mean(post, axis=0)
            if self.oja:
                decay = jnp.mean(post**2, axis=0)
                change, bias_change = change - decay[None] * w, bias_change - decay * b
            weights.append(w + theta.learning_rate * change)
            biases.append(b + theta.learning_rate * bias_change)
        return Perceptron(tuple(weights), tuple(biases))

    def _changed_wired(
        self,
        theta: LearningRate,
        net: Perceptron,
        wiring: Wiring,
        layers: Sequence[Float[Array, "batch _"]],
    ) -> Perceptron:
        x, *above = layers
        signals = [from_rows(x, wiring.input), *(a.T[None] for a in above)]
        weights, biases = [], []
        for layer, w, b, post in zip(
            wiring.layers, net.weights, net.biases, signals[1:], strict=True
        ):
            # Each place that shares synapses is an example to them.
            examples = len(x) * layer.places
            change, bias_change = meeting(layer, signals, post / examples)
            if self.oja:
                decay = jnp.mean(gather(post, layer.rows)[0] ** 2, axis=1)
                change, bias_change = change - decay[None] * w, bias_change - decay * b
            weights.append(w + theta.learning_rate * change)
            biases.append(b + theta.learning_rate * bias_change)
        return Perceptron(tuple(weights), tuple(biases), wiring)

    def predict(
        self, theta: LearningRate, net: Perceptron, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the activity of the last layer."""
        check_batch(x, None, (net.sizes[0], net.sizes[-1]))
        return net(x, activations.plain(self.activation))[-1]
