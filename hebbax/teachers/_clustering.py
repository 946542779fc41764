"""Cloning of an online clustering, from which meta-training of the unsupervised rule can start.

Every unit of a layer stands for a cluster. With the layer's inputs x, centred over the batch, and
its activities y, standardised over the batch, the share of example b that is unit k's is

    r_bk = exp(s y_bk) / Σ_l exp(s y_bl)

as in soft competitive learning (Nowlan, NIPS 1989), s being the sharpness. A unit is wrong about
example b by q_bk = r̂_bk − α y_bk, where r̂ is r, standardised likewise: with α = 0 weights go to
the centres of clusters, and with more of it what all inputs have in common counts less than what
tells clusters apart, as by the delta rule. The weights w_k into the unit step along

    c_jk = mean_b (x_bj − κ Σ_l w_jl y_bl) q_bk,

that is only towards what the layer's activities do not tell of its inputs already, as in nonlinear
PCA (Karhunen and Joutsensalo, Neural Networks 1994). κ is the number with which c has nothing
along what is taken away. Derivatives of the activation function are nowhere.

In the *individual* form each unit has its own κ_k, with which c_k has nothing along what is taken
away, and instead of α its own α v_k. v_k, the mean over the batch of y_bk |y_bk|, says how far the
unit leans to its active side: up to 1 for rectified units that are seldom active, 0 for symmetric
ones, whose features α spoils.

In the rule, competition can come about through `TopD`, where units are mixed, the outer product of
x with anything through the low-rank readouts of hidden states, and what is taken away through the
planes that multiply weights with products of the units above them.
"""

import dataclasses
import itertools
from typing import Annotated, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax._errors import check_choice
from hebbax._options import AT_LEAST_1, POSITIVE, Range, check_options
from hebbax.outer.objectives import AbstractObjective, Value
from hebbax.rules.unsupervised import ACTIVATIONS, PULL, Network, columns, standardized

Matrix = Float[Array, "lower upper"]

_EPSILON = 1e-12


def clustering(
    x: Float[Array, "batch lower"],
    w: Matrix,
    y: Float[Array, "batch upper"],
    sharpness: float,
    residual: float,
    individual: bool = False,
) -> Matrix:
    """Return c of the module's description, each column brought to RMS one.

    **Arguments:** the inputs `x`, the weights `w` and the activities `y` of a layer; `sharpness`,
    s; `residual`, α; whether the form is the `individual` one.
    """
    y = standardized(y)
    of, leaning = None, jnp.ones((1, 1), y.dtype)
    if individual:
        of, leaning = 0, jnp.mean(y * jnp.abs(y), axis=0, keepdims=True)
    q = standardized(jax.nn.softmax(sharpness * y, axis=1)) - residual * leaning * y
    towards = (x - jnp.mean(x, axis=0, keepdims=True)).T @ q
    told = columns(w) @ (y.T @ q)
    along = jnp.sum(towards * told, of, keepdims=True)
    c = towards - told * (along / (jnp.sum(told**2, of, keepdims=True) + _EPSILON))
    # With less of an epsilon than other normalisations have: c of dim images is tiny.
    return c * jax.lax.rsqrt(jnp.mean(c**2, axis=0, keepdims=True) + _EPSILON)


