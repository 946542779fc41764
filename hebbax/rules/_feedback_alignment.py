"""`FeedbackAlignment`: backpropagation through synapses that are random and stay so."""

from collections.abc import Callable
from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from hebbax._errors import check_choice
from hebbax._optax import updates
from hebbax._options import NOT_NEGATIVE, check_options
from hebbax.losses import Targets
from hebbax.rules import activations
from hebbax.rules._backprop import OPTIMIZERS, LearningRate
from hebbax.rules._perceptron import Perceptron, Signal, draw_perceptron, meeting
from hebbax.rules._rule import AbstractRule, Sizes, Told, as_wiring, check_batch


class FeedbackState(eqx.Module):
    """Network state of `FeedbackAlignment`.

    **Fields:**

    - `network`: what computes and learns.
    - `feedback`: random synapses that never change. For each layer its connections', in the order
      of `networks.Connection.turned`, None where they come from the input; or, with `direct`, for
      each hidden layer one `[units, out]`.
    - `optimizer`: the optimiser's state.
    """

    network: Perceptron
    feedback: PyTree
    optimizer: PyTree


class FeedbackAlignment(AbstractRule):
    """Gradient descent whose errors come back through fixed random synapses.

    The backward pass of backpropagation, with random weights in place of the transposed ones
    (Lillicrap et al., Nature Communications 2016): those learn to suit the random ones. With
    `direct`, every hidden layer hears the error of the last one straight from there (Nøkland,
    NeurIPS 2016). Fixed connections, such as pools and shortcuts that are added as they are, carry
    errors back as in backpropagation, but for `direct`, where nothing goes from layer to layer.

    **Arguments:**

    - `direct`: errors come from the last layer, not from the next.
    - `optimizer`, `learning_rate`, `activation`: as in `Backprop`.

    **Raises:** `ValueError` for options that are unknown or out of range.
    """

    direct: bool = eqx.field(static=True, default=False)
    optimizer: str | Callable[[Any], optax.GradientTransformation] = eqx.field(
        static=True, default="adam"
    )
    learning_rate: Annotated[float, NOT_NEGATIVE] = eqx.field(static=True, default=1e-2)
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self) -> None:
        """Refuse options that are unknown or out of range, by name."""
        check_options(self)
        if isinstance(self.optimizer, str):
            check_choice("optimizer", self.optimizer, OPTIMIZERS)
        activations.plain(self.activation)

    def synapse_matrices(self, net: FeedbackState) -> list[Float[Array, "receivers senders"]]:
        """Return the weights of each layer."""
        return [weight.T for weight in net.network.weights]

    def _transformation(self, theta: LearningRate) -> optax.GradientTransformation:
        make = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
        return make(theta.learning_rate)

    def init(self, key: PRNGKeyArray) -> LearningRate:
        """Return the learning rate as θ."""
        return LearningRate(jnp.asarray(self.learning_rate, float))

    def init_network(self, theta: LearningRate, key: PRNGKeyArray, sizes: Sizes) -> FeedbackState:
        """Draw a network of `sizes` units, input first, or of any wiring, and its feedback.

        Forward weights are those that `Backprop` draws from this key. Feedback is drawn like them,
        of variance one over the number of receivers that an error comes from.
        """
        wiring = as_wiring(sizes)
        network: Any = draw_perceptron(key, wiring)  # optax's own types know no modules
        k_feedback = jax.random.fold_in(key, len(wiring.layers))
        feedback = []
        for index, layer in enumerate(wiring.layers):
            k = jax.random.fold_in(k_feedback, index)
            if self.direct:
                if index < len(wiring.layers) - 1:
                    drawn = jax.random.normal(k, (layer.shape.units, wiring.outputs))
                    feedback.append(drawn / jnp.sqrt(wiring.outputs))
                continue
            drawn = jax.random.normal(k, (1, layer.rows, layer.senders))
            feedback.append(
                tuple(
                    c.turned(part / jnp.sqrt(c.backward_fan_in)) if c.source else None
                    for c, part in layer.parts(drawn)
                )
            )
        optimizer = self._transformation(theta).init(network)
        return FeedbackState(network, tuple(feedback), optimizer)

    def update(
        self,
        theta: LearningRate,
        net: FeedbackState,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[FeedbackState, Float[Array, "batch out"]]:
        """Take one optimiser step; without labels nothing changes."""
        sizes = net.network.sizes
        check_batch(x, y, (sizes[0], sizes[-1]))
        activation = activations.plain(self.activation)
        signals, drives = net.network.signals(x, activation)
        logits = signals[-1][0].T
        if y is None:
            return net, logits
        if isinstance(y, Targets):
            error = jax.grad(y.loss)(logits).T[None]
        else:
            squash = jax.nn.sigmoid if y.shape[1] == 1 else jax.nn.softmax
            error = (squash(logits) - y).T[None] / len(x)
        errors = self._errors(net, drives, error, activation)
        met = [
            meeting(layer, signals, error)
            for layer, error in zip(net.network.wired.layers, errors, strict=True)
        ]
        weights, biases = zip(*met, strict=True)
        gradient: Any = Perceptron(weights, biases, net.network.wiring)
        network: Any = net.network
        change, state = updates(self._transformation(theta), gradient, net.optimizer, network)
        changed: Any = optax.apply_updates(network, change)
        return FeedbackState(changed, net.feedback, state), logits

    def _errors(
        self,
        net: FeedbackState,
        drives: list[Signal],
        error: Signal,
        activation: Callable[[Array], Array],
    ) -> list[Signal]:
        """Return the error of every layer but the input, given that of the last."""
        wiring = net.network.wired
        errors = [*drives[:-1], error]
        for index in range(len(drives) - 2, -1, -1):
            if self.direct:
                arriving = jnp.einsum("io,kob->kib", net.feedback[index], error)
            else:
                arriving = jnp.zeros_like(drives[index])
                for upper, place in wiring.above(index + 1):
                    c, coming = wiring.layers[upper].connections[place], errors[upper]
                    if c.block is not None:
                        coming = c.back_heard(coming, net.feedback[upper][place])
                    arriving = arriving + c.unhear(coming)
            errors[index] = jax.vjp(activation, drives[index])[1](arriving)[0]
        return errors

    def predict(
        self, theta: LearningRate, net: FeedbackState, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the logits."""
        sizes = net.network.sizes
        check_batch(x, None, (sizes[0], sizes[-1]))
        return net.network(x, activations.plain(self.activation))[-1]
