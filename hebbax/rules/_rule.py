"""What every learning rule is: four pure functions of explicit arguments."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from hebbax.losses import Targets
from hebbax.networks import Wiring, mlp
from hebbax.rules._plasticity import Plasticity
from hebbax.rules._sections import Section, all_arrays

Sizes = Sequence[int] | Wiring
"""What networks are drawn of: units of each layer of a chain of dense ones, or any wiring."""
Told = Float[Array, "batch out"] | Targets | None
"""What an update is told of its batch: one-hot labels, other targets and what they ask for, or
nothing."""


class AbstractRule(eqx.Module):
    """A family of learning rules.

    An instance holds hyper-parameters only, so it is hashable and has no array leaves. The
    meta-parameters θ (what the outer loop learns) and the network state φ (what the inner loop
    changes) are pytrees that go in and come out. No method is jitted: the caller decides.

    Four methods make a rule; the others say what is true of it, and have answers that suit a
    supervised rule whose predictions do not depend on each other.
    """

    # What makes a rule

    @abstractmethod
    def init(self, key: PRNGKeyArray) -> PyTree:
        """Draw fresh meta-parameters θ."""

    @abstractmethod
    def init_network(self, theta: PyTree, key: PRNGKeyArray, sizes: Sizes) -> PyTree:
        """Draw a fresh network state φ.

        `sizes` counts the units of each layer, input first: `(100, 64, 10)`; or is the wiring of
        any architecture that the rule takes, as `networks.cnn().bind(784, 10, (28, 28, 1))`.
        """

    @abstractmethod
    def update(
        self,
        theta: PyTree,
        net: PyTree,
        x: Float[Array, "batch in"],
        y: Any,
    ) -> tuple[PyTree, Float[Array, "batch out"]]:
        """Apply the rule to one batch.

        `y` is one-hot in {0, 1}; or `losses.Targets` of another kind, which know their loss and
        their feedback; or None where there is no label. Returns the changed network and what it
        predicted *before* the change.
        """

    @abstractmethod
    def predict(
        self, theta: PyTree, net: PyTree, x: Float[Array, "batch in"]
    ) -> Float[Array, "batch out"]:
        """Return what the network says of `x`: logits, or features where there are no labels."""

    # What a rule says of itself

    @property
    def learns_from_labels(self) -> bool:
        """Whether networks learn what labels say, so that their outputs are logits.

        If not, outputs are features, and accuracy means nothing.
        """
        return True

    @property
    def learns_without_labels(self) -> bool:
        """Whether an update with `y=None` changes the network."""
        return False

    @property
    def least_batch(self) -> int:
        """The fewest rows from which an update can learn anything."""
        return 1

    @property
    def most_batch(self) -> int | None:
        """Rows of which more are learnt from so many at a time, in turn.

        None where all rows of an update, however many, make one change.
        """
        return None

    @property
    def normalizes_hidden(self) -> bool:
        """Whether what arrives at hidden layers is normalised over the batch.

        Opponents are given the same: `hebbax.best_backprop(…, normalization="batch")`.
        """
        return False

    @property
    def normalizes_last(self) -> bool:
        """Whether what arrives at the last layer is, too."""
        return False

    @property
    def synapse_layers(self) -> int | None:
        """How many layers of synapses its networks must have; None for any number."""
        return None

    def hand_set(self) -> Sequence[tuple[float, PyTree]]:
        """Return step sizes, each with θ as a hand would set it; none if nobody could.

        How far a found θ is ahead of the best of them is what meta-training added, see
        `hebbax.best_untrained`.
        """
        return ()

    def outputs_for(self, wanted: int) -> int:
        """Return how many outputs networks have where a task asks for `wanted`."""
        return wanted

    @property
    def predicts_alone(self) -> bool:
        """Whether `predict` says the same of a row whatever other rows it is asked about.

        If not, `measure` and `predict_alone` make predictions that do.
        """
        return True

    def measure(self, theta: PyTree, net: PyTree, x: Float[Array, "batch in"]) -> PyTree:
        """Return what `predict_alone` has to know of some rows, such as their statistics."""
        return None

    def predict_alone(
        self, theta: PyTree, net: PyTree, x: Float[Array, "batch in"], measured: PyTree
    ) -> Float[Array, "batch out"]:
        """Return what the network says of each row by itself, given what `measure` returned."""
        return self.predict(theta, net, x)

    def synapse_matrices(self, net: PyTree) -> Sequence[Float[Array, "receivers senders"]]:
        """Return the forward synapses of a network for a picture, a matrix a layer, input first.

        Biases are left out.

        **Raises:** `NotImplementedError` if the rule does not say, or its synapses are no numbers.
        """
        raise NotImplementedError(
            f"the synapses of a {type(self).__name__} are not known: it has no method "
            f"`synapse_matrices`."
        )

    def sections(self, theta: PyTree) -> tuple[Section, ...]:
        """Return the arrays of θ as a page shows them; by default all, by their fields' names."""
        return (all_arrays(theta),)

    @classmethod
    def from_hyperparameters(cls, values: dict[str, Any]) -> "AbstractRule":
        """Return the rule with the hyper-parameters that a rule file holds, by name.

        A family whose options were renamed reads those of older files here.

        **Raises:** `ValueError` or `TypeError` if it has no such options.
        """
        return cls(**values)

    def plasticity(
        self,
        theta: PyTree,
        net: PyTree,
        x: Float[Array, "batch in"],
        y: Any,
    ) -> Plasticity:
        """Return the change that `update` makes as a function of the signals that synapses read.

        For `hebbax.analysis.locality`; rules may go without.

        **Raises:** `NotImplementedError` if the rule does not say.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not say which signals its synapses read: it has no method "
            f"`plasticity`."
        )


def as_wiring(sizes: Sizes) -> Wiring:
    """Return how a network is wired; `sizes` are those of a chain of dense layers, or a wiring.

    **Raises:** `ValueError` if there are fewer than two layers or a layer has no unit.
    """
    if isinstance(sizes, Wiring):
        return sizes
    inputs, *hidden, outputs = check_sizes(sizes)
    return mlp(*hidden).bind(inputs, outputs)


def check_sizes(sizes: Sizes) -> tuple[int, ...]:
    """Return `sizes`, or those of a wiring that is a chain of dense layers, as a tuple of ints.

    **Raises:** `ValueError` if there are fewer than two layers or a layer has no unit, or layers
    that are not dense or hear from others than the one below.
    """
    if isinstance(sizes, Wiring):
        if sizes.chain is None:
            raise ValueError(
                f"this rule takes dense layers that hear from the one below only, such as "
                f"networks.mlp(64, 64); got {'; '.join(layer.name for layer in sizes.layers)}."
            )
        return sizes.chain
    sizes = tuple(int(size) for size in sizes)
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(
            f"sizes must hold at least two positive layer sizes, input first and output last; "
            f"got {sizes}."
        )
    return sizes


def check_batch(x: Any, y: Any, sizes: tuple[int, int]) -> None:
    """Raise `ValueError` unless `x` is [batch, in], `y` [batch, out] or None, as `sizes` says."""
    inputs, outputs = sizes
    if x.ndim != 2 or x.shape[1] != inputs:
        raise ValueError(
            f"x must have the shape [batch, {inputs}] that this network was made for; "
            f"got {list(x.shape)}."
        )
    if isinstance(y, Targets):
        rows = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(y.values)}
        if rows != {x.shape[:1]}:
            raise ValueError(
                f"targets must have a row for each of the {x.shape[0]} rows of x; "
                f"got {', '.join(str(list(r)) for r in sorted(rows)) or 'none'}."
            )
    elif y is not None and y.shape != (x.shape[0], outputs):
        raise ValueError(
            f"y must be one-hot with the shape [{x.shape[0]}, {outputs}], one row for each row "
            f"of x and one column for each output; got {list(y.shape)}."
        )
