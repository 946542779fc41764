"""Take parts of `blur/conv` away, and see what they were good for; print a table.

    python benchmarks/conv_parts.py [--rules FILE ...] [--seeds 3] [--data mnist]

`networks.cnn()`, batches of 128, test accuracy after so many updates. Its start is what its recipe
begins with; parts are taken from the start, without training anew. `--rules` adds rule files, such
as those of other meta-seeds; `--opponents` SGD, momentum and Adam with the best of five learning
rates for each column apart, on the test set, with either activation function. Minutes on one core.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

POINTS = (2, 5, 10, 20, 50, 100, 200)
RATES = {"sgd": (0.03, 1.0), "momentum": (0.01, 0.3), "adam": (0.001, 0.03)}
"""Lowest and highest learning rate; those that were best on MNIST lie well within."""


GAINS, PACES = (1.175, 2.437, 0.236), (0.173, 0.07, 0.129)
"""By layer, the best of 144 that CMA-ES tried on MNIST, 2 networks of 100 updates each."""


def variants():
    """Return rules and θ by what was done."""
    import jax
    import jax.numpy as jnp

    import hebbax as hx
    from hebbax.recipes import BlurConv

    recipe = BlurConv()
    rule, start = recipe.rule(), recipe.start()
    spread = {"forward_deviation": jnp.ones_like(start.forward_deviation)}
    norm = dataclasses.replace(rule.normalization, last=False)
    leaky = {"forward_activation": "leaky_relu_and_derivative"}
    bound = {"synapse_normalization": {"learn": True}, "oja": "relative", "fan_in": False}
    lasting = hx.zoo.load("blur/lasting")[1]
    as_lasting = dataclasses.replace(
        start,
        synapse_gain=jnp.full(3, lasting.synapse_gain),
        eta_tilde=jnp.full(3, lasting.eta_tilde),
        rescale=lasting.rescale * jnp.asarray([1.0, 1.0, 0.4]),
        forward_deviation=jnp.stack([lasting.forward_deviation] * 3),
    )
    plain = hx.Blur(**{
        "forward_activation": "leaky_relu_and_derivative", "backward_activation": "none",
        "backward_update": "multiplicative_second_state", "symmetric": True, "single_state": True,
        "feedback": "error", "normalization": {"passes": "backward", "last": False},
        "synapse_normalization": None, "learn_keep": False, "fan_in": True, "places": "root",
        "layer_genomes": 3, "learn_synapse_gain": True,
    })  # fmt: skip
    found = dataclasses.replace(
        plain.init(jax.random.key(0)),
        synapse_gain=jnp.asarray(GAINS),
        eta_tilde=jnp.asarray(PACES),
    )
    return {
        "blur/conv": hx.zoo.load("blur/conv"),
        "its start": (rule, start),
        "start, spread 1 in all layers": (rule, dataclasses.replace(start, **spread)),
        "start, outputs not normalised": (changed(rule, normalization=norm), start),
        "start, leaky rectifier": (changed(rule, **leaky), start),
        "start, synapses normalised and Oja's term, outputs not normalised, leaky rectifier": (
            changed(rule, normalization=norm, **leaky, **bound), as_lasting
        ),
        "backpropagation, leaky rectifier, backward pass alone normalised": (plain, found),
    }  # fmt: skip


def changed(rule, **options):
    """Return the rule with other options."""
    import hebbax as hx

    fields = {field.name: getattr(rule, field.name) for field in dataclasses.fields(rule)}
    return hx.Blur(**{**fields, **options})


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", nargs="*", default=[], type=Path, metavar="FILE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--only", action="store_true", help="blur/conv and the given files only")
    parser.add_argument("--points", nargs="*", type=int, default=POINTS, help="updates")
    parser.add_argument("--opponents", action="store_true")
    options = parser.parse_args(words)
    import hebbax as hx

    every = variants()
    if options.only:
        every = {"blur/conv": every["blur/conv"]}
    every |= {str(path): hx.load_rule(path) for path in options.rules}
    family = hx.tasks.images(options.data)
    points = tuple(sorted(options.points))
    settings = {"hidden": hx.networks.cnn(), "steps": points[-1], "batch": 128, "at": points}
    print(f"| {options.data} |", " | ".join(map(str, points)), "|")
    print("|---" * (len(points) + 1) + "|")
    for name, (rule, theta) in every.items():
        found = hx.evaluate(rule, theta, family, seeds=options.seeds, **settings)
        print_row(name, found)
    if not options.opponents:
        return
    for name, (low, high) in RATES.items():
        for activation in ("tanh", "leaky_relu"):
            rates = np.geomspace(low, high, 5).tolist()
            found, _ = hx.best_backprop(
                name, family, rates=rates, activation=activation, seeds=options.seeds, **settings
            )
            print_row(f"{name}, {activation}", found)


def print_row(name, curves):
    """Print the mean accuracies of networks."""
    cells = [f"{a:.3f}" for a in np.asarray(curves.accuracy).mean(axis=0)]
    print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
