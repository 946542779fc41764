"""Cloning of an online clustering, from which meta-training of the unsupervised rule can start.

Every unit of a layer stands for a cluster. With the layer's inputs x, centred over the batch, and
its pre-activations z, standardised over the batch, the share of example b that is unit k's is

    r_bk = exp(s z_bk) / Σ_l exp(s z_bl)

as in soft competitive learning (Nowlan, NIPS 1989), s being the sharpness, and the weights into the
unit step along

    c_jk = mean_b x_bj (r̂_bk − α z_bk),

where r̂ is r, standardised likewise. With α = 0 weights go to the centres of clusters. The second
term is that of the delta rule: where c is along the weights, they solve a regression on the unit's
own r, with a penalty that grows as α falls. What inputs have in common counts less then than what
tells clusters apart.

In the rule, competition can come about through `TopD`, where units are mixed, and the outer product
of x with anything through the low-rank readouts of hidden states.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax.meta.objectives import AbstractObjective, Value
from hebbax.rules.unsupervised.network import Network
from hebbax.rules.unsupervised.planes import PULL, columns, standardized

Matrix = Float[Array, "lower upper"]

_EPSILON = 1e-12


def clustering(
    x: Float[Array, "batch lower"], w: Matrix, sharpness: float, residual: float
) -> Matrix:
    """Return c of the module's description, each column brought to RMS one.

    **Arguments:** the inputs `x` and the weights `w` of a layer; `sharpness`, s; `residual`, α.
    """
    z = standardized(x @ w)
    share = standardized(jax.nn.softmax(sharpness * z, axis=1))
    centred = x - jnp.mean(x, axis=0, keepdims=True)
    c = centred.T @ (share - residual * z) / len(x)
    # With less of an epsilon than other normalisations have: c of dim images is tiny.
    return c * jax.lax.rsqrt(jnp.mean(c**2, axis=0, keepdims=True) + _EPSILON)


class CloneClustering(AbstractObjective):
    """How far the changes of weights are from an online clustering (see the module).

    Each update of a lifetime is judged by itself: no gradient passes from one to the next, and the
    networks are those that the rule itself makes. The loss is the mean square of the difference
    between the learned part of the change of weights and `-size * c`, as part of `size` squared:
    1 for a rule that changes nothing. Labels are not used, and nothing is told about biases.

    **Arguments** besides those of all objectives; `query` is not used:

    - `units`: of the networks' last layer.
    - `sharpness`, `residual`: s and α of the clustering.
    - `size`: RMS of the learned part of the change of a unit's weights, in (0, 1).

    **Raises:** `ValueError` for values out of range.
    """

    query: int = eqx.field(static=True, default=1)
    units: int = eqx.field(static=True, default=32)
    sharpness: float = eqx.field(static=True, default=5.0)
    residual: float = eqx.field(static=True, default=0.4)
    size: float = eqx.field(static=True, default=0.6)

    def __check_init__(self) -> None:
        """Refuse settings out of range."""
        if self.units < 1:
            raise ValueError(f"units must be at least 1; got {self.units}.")
        if not 0 < self.sharpness < math.inf:
            raise ValueError(f"sharpness must be positive and finite; got {self.sharpness}.")
        if not 0 <= self.residual < 1:
            raise ValueError(f"residual must be in [0, 1); got {self.residual}.")
        if not 0 < self.size < 1:
            raise ValueError(f"size must be in (0, 1); got {self.size}.")

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

        def update(net: Network, x: Float[Array, "batch in"]) -> tuple[Network, Any]:
            net = jax.lax.stop_gradient(net)
            after = rule.update(theta, net, x, None)[0]
            return after, self._compare(rule, net, after, x)

        net, (losses, cosines) = jax.lax.scan(update, net, episode.x)
        return net, (jnp.mean(losses), {"cosine": jnp.mean(cosines)})

    def _compare(
        self, rule: Any, net: Network, after: Network, x: Float[Array, "batch in"]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return loss and mean cosine over all layers."""
        losses, cosines = [], []
        for seen, old, new in zip(rule.forward(net, x), net.layers, after.layers, strict=False):
            w = columns(old.weight)
            kept = (1 - rule.step_size) * old.weight
            learned = (kept - new.weight) / rule.step_size + PULL * w
            c = -self.size * clustering(seen.x, old.weight, self.sharpness, self.residual)
            losses.append(jnp.mean((learned - c) ** 2) / self.size**2)
            cosines.append(jnp.mean(columns(learned) * columns(c)))
        return jnp.mean(jnp.stack(losses)), jnp.mean(jnp.stack(cosines))
