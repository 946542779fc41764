"""How well rules learn from single examples, beside tuned gradient descent; print a table.

    python benchmarks/online.py [--data mnist] [--rules vsml/general] [--examples 10000]

Share that was right of the first so many examples, each predicted before it was learnt from, mean
over lifetimes. Rules have no hidden layer; SGD, momentum and Adam have none, or one of 64 units,
and the best of nine rates for each column apart, with hindsight. All meet the same examples, of the
test set; where it has fewer than a thousand, or fewer than asked for, of the training set too.
"""

import argparse
import dataclasses

import jax.numpy as jnp
import numpy as np

import hebbax as hx
from hebbax.inner import best_online_backprop
from hebbax.recipes import VsmlGeneral

POINTS = (100, 200, 500, 1000, 2000, 5000, 10_000)
RATES = {"sgd": (-3.5, -0.5), "momentum": (-4.5, -1.5), "adam": (-4.5, -1.5)}
"""Powers of ten from which and to which nine learning rates go."""
HIDDEN = ((), (64,))


def family_of(data, size, examples):
    """Return images with so many examples in the test set, or as many as there are."""
    family = hx.tasks.images(data, size=size)
    if len(family.test_x) >= examples:
        return family
    x = jnp.concatenate([family.test_x, family.train_x])
    y = jnp.concatenate([family.test_y, family.train_y])
    return dataclasses.replace(family, test_x=x, test_y=y)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--size", type=int, help="pixels a side; as they are by default")
    parser.add_argument("--rules", nargs="*", default=["vsml/general"], help="names or files")
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--lifetimes", type=int, default=10)
    parser.add_argument("--start", action="store_true", help="and what vsml/general began with")
    parser.add_argument("--no-opponents", action="store_true")
    options = parser.parse_args(words)
    family = family_of(options.data, options.size, options.examples)
    examples = min(options.examples, len(family.test_x))
    points = [point for point in POINTS if point <= examples]
    settings = {"steps": examples, "seeds": options.lifetimes}
    print(f"| {options.data} |", " | ".join(f"{p:,}" for p in points), "|")
    print("|---" * (len(points) + 1) + "|")

    def show(name, cumulative):
        share = np.asarray(cumulative).mean(axis=0)
        print(f"| {name} |", " | ".join(f"{share[p - 1]:.3f}" for p in points), "|", flush=True)

    learners = {n: hx.load_rule(n) if "." in n else hx.zoo.load(n) for n in options.rules}
    if options.start:
        recipe = VsmlGeneral()
        learners["vsml/general as it began"] = recipe.rule(), recipe.start()
    for name, (rule, theta) in learners.items():
        show(name, hx.evaluate_online(rule, theta, family, hidden=(), **settings).cumulative)
    for hidden in () if options.no_opponents else HIDDEN:
        for optimizer, powers in RATES.items():
            rates = np.logspace(*powers, 9).tolist()
            found, _ = best_online_backprop(
                optimizer, family, rates=rates, hidden=hidden, **settings
            )
            units = f"{hidden[0]} units" if hidden else "linear"
            show(f"{optimizer}, {units}", found)


if __name__ == "__main__":
    main()
