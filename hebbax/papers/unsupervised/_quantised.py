"""A VAE of images whose values are quantised normals (Metz et al., app. on the mismatch)."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax.papers.unsupervised._trained import BATCH, Model, affine, draw_vae, linear, top

LEVELS = 256
"""Values that a pixel may have, evenly over [0, 1]."""
_NARROWEST = -6.0
"""Least logarithm of a deviation: less than half a level."""


class Bound(NamedTuple):
    """Minus the evidence lower bound in nats an image, and the two parts it is the sum of."""

    loss: Float[Array, ""]
    said: Float[Array, ""]
    divergence: Float[Array, ""]


def draw(key: PRNGKeyArray, sizes: Sequence[int]) -> Model:
    """Draw a VAE as `draw_vae` does, with a fourth head for the logarithms of deviations."""
    k_vae, k_head = jax.random.split(key)
    model = draw_vae(k_vae, sizes)
    weight = model.heads[2][0]
    deviations = linear(k_head, *weight.shape)
    return eqx.tree_at(lambda m: m.heads, model, (*model.heads, deviations))


def bound(model: Model, x: Float[Array, "n in"], key: PRNGKeyArray) -> Bound:
    """Return the bound of a batch, with one code drawn for each image."""
    assert model.decoder is not None
    seen = top(model.body, x)
    mean, log_variance = (affine(head, seen) for head in model.heads[:2])
    code = mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape)
    drawn = top(model.decoder, code)
    middle, deviation = (affine(head, drawn) for head in model.heads[2:])
    said = -jnp.sum(_log_share(x, middle, jnp.exp(jnp.maximum(deviation, _NARROWEST))), axis=1)
    divergence = jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance, axis=1) / 2
    return Bound(*(jnp.mean(part) for part in (said + divergence, said, divergence)))


def loss(model: Model, x: Float[Array, "n in"], key: PRNGKeyArray) -> Float[Array, ""]:
    """Return the bound of a batch of random rows."""
    k_rows, k_code = jax.random.split(key)
    rows = jax.random.randint(k_rows, (BATCH,), 0, len(x))
    return bound(model, x[rows], k_code).loss


def _log_share(x: Array, mean: Array, deviation: Array) -> Array:
    """Return the logarithm of how much of a normal lies within half a level of `x`."""
    half = 0.5 / (LEVELS - 1)
    # By symmetry to the left of the mean, where differences of the logarithms are exact.
    away = -jnp.abs(x - mean)
    far, near = (norm.logcdf((away + side) / deviation) for side in (-half, half))
    return near + jnp.log(-jnp.expm1(far - near))