class CloneClustering(AbstractObjective):
    """How far the changes of weights are from an online clustering (see the module).

    Each update of a lifetime is judged by itself: no gradient passes from one to the next, and the
    networks are those that the rule itself makes. The loss is the mean square of the difference
    between the learned part of the change of weights and `-size * c`, as part of `size` squared:
    1 for a rule that changes nothing. Labels are not used, and nothing is told about biases.

    **Arguments** besides those of all objectives; there is no `query`, for nothing is asked at the
    end of a lifetime:

    - `units`: of the networks' last layer.
    - `sharpness`, `residual`: s and α of the clustering.
    - `individual`: whether α and κ are each unit's own.
    - `size`: RMS of the learned part of the change of a unit's weights, in (0, 1).
    - `activations`: activation functions that a network's neurons have in turn, another at each
      update, so that the rule learns to do with any of them; () for the rule's own.
    - `slopes`: what these functions' arguments are multiplied by, in turn, positive: the next one
      each time all `activations` have been. A steep sigmoid is nearly a step.

    **Raises:** `ValueError` for values out of range.
    """

    skips: ClassVar[bool] = False

    # What episodes are asked for: there is always one query.
    query: int = eqx.field(static=True, default=1, init=False)
    units: Annotated[int, AT_LEAST_1] = eqx.field(static=True, default=32)
    sharpness: Annotated[float, POSITIVE] = eqx.field(static=True, default=5.0)
    residual: Annotated[float, Range(0, 1, open_high=True)] = eqx.field(static=True, default=0.4)
    individual: bool = eqx.field(static=True, default=False)
    size: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = eqx.field(
        static=True, default=0.6
    )
    activations: tuple[str, ...] = eqx.field(static=True, default=())
    slopes: Annotated[tuple[float, ...], POSITIVE] = eqx.field(static=True, default=(1.0,))

    def __check_init__(self) -> None:
        """Refuse settings out of range."""
        check_options(self)
        for activation in self.activations:
            check_choice("activations", activation, ACTIVATIONS)
        if not self.slopes:
            raise ValueError("slopes must hold at least one number; got ().")

    @property
    def supervised(self) -> bool:
        """Whether the rule is shown the labels: it is not."""
        return False

    @property
    def outputs(self) -> int:
        """Units of the networks' last layer."""
        return self.units

    def unroll_and_judge(
        self, rule: Any, theta: Any, net: Network, episode: Any, first: Any = 0, taken: Any = None
    ) -> tuple[Network, Value]:
        """Compare the change of every layer at every update; `taken` must be None."""
        if taken is not None:
            raise ValueError("CloneClustering needs truncations that are all of one length.")

        def update(net: Network, at: tuple[Any, Float[Array, "batch in"]]) -> tuple[Network, Any]:
            index, x = at
            net, own = jax.lax.stop_gradient(net), self._in_turn(rule, index)
            after = own.update(theta, net, x, None)[0]
            return after, self._compare(own, net, after, x)

        indices = first + jnp.arange(len(episode.x))
        net, (losses, cosines) = jax.lax.scan(update, net, (indices, episode.x))
        return net, (jnp.mean(losses), {"cosine": jnp.mean(cosines)})

    def _in_turn(self, rule: Any, index: Any) -> Any:
        """Return the rule with the neurons that update number `index` is made with."""
        names = self.activations or (rule.activation,)
        if len(names) == 1 and self.slopes == (1.0,):
            return dataclasses.replace(rule, activation=names[0])
        functions = [
            dataclasses.replace(rule, activation=name).activation_function for name in names
        ]
        slopes = jnp.asarray(self.slopes)

        def activation(z: Array) -> Array:
            slope = slopes[index // len(functions) % len(slopes)]
            return jax.lax.switch(index % len(functions), functions, slope * z)

        return dataclasses.replace(rule, activation=activation)

    def _compare(
        self, rule: Any, net: Network, after: Network, x: Float[Array, "batch in"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return loss and mean cosine over all layers."""
        losses, cosines = [], []
        active = [of_layer.x for of_layer in rule.forward(net, x)]
        pairs = itertools.pairwise(active)
        for (below, own), old, new in zip(pairs, net.layers, after.layers, strict=True):
            w = columns(old.weight)
            kept = (1 - rule.step_size) * old.weight
            learned = (kept - new.weight) / rule.step_size + PULL * w
            c = -self.size * clustering(
                below, old.weight, own, self.sharpness, self.residual, self.individual
            )
            losses.append(jnp.mean((learned - c) ** 2) / self.size**2)
            cosines.append(jnp.mean(columns(learned) * columns(c)))
        return jnp.mean(jnp.stack(losses)), jnp.mean(jnp.stack(cosines))
