"""The network state φ of the unsupervised rule, and the base model's forward pass.

Layers are `[batch, units]`.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

WEIGHT_DEVIATION = 0.01
BIAS_DEVIATION = 0.1
# Added to a variance under the root, as in the authors' program.
_EPSILON = 1e-6


class Layer(eqx.Module):
    """What a layer of the base model learns.

    **Fields:**

    - `weight` `[lower, upper]`: W, of the forward pass.
    - `bias` `[upper]`: b, added after the normalisation.
    - `backward` `[lower, upper]`: V, which carries the error signal down.
    """

    weight: Float[Array, "lower upper"]
    bias: Float[Array, " upper"]
    backward: Float[Array, "lower upper"]


class Network(eqx.Module):
    """A fully connected network with batch normalisation; `layers` input side first."""

    layers: tuple[Layer, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, input first."""
        first, *rest = (layer.weight.shape for layer in self.layers)
        return (*first, *(shape[1] for shape in rest))


class Activity(NamedTuple):
    """Pre-activations `z` and activations `x` of a layer, `[batch, units]`.

    Of the input layer both are the input.
    """

    z: Float[Array, "batch units"]
    x: Float[Array, "batch units"]


def draw_network(key: PRNGKeyArray, sizes: Sequence[int]) -> Network:
    """Draw W and V, independent of each other, and b: small normals cut off at two deviations."""
    layers = []
    for index, (lower, upper) in enumerate(itertools.pairwise(sizes)):
        keys = jax.random.split(jax.random.fold_in(key, index), 3)

        def draw(key: PRNGKeyArray, *shape: int) -> Float[Array, "..."]:
            return jax.random.truncated_normal(key, -2.0, 2.0, shape)

        layers.append(
            Layer(
                weight=WEIGHT_DEVIATION * draw(keys[0], lower, upper),
                bias=BIAS_DEVIATION * draw(keys[1], upper),
                backward=WEIGHT_DEVIATION * draw(keys[2], lower, upper),
            )
        )
    return Network(tuple(layers))


class LayerMoments(NamedTuple):
    """Mean and variance `[units]` of what a layer receives, before its normalisation."""

    mean: Float[Array, " units"]
    variance: Float[Array, " units"]


def run_forward(
    net: Network,
    x: Float[Array, "batch in"],
    activation: Callable[[Array], Array],
    moments: tuple[LayerMoments, ...] | None = None,
) -> list[Activity]:
    """Return the activity of all layers, the input first ("Base Model" of the appendix).

    Every layer is normalised by the mean and the variance of each unit over this batch, the top
    layer too, so no column's size matters, and features depend on the batch that they are
    computed in; unless `moments`, one of each layer but the input, are to be used instead.
    """
    return _run(net, x, activation, moments)[0]


def measure(
    net: Network, x: Float[Array, "batch in"], activation: Callable[[Array], Array]
) -> tuple[LayerMoments, ...]:
    """Return the moments that `run_forward` normalises this batch by, of all layers but x."""
    return _run(net, x, activation, None)[1]


def _run(
    net: Network,
    x: Float[Array, "batch in"],
    activation: Callable[[Array], Array],
    moments: tuple[LayerMoments, ...] | None,
) -> tuple[list[Activity], tuple[LayerMoments, ...]]:
    activity, used = [Activity(x, x)], []
    for index, layer in enumerate(net.layers):
        a = activity[-1].x @ layer.weight
        if moments is None:
            mean = jnp.mean(a, axis=0)
            a = a - mean[None]
            used.append(LayerMoments(mean, jnp.mean(a**2, axis=0)))
        else:
            used.append(moments[index])
            a = a - used[-1].mean[None]
        z = a * jax.lax.rsqrt(used[-1].variance[None] + _EPSILON) + layer.bias[None]
        activity.append(Activity(z, activation(z)))
    return activity, tuple(used)
