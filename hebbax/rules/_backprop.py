"""`Backprop`: gradient descent on the loss, the learner to be compared with."""

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
from hebbax.losses import Targets, cross_entropy
from hebbax.rules import activations
from hebbax.rules._perceptron import Perceptron, draw_perceptron
from hebbax.rules._rule import AbstractRule, Sizes, Told, check_batch

ADAM_ROOT = 1e-30
"""Under the root of Adam's second moment: where a synapse never met a gradient, that of the root is
finite. Too small to change a bit of the step where it did."""
OPTIMIZERS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "adam": lambda rate: optax.adam(rate, eps_root=ADAM_ROOT),
}


class LearningRate(eqx.Module):
    """Meta-parameters of a learner with one knob: `learning_rate`, a positive scalar."""

    learning_rate: Float[Array, ""]


class BackpropState(eqx.Module):
    """Network state of `Backprop`: the perceptron and the optimiser's state."""

    network: Perceptron
    optimizer: PyTree


class Backprop(AbstractRule):
    """Backpropagation of the mean cross-entropy, or of what targets ask for, with optax.

    **Arguments:**

    - `optimizer`: `sgd`, `momentum` (0.9), `adam`, or a function from a learning rate to an
      `optax.GradientTransformation`. `adam` is `optax.adam(rate, eps_root=1e-30)`: without
      `eps_root` its meta-gradient is NaN as soon as a gradient is exactly zero, as of an input that
      never changes.
    - `learning_rate`: what `init` puts into θ.
    - `activation`: of the hidden layers; see `activations.NAMES`, the plain ones.
    """

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

    def synapse_matrices(self, net: BackpropState) -> list[Float[Array, "receivers senders"]]:
        """Return the weights of each layer."""
        return [weight.T for weight in net.network.weights]

    def _transformation(self, theta: LearningRate) -> optax.GradientTransformation:
        make = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
        return make(theta.learning_rate)

    def init(self, key: PRNGKeyArray) -> LearningRate:
        """Return the learning rate as θ."""
        return LearningRate(jnp.asarray(self.learning_rate, float))

    def init_network(self, theta: LearningRate, key: PRNGKeyArray, sizes: Sizes) -> BackpropState:
        """Draw a perceptron of `sizes` units, input first, or of any wiring."""
        network: Any = draw_perceptron(key, sizes)  # optax's own types know no modules
        return BackpropState(network, self._transformation(theta).init(network))

    def _logits(self, network: Perceptron, x: Float[Array, "batch in"]) -> Float[Array, "batch _"]:
        return network(x, activations.plain(self.activation))[-1]

    def update(
        self,
        theta: LearningRate,
        net: BackpropState,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[BackpropState, Float[Array, "batch out"]]:
        """Take one optimiser step; without labels nothing changes."""
        sizes = net.network.sizes
        check_batch(x, y, (sizes[0], sizes[-1]))
        if y is None:
            return net, self._logits(net.network, x)

        def loss(network: Perceptron) -> tuple[Array, Array]:
            logits = self._logits(network, x)
            value = y.loss(logits) if isinstance(y, Targets) else cross_entropy(logits, y)
            return value, logits

        gradient, logits = jax.grad(loss, has_aux=True)(net.network)
        network: Any = net.network
        change, state = updates(self._transformation(theta), gradient, net.optimizer, network)
        changed: Any = optax.apply_updates(network, change)
        return BackpropState(changed, state), logits

    def predict(
        self, theta: LearningRate, net: BackpropState, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the logits."""
        sizes = net.network.sizes
        check_batch(x, None, (sizes[0], sizes[-1]))
        return self._logits(net.network, x)
