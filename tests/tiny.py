"""Tiny rules, problems and runs, and comparisons of pytrees and runs."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import hebbax as hx
from hebbax.outer._problem import AbstractProblem, Particle


class Delta(hx.AbstractRule):
    """A rule of a user's own: one layer, each synapse by θ times input times error."""

    def init(self, key):
        return {"rate": 0.1 * jax.random.normal(key, ())}

    def init_network(self, theta, key, sizes):
        return jnp.zeros((sizes[0], sizes[-1]))

    def update(self, theta, net, x, y):
        prediction = x @ net
        error = 0 if y is None else y - jax.nn.softmax(prediction)
        return net + theta["rate"] * (x.T @ (0 * prediction + error)), prediction

    def predict(self, theta, net, x):
        return x @ net


class Bowl(AbstractProblem):
    """A loss of θ alone: `function(theta, key)` gives it and its metrics."""

    lifetime, networks = 1, 1

    def __init__(self, function):
        self.function = function

    def begin(self, theta, key):
        return Particle((), key, 0)

    def advance(self, theta, particle, unroll, taken=None):
        return particle, self.function(theta, particle.key)


class Chain(AbstractProblem):
    """A quadratic problem whose losses depend on what θ did before.

    The state s goes to decay * s + θ + noise at every update; a truncation's loss is the mean of
    |s - 1|² over its updates. There are `lifetime` updates in a lifetime.
    """

    lifetime, networks = 6, 1

    def __init__(self, lifetime=6, decay=0.8, noise=0.1):
        self.lifetime, self.decay, self.noise = lifetime, decay, noise

    def begin(self, theta, key):
        return Particle(jnp.zeros_like(theta), key, jnp.zeros((), jnp.int32))

    def advance(self, theta, particle, unroll, taken=None):
        def update(state, index):
            key = jax.random.fold_in(particle.key, particle.position + index)
            after = self.decay * state + theta + self.noise * jax.random.normal(key, theta.shape)
            live = True if taken is None else index < taken
            after = jnp.where(live, after, state)
            return after, jnp.where(live, jnp.sum((after - 1) ** 2), 0.0)

        state, losses = jax.lax.scan(update, particle.nets, jnp.arange(unroll))
        number = jnp.asarray(unroll if taken is None else taken)
        loss = jnp.sum(losses) / number.astype(float)
        after = Particle(state, particle.key, particle.position + number)
        return after, (loss, {"accuracy": jnp.exp(-loss)})


class Distance(hx.objectives.AbstractObjective):
    """An objective of a user's own: how far θ's learning rate is from a half."""

    def judge(self, rule, theta, net, predictions, episode, first=0, taken=None):
        loss = jnp.sum((theta.learning_rate - 0.5) ** 2) + 0 * jnp.sum(episode.x)
        return loss, {}


def same(a, b):
    """Hold two pytrees to be equal, bit for bit."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(p), np.asarray(q))


def close(a, b, **tolerance):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, **tolerance), a, b)


def differ(a, b):
    """Hold that some leaf differs."""
    assert not bool(eqx.tree_equal(a, b))


RULE = hx.Hebbian()  # the cheapest to compile
OBJECTIVE = hx.objectives.QueryCrossEntropy(steps=2, batch=4, query=8)
METHOD = hx.methods.Gradient(optax.adam(1e-2), clip=10.0)
AVERAGED = dataclasses.replace(METHOD, average=0.8)
XOR = hx.tasks.toy("xor")
SPEEDS = ("_per_s", "_seconds")


def train(directory=None, **changes):
    """Meta-train very little; `changes` to the settings."""
    settings = {
        "rule": RULE,
        "family": XOR,
        "objective": OBJECTIVE,
        "method": METHOD,
        "hidden": (),
        "steps": 20,
        "key": jax.random.key(0),
        "validation": 2,
        "log_every": 5,
        "checkpoint_every": 10,
        "directory": directory,
        **changes,
    }
    first = [settings.pop(name) for name in ("rule", "family", "objective", "method")]
    return hx.meta_train(*first, **settings)


def logged(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def timeless(lines):
    return [{n: v for n, v in line.items() if not n.endswith(SPEEDS)} for line in lines]


def same_result(a, b):
    same(a.theta, b.theta)
    same(a.thetas, b.thetas)
    assert (a.loss, a.run, a.step) == (b.loss, b.run, b.step)
    # As text: a loss that was not a number is the same as itself.
    assert json.dumps(timeless(a.history)) == json.dumps(timeless(b.history))
