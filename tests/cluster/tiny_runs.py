"""What the tests of Ray workers share: the least there is to be meta-trained, in any process."""

import functools

import jax
import jax.numpy as jnp
import optax

import hebbax as hx
from hebbax.outer.engines import Setup

RULE = hx.Hebbian()
XOR = hx.tasks.toy("xor")
OBJECTIVE = hx.objectives.QueryCrossEntropy(steps=4, batch=4, query=8)
TRUNCATED = hx.methods.TruncatedGradient(optax.adam(1e-2), truncation=2)
ES = hx.methods.EvolutionStrategy(optax.adam(1e-2), pairs=2)
SEARCH = hx.methods.CMAES(population=6, seed=3)
SOME = hx.Architectures(layers=(1, 2), units=(3, 3))


def train(directory=None, **changes):
    """Meta-train very little; `changes` to the settings."""
    settings = {
        "hidden": (),
        "steps": 6,
        "key": jax.random.key(0),
        "validation": 1,
        "log_every": 3,
        "checkpoint_every": 3,
        "directory": directory,
        "method": TRUNCATED,
        **changes,
    }
    return hx.meta_train(RULE, XOR, OBJECTIVE, settings.pop("method"), **settings)


def setup_of(method, hidden=(), **changes):
    settings = {"steps": 6, "key": jax.random.key(0), "hidden": hidden, **changes}
    return Setup(hx.MetaTraining(RULE, XOR, OBJECTIVE, method, **settings))


def stacked(*estimates):
    return jax.tree.map(lambda *a: jnp.stack(a), *estimates)


@functools.cache
def truncated_setup():
    """Return always the same object, for programs are kept for it."""
    return setup_of(TRUNCATED)
