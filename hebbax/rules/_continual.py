"""`ContinualBackprop`: backpropagation that replaces units which are of little use."""

from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from hebbax._optax import updates
from hebbax._options import NOT_NEGATIVE, SHARE, check_options
from hebbax.losses import Targets, cross_entropy
from hebbax.rules import activations
from hebbax.rules._backprop import ADAM_ROOT, LearningRate
from hebbax.rules._perceptron import Perceptron, draw_perceptron
from hebbax.rules._rule import AbstractRule, Sizes, Told, check_batch, check_sizes


class ContinualState(eqx.Module):
    """Network state of `ContinualBackprop`.

    **Fields:**

    - `network`: the perceptron.
    - `optimizer`: Adam's state.
    - `count`: updates so far.
    - `utility`, `age` `[hidden]`: of each hidden layer's units.
    - `owed` `[hidden layers]`: parts of a unit that are to be replaced.
    - `key`: what draws new synapses.
    """

    network: Perceptron
    optimizer: PyTree
    count: Int[Array, ""]
    utility: tuple[Float[Array, " _"], ...]
    age: tuple[Float[Array, " _"], ...]
    owed: tuple[Float[Array, ""], ...]
    key: PRNGKeyArray


class ContinualBackprop(AbstractRule):
    """Continual backpropagation (Dohare et al., 2024, algorithm 1), with Adam's steps.

    Of the hidden units that are old enough, a small share with the least utility is replaced: new
    synapses from below, none to above, moments of zero. Utility is the mean over past updates of
    a unit's mean absolute activity times the sum of its absolute synapses to above.

    **Arguments:**

    - `replacement`: share of a layer's old units that is replaced at each update.
    - `maturity`: updates before which a unit is not old enough.
    - `decay`: of utilities, at each update.
    - `learning_rate`: what `init` puts into θ.
    - `activation`: of the hidden layers, a plain one of `activations.NAMES`.

    Networks are fully connected.
    """

    replacement: Annotated[float, SHARE] = eqx.field(static=True, default=1e-4)
    maturity: Annotated[float, NOT_NEGATIVE] = eqx.field(static=True, default=100.0)
    decay: Annotated[float, SHARE] = eqx.field(static=True, default=0.99)
    learning_rate: Annotated[float, NOT_NEGATIVE] = eqx.field(static=True, default=1e-3)
    activation: str = eqx.field(static=True, default="relu")

    def __check_init__(self) -> None:
        """Refuse options that are unknown or out of range, by name."""
        check_options(self)
        activations.plain(self.activation)

    def init(self, key: PRNGKeyArray) -> LearningRate:
        """Return the learning rate as θ."""
        return LearningRate(jnp.asarray(self.learning_rate, float))

    def init_network(self, theta: LearningRate, key: PRNGKeyArray, sizes: Sizes) -> ContinualState:
        """Draw a perceptron of `sizes` units, input first."""
        sizes = check_sizes(sizes)
        network: Any = draw_perceptron(key, sizes)  # optax's own types know no modules
        units = tuple(jnp.zeros(size) for size in sizes[1:-1])
        owed = tuple(jnp.zeros(()) for _ in units)
        optimizer = _adam(theta).init(network)
        count = jnp.zeros((), jnp.int32)
        return ContinualState(
            network, optimizer, count, units, units, owed, jax.random.fold_in(key, 1)
        )

    def predict(
        self, theta: LearningRate, net: ContinualState, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return the logits."""
        check_batch(x, None, (net.network.sizes[0], net.network.sizes[-1]))
        return net.network(x, activations.plain(self.activation))[-1]

    def update(
        self,
        theta: LearningRate,
        net: ContinualState,
        x: Float[Array, "batch in"],
        y: Told,
    ) -> tuple[ContinualState, Float[Array, "batch out"]]:
        """Take a step of Adam and replace units; without labels nothing changes."""
        check_batch(x, y, (net.network.sizes[0], net.network.sizes[-1]))
        if y is None:
            return net, self.predict(theta, net, x)

        def loss(network: Perceptron) -> tuple[Array, list[Array]]:
            layers = network(x, activations.plain(self.activation))
            value = y.loss(layers[-1]) if isinstance(y, Targets) else cross_entropy(layers[-1], y)
            return value, layers

        gradient, layers = jax.grad(loss, has_aux=True)(net.network)
        network: Any = net.network
        change, (adam, *rest) = updates(_adam(theta), gradient, net.optimizer, network)
        network = optax.apply_updates(network, change)
        weights, biases = list(network.weights), list(network.biases)
        moved = [(list(m.weights), list(m.biases)) for m in (adam.mu, adam.nu)]
        utilities, ages, owed = [], [], []
        for layer, active in enumerate(layers[:-1]):
            above = jnp.sum(jnp.abs(weights[layer + 1]), axis=1)
            use = jnp.mean(jnp.abs(active), axis=0) * above
            utility = self.decay * net.utility[layer] + (1 - self.decay) * use
            age = net.age[layer] + 1
            old = age > self.maturity
            due = net.owed[layer] + self.replacement * jnp.sum(old).astype(use.dtype)
            # As decays differ, young units' utilities are brought to one scale.
            fair = utility / (1 - self.decay**age)
            worst = jnp.argmin(jnp.where(old, fair, jnp.inf))
            gone = (jnp.arange(len(age)) == worst) & (due >= 1) & old[worst]
            fresh = jax.random.normal(
                jax.random.fold_in(jax.random.fold_in(net.key, layer), net.count),
                weights[layer].shape,
            ) / jnp.sqrt(weights[layer].shape[0])
            weights[layer] = jnp.where(gone[None], fresh, weights[layer])
            biases[layer] = jnp.where(gone, 0.0, biases[layer])
            weights[layer + 1] = jnp.where(gone[:, None], 0.0, weights[layer + 1])
            for ws, bs in moved:
                ws[layer] = jnp.where(gone[None], 0.0, ws[layer])
                bs[layer] = jnp.where(gone, 0.0, bs[layer])
                ws[layer + 1] = jnp.where(gone[:, None], 0.0, ws[layer + 1])
            utilities.append(jnp.where(gone, 0.0, utility))
            ages.append(jnp.where(gone, 0.0, age))
            owed.append(due - jnp.any(gone).astype(due.dtype))
        first, second = (Perceptron(tuple(ws), tuple(bs)) for ws, bs in moved)
        changed = ContinualState(
            Perceptron(tuple(weights), tuple(biases)),
            (adam._replace(mu=first, nu=second), *rest), net.count + 1,
            tuple(utilities), tuple(ages), tuple(owed), net.key,
        )  # fmt: skip
        return changed, layers[-1]


def _adam(theta: LearningRate) -> optax.GradientTransformation:
    return optax.adam(theta.learning_rate, eps_root=ADAM_ROOT)
