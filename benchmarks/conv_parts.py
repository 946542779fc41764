"""Take parts of `blur/conv` away, and see what they were good for; print a table.

    python benchmarks/conv_parts.py [--rules FILE ...] [--seeds 3] [--data mnist]

`networks.cnn()`, batches of 128, test accuracy after so many updates. Its start is what its recipe
begins with; parts are taken from the start, without training anew. `--rules` adds rule files, such
as those of other meta-seeds. Minutes on one core.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np

POINTS = (2, 5, 10, 20, 50, 100, 200)


def variants():
    """Return rules and θ by what was done."""
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
    return {
        "blur/conv": hx.zoo.load("blur/conv"),
        "its start": (rule, start),
        "start, spread of outputs 1": (rule, dataclasses.replace(start, **spread)),
        "start, outputs not normalised": (changed(rule, normalization=norm), start),
        "start, leaky rectifier": (changed(rule, **leaky), start),
        "start, synapses normalised and Oja's term, outputs not normalised, leaky rectifier": (
            changed(rule, normalization=norm, **leaky, **bound), as_lasting
        ),
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
    options = parser.parse_args(words)
    import hebbax as hx

    every = variants()
    if options.only:
        every = {"blur/conv": every["blur/conv"]}
    every |= {str(path): hx.load_rule(path) for path in options.rules}
    family = hx.tasks.images(options.data)
    settings = {"hidden": hx.networks.cnn(), "steps": POINTS[-1], "batch": 128, "at": POINTS}
    print(f"| {options.data} |", " | ".join(map(str, POINTS)), "|")
    print("|---" * (len(POINTS) + 1) + "|")
    for name, (rule, theta) in every.items():
        found = hx.evaluate(rule, theta, family, seeds=options.seeds, **settings)
        cells = [f"{a:.3f}" for a in np.asarray(found.accuracy).mean(axis=0)]
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
