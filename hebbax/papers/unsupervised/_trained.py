"""Baselines that are trained by gradient descent: a VAE and supervised learning."""

from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from hebbax._optax import updates
from hebbax.papers.unsupervised._few_shot import Features, FewShot
from hebbax.rules.unsupervised import LayerMoments, Network, draw_network, run_forward
from hebbax.rules.unsupervised import measure as measure_moments


class Model(eqx.Module):
    """The rule's base model with linear maps on top, and for a VAE a decoder of mirrored sizes."""

    body: Network
    heads: tuple[tuple[Array, Array], ...]
    decoder: Network | None = None


def linear(key: PRNGKeyArray, inputs: int, outputs: int) -> tuple[Array, Array]:
    return jax.random.normal(key, (inputs, outputs)) / np.sqrt(inputs), jnp.zeros(outputs)


def affine(head: tuple[Array, Array], x: Array) -> Array:
    return x @ head[0] + head[1][None]


def top(net: Network, x: Array, moments: tuple[LayerMoments, ...] | None = None) -> Array:
    if not net.layers:
        return x
    return run_forward(net, x, jax.nn.relu, moments)[-1].x


ADAM = optax.scale_by_adam()


def train(
    loss: Any, model: PyTree, batches: Any, points: Sequence[int], rate: float, key: PRNGKeyArray
) -> Iterator[PyTree]:
    """Yield the model after each of `points` steps of Adam on `loss(model, batches, key)`.

    `batches` are what the loss draws from, by a key of its own at each step.
    """
    state, done = ADAM.init(model), 0
    for point in sorted(set(points)):
        span = jnp.asarray(done), jnp.asarray(point)
        model, state = _steps(loss, model, state, batches, jnp.asarray(rate), key, span)
        done = point
        yield model


@eqx.filter_jit
def _steps(
    loss: Any, model: PyTree, state: PyTree, batches: Any, rate: Array, key: Any, span: Any
) -> Any:
    def step(index: Any, carry: Any) -> Any:
        model, state = carry
        gradient = jax.grad(loss)(model, batches, jax.random.fold_in(key, index))
        change, state = updates(ADAM, gradient, state, model)
        return optax.apply_updates(model, jax.tree.map(lambda c: -rate * c, change)), state

    # A program for all rates and all numbers of steps.
    first, end = span
    return jax.lax.fori_loop(first, end, step, (model, state))


# The VAE: Kingma and Welling (2014); grey values as probabilities.


def draw_vae(key: PRNGKeyArray, sizes: Sequence[int]) -> Model:
    """Draw a VAE whose encoder has layers of `sizes`, the last for its code, and a mirror of it."""
    keys = jax.random.split(key, 5)
    inputs, *hidden, code = sizes
    body = draw_network(keys[0], (inputs, *hidden)) if hidden else Network(())
    back = draw_network(keys[1], (code, *hidden[::-1])) if hidden else Network(())
    last = hidden[-1] if hidden else inputs
    first = hidden[0] if hidden else code
    heads = (
        linear(keys[2], last, code),
        linear(keys[3], last, code),
        linear(keys[4], first, inputs),
    )
    return Model(body, heads, back)


BATCH = 128


def vae_loss(model: Model, x: Float[Array, "n in"], key: PRNGKeyArray) -> Float[Array, ""]:
    """Return minus the evidence lower bound of a batch of random rows, in nats an image."""
    k_rows, k_code = jax.random.split(key)
    x = x[jax.random.randint(k_rows, (BATCH,), 0, len(x))]
    seen = top(model.body, x)
    mean, log_variance = (affine(head, seen) for head in model.heads[:2])
    code = mean + jnp.exp(log_variance / 2) * jax.random.normal(k_code, mean.shape)
    assert model.decoder is not None
    logits = affine(model.heads[2], top(model.decoder, code))
    said = jnp.sum(optax.sigmoid_binary_cross_entropy(logits, x), axis=1)
    divergence = jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance, axis=1) / 2
    return jnp.mean(said + divergence)


def by_vae(
    given: FewShot, sizes: Sequence[int], points: Sequence[int], rate: float, seed: int
) -> dict[int, Features]:
    """Return the means of the codes after each of `points` steps of training."""
    k_draw, k_train = jax.random.split(jax.random.key(seed))
    x = jnp.asarray(given.unlabelled)
    models = train(vae_loss, draw_vae(k_draw, sizes), x, points, rate, k_train)
    return {
        point: Head(model, x[:2000])
        for point, model in zip(sorted(set(points)), models, strict=True)
    }


class Head:
    """The first linear map of a model, each image normalised by the moments of a reference."""

    def __init__(self, model: Model, reference: Array):
        self.model = model
        self.moments = (
            measure_moments(model.body, reference, jax.nn.relu) if model.body.layers else ()
        )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        seen = top(self.model.body, jnp.asarray(x), self.moments)
        return np.asarray(affine(self.model.heads[0], seen))


# Supervised learning on the labelled examples.


def supervised_loss(model: Model, batch: tuple[Array, Array], key: PRNGKeyArray) -> Array:
    """Return the cross-entropy of all labelled examples; `key` is not needed."""
    x, y = batch
    logits = affine(model.heads[0], top(model.body, x))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, y))


def by_labels(
    given: FewShot, sizes: Sequence[int], points: Sequence[int], rate: float, seed: int
) -> dict[int, float]:
    """Return the test accuracy after each of `points` steps on the labelled examples.

    The network has the rule's base model with layers of `sizes` and a linear classifier on top.
    """
    k_body, k_head, k_train = jax.random.split(jax.random.key(seed), 3)
    classes = int(given.y.max()) + 1
    model = Model(draw_network(k_body, sizes), (linear(k_head, sizes[-1], classes),))
    batch = (jnp.asarray(given.x), jnp.asarray(given.y))
    found = {}
    for point, trained in zip(
        sorted(set(points)),
        train(supervised_loss, model, batch, points, rate, k_train),
        strict=True,
    ):
        # By the moments of images without labels, of which there are more.
        predict = Head(trained, jnp.asarray(given.unlabelled[:2000]))
        found[point] = float((predict(given.test_x).argmax(axis=1) == given.test_y).mean())
    return found
