"""`Backprop`: gradient descent on the loss, the learner to be compared with."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from hebbax._errors import check_choice
from hebbax._optax import check_needs, updates
from hebbax._options import NOT_NEGATIVE, check_options
from hebbax.losses import Targets, cross_entropy
from hebbax.rules import activations
from hebbax.rules._normalized import Normalized
from hebbax.rules._perceptron import Perceptron, draw_perceptron
from hebbax.rules._rule import AbstractRule, Sizes, Told, check_batch
from hebbax.rules.blur._normalization import LEAST_NORMALIZED, WINDOW, Statistics, averaged

ADAM_ROOT = 1e-30
"""Under the root of Adam's second moment: where a synapse never met a gradient, that of the root is
finite. Too small to change a bit of the step where it did."""
OPTIMIZERS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "adam": lambda rate: optax.adam(rate, eps_root=ADAM_ROOT),
    "nadamw": lambda rate: optax.nadamw(rate, eps_root=ADAM_ROOT),
    "muon": lambda rate: optax.contrib.muon(rate, adam_eps_root=ADAM_ROOT),
}


class LearningRate(eqx.Module):
    """Meta-parameters of a learner with one knob: `learning_rate`, a positive scalar."""

    learning_rate: Float[Array, ""]


class BackpropState(eqx.Module):
    """Network state of `Backprop`.

    **Fields:**

    - `network`: the perceptron, inside what normalises it if anything does.
    - `optimizer`: the optimiser's state.
    - `statistics`, `updates`: what predictions are normalised by, and how many updates these have
      seen; None without normalisation.
    """

    network: Perceptron | Normalized
    optimizer: PyTree
    statistics: tuple[Statistics, ...] | None = None
    updates: Float[Array, ""] | None = None

    @property
    def perceptron(self) -> Perceptron:
        """The weights and biases."""
        network = self.network
        return network.network if isinstance(network, Normalized) else network


class Backprop(AbstractRule):
    """Backpropagation of the mean cross-entropy, or of what targets ask for, with optax.

    **Arguments:**

    - `optimizer`: `sgd`, `momentum` (0.9), `adam`, `nadamw`, `muon` (of the weights; Adam of all
      else), or a function from a learning rate to an `optax.GradientTransformation`. The adaptive
      ones have `eps_root=1e-30`: without it their meta-gradient is NaN as soon as a gradient is
      exactly zero, as of an input that never changes.
    - `learning_rate`: what `init` puts into θ.
    - `activation`: of the hidden layers; see `activations.NAMES`, the plain ones.
    - `normalization`: `batch` normalises what arrives at hidden layers over the batch, with gains
      and shifts that learn; None does not. Predictions use stored statistics, kept as `Blur`
      keeps its own: measured after each update, averaged with those of older ones.
    - `normalize_last`: whether the last layer is normalised too, as `Blur` can.
    """

    optimizer: str | Callable[[Any], optax.GradientTransformation] = eqx.field(
        static=True, default="adam"
    )
    learning_rate: Annotated[float, NOT_NEGATIVE] = eqx.field(static=True, default=1e-2)
    activation: str = eqx.field(static=True, default="tanh")
    normalization: Literal["batch"] | None = eqx.field(static=True, default=None)
    normalize_last: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        """Refuse options that are unknown or out of range, by name."""
        check_options(self)
        if isinstance(self.optimizer, str):
            check_choice("optimizer", self.optimizer, OPTIMIZERS)
        else:
            check_needs(self.optimizer(self.learning_rate))
        activations.plain(self.activation)
        if self.normalize_last and self.normalization is None:
            raise ValueError("normalize_last must be False without normalization; got True.")

    @property
    def least_batch(self) -> int:
        """Two where activations are normalised over the batch."""
        return 1 if self.normalization is None else LEAST_NORMALIZED

    @property
    def normalizes_hidden(self) -> bool:
        """Whether it has a normalisation at all."""
        return self.normalization is not None

    @property
    def normalizes_last(self) -> bool:
        """Whether the last layer has it too."""
        return self.normalize_last

    def synapse_matrices(self, net: BackpropState) -> list[Float[Array, "receivers senders"]]:
        """Return the weights of each layer."""
        return [weight.T for weight in net.perceptron.weights]

    def _transformation(self, theta: LearningRate) -> optax.GradientTransformation:
        make = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
        return make(theta.learning_rate)

    def init(self, key: PRNGKeyArray) -> LearningRate:
        """Return the learning rate as θ."""
        return LearningRate(jnp.asarray(self.learning_rate, float))

    def init_network(self, theta: LearningRate, key: PRNGKeyArray, sizes: Sizes) -> BackpropState:
        """Draw a perceptron of `sizes` units, input first, or of any wiring."""
        network: Any = draw_perceptron(key, sizes)  # optax's own types know no modules
        if self.normalization is None:
            return BackpropState(network, self._transformation(theta).init(network))
        normalized = Normalized.of(network, self.normalize_last)
        network = normalized
        optimizer = self._transformation(theta).init(network)
        return BackpropState(network, optimizer, normalized.fresh_statistics(), jnp.zeros(()))

    def _logits(
        self,
        network: Perceptron | Normalized,
        x: Float[Array, "batch in"],
        statistics: tuple[Statistics, ...] | None = None,
    ) -> Float[Array, "batch _"]:
        activation = activations.plain(self.activation)
        if isinstance(network, Normalized):
            return network(x, activation, statistics)[0]
        return network(x, activation)[-1]

    def _remembering(self, net: BackpropState, x: Float[Array, "batch in"]) -> BackpropState:
        """Store the statistics of a batch under the weights as they are now."""
        network = net.network
        if not isinstance(network, Normalized) or net.statistics is None or net.updates is None:
            return net
        _, measured = network(x, activations.plain(self.activation))
        statistics = averaged(measured, net.statistics, net.updates, WINDOW)
        after = (statistics, net.updates + 1)
        return eqx.tree_at(lambda n: (n.statistics, n.updates), net, after)

    def update(
        self,
        theta: LearningRate,
        net: BackpropState,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[BackpropState, Float[Array, "batch out"]]:
        """Take one optimiser step; without labels nothing changes."""
        sizes = net.perceptron.sizes
        check_batch(x, y, (sizes[0], sizes[-1]))
        if y is None:
            return net, self._logits(net.network, x, net.statistics)

        def loss(network: Perceptron | Normalized) -> tuple[Array, Array]:
            logits = self._logits(network, x)
            value = y.loss(logits) if isinstance(y, Targets) else cross_entropy(logits, y)
            return value, logits

        gradient, logits = jax.grad(loss, has_aux=True)(net.network)
        network: Any = net.network
        change, state = updates(self._transformation(theta), gradient, net.optimizer, network)
        changed: Any = optax.apply_updates(network, change)
        after = BackpropState(changed, state, net.statistics, net.updates)
        return self._remembering(after, x), logits

    def predict(
        self, theta: LearningRate, net: BackpropState, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the logits."""
        sizes = net.perceptron.sizes
        check_batch(x, None, (sizes[0], sizes[-1]))
        return self._logits(net.network, x, net.statistics)
