"""A Hebbian rule of your own, five numbers, meta-trained with each method there is.

    python examples/03_your_own_rule.py            # a minute or two on two cores
    python examples/03_your_own_rule.py --smoke    # seconds: only shows that everything works

The rule is one line for each layer. It says which products of activities change a synapse; how
much each of them does is what the outer loop finds. Methods are interchangeable, for they know
nothing of the rule.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import optax

import hebbax as hx


class FiveNumbers(hx.AbstractRule):
    """Two layers of synapses, changed by weighted sums of local terms.

    θ `[5]` weighs, for the first layer, Hebb's term and decay by the receiver's square; for the
    second, what the teacher says, what the network said, and decay.
    """

    def init(self, key):
        """Return θ, nothing at all: a network that does not learn."""
        return jnp.zeros(5)

    def init_network(self, theta, key, sizes):
        """Return the synapses φ: random ones into the hidden layer, none out of it."""
        inputs, hidden, outputs = sizes
        first = jax.random.normal(key, (inputs, hidden)) / jnp.sqrt(inputs)
        return first, jnp.zeros((hidden, outputs))

    def update(self, theta, net, x, y):
        """Change all synapses by one batch; return what was predicted before, too."""
        first, second = net
        hidden, logits = self.activities(net, x)
        said = jax.nn.softmax(logits)
        decay = jnp.sum(hidden**2, axis=0, keepdims=True) * first
        first += (theta[0] * x.T @ hidden + theta[1] * decay) / len(x)
        second += hidden.T @ (theta[2] * y + theta[3] * said) / len(x) + theta[4] * second
        return (first, second), logits

    def predict(self, theta, net, x):
        """Return logits `[batch, out]`."""
        return self.activities(net, x)[1]

    def activities(self, net, x):
        """Return what the hidden layer and the last one do."""
        hidden = jnp.tanh(x @ net[0])
        return hidden, hidden @ net[1]


def main(smoke: bool) -> None:
    """Meta-train the rule with five methods, each from the same θ, and compare."""
    steps, lifetime, pairs = (2, 4, 2) if smoke else (300, 20, 16)
    rule, digits = FiveNumbers(), hx.tasks.digits()
    piece = lifetime // 4
    adam = optax.adam(optax.cosine_decay_schedule(0.02, steps))

    methods = {
        "whole gradient": hx.methods.Gradient(adam, clip=1.0),
        "truncated": hx.methods.TruncatedGradient(adam, clip=1.0, truncation=piece, particles=2),
        "ES": hx.methods.EvolutionStrategy(adam, clip=1.0, pairs=pairs, std=0.02),
        "PES": hx.methods.PersistentES(adam, clip=1.0, truncation=piece, pairs=pairs, std=0.02),
        "CMA-ES": hx.methods.CMAES(std=0.1, population=2 * pairs),
    }
    settings = {"hidden": (32,), "steps": 20, "at": (20,), "seeds": 2 if smoke else 8}

    def judge(name: str, theta: jax.Array, note: str) -> None:
        curves = hx.evaluate(rule, theta, digits, batch=32, **settings)
        numbers = " ".join(f"{number:+.3f}" for number in theta)
        accuracy, loss = curves.after(20).mean(), curves.loss[:, -1].mean()
        print(f"{name:>14}  {accuracy:.3f}  {loss:6.3f}  {numbers}  {note}")

    print("on scikit-learn's digits: test accuracy and loss after 20 updates of 32, θ, seconds")
    judge("before", rule.init(jax.random.key(0)), "")
    for name, method in methods.items():
        began = time.perf_counter()
        result = hx.meta_train(
            rule, digits, hx.objectives.QueryCrossEntropy(steps=lifetime, batch=32, query=256),
            method, hidden=(32,), steps=steps, key=jax.random.key(0),
            log_every=steps, checkpoint_every=steps, validation=4,
        )  # fmt: skip
        judge(name, result.theta, f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="only show that everything works")
    main(parser.parse_args().smoke)
