"""`Hebbian`: the classical local rules, plain and Oja's."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax.rules import activations
from hebbax.rules._rule import AbstractRule, check_batch
from hebbax.rules.backprop import LearningRate, Perceptron, draw_perceptron


class Hebbian(AbstractRule):
    """Each synapse grows with the product of the activities it joins; the label clamps the top.

    With labels the last layer's activity is taken to be ±1 as they say; the layers below it learn
    without supervision. With `oja`, each synapse decays by its receiver's squared activity
    (Oja, 1982), which keeps it bounded.

    **Arguments:**

    - `oja`: Δw = γ (y x − y² w) instead of γ y x, averaged over the batch.
    - `learning_rate`: what `init` puts into θ, γ.
    - `activation`: of the hidden layers; see `activations.NAMES`, the plain ones.
    """

    oja: bool = eqx.field(static=True, default=True)
    learning_rate: float = eqx.field(static=True, default=1e-1)
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self) -> None:
        """Refuse unknown options by name."""
        activations.plain(self.activation)

    def init(self, key: PRNGKeyArray) -> LearningRate:
        """Return the learning rate as θ."""
        return LearningRate(jnp.asarray(self.learning_rate, float))

    def init_network(
        self, theta: LearningRate, key: PRNGKeyArray, sizes: Sequence[int]
    ) -> Perceptron:
        """Draw a perceptron of `sizes` units, input first."""
        return draw_perceptron(key, sizes)

    def update(
        self,
        theta: LearningRate,
        net: Perceptron,
        x: Float[Array, "batch in"],
        y: Float[Array, "batch out"] | None,
    ) -> tuple[Perceptron, Float[Array, "batch out"]]:
        """Change all synapses by one batch; without labels the top layer learns from itself."""
        check_batch(x, y, (net.sizes[0], net.sizes[-1]))
        layers = net(x, activations.plain(self.activation))
        prediction = layers[-1]
        if y is not None:
            layers = [*layers[:-1], (2 * y - 1).astype(prediction.dtype)]
        weights, biases = [], []
        for w, b, pre, post in zip(net.weights, net.biases, [x, *layers[:-1]], layers, strict=True):
            change, bias_change = pre.T @ post / len(x), jnp.mean(post, axis=0)
            if self.oja:
                decay = jnp.mean(post**2, axis=0)
                change, bias_change = change - decay[None] * w, bias_change - decay * b
            weights.append(w + theta.learning_rate * change)
            biases.append(b + theta.learning_rate * bias_change)
        return Perceptron(tuple(weights), tuple(biases)), prediction

    def predict(
        self, theta: LearningRate, net: Perceptron, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the activity of the last layer."""
        check_batch(x, None, (net.sizes[0], net.sizes[-1]))
        return net(x, activations.plain(self.activation))[-1]
