"""Change how long the units of `vsml/projected` remember, without training it anew; print a table.

    python benchmarks/vsml_memory.py [--data mnist] [--size 10] [--examples 2000] [--lifetimes 4]

Share that was right of the first so many examples, each predicted before it was learnt from. The
forget gates of all units get another offset, or one that is spread over units, or gates follow the
time that has passed, so that states change the less the more has been seen: from `t` examples on,
the forget gate's offset grows by `w` times the logarithm of time, and the input gate's falls.
"""

import argparse
import dataclasses

import jax.numpy as jnp
import numpy as np

import hebbax as hx

POINTS = (100, 200, 500, 1000, 2000, 5000, 10_000)
FALLING = ((0.3, 50), (0.5, 50), (0.5, 200), (1.0, 300))


def variants():
    """Yield what is changed, the rule and its θ."""
    rule, theta = hx.zoo.load("vsml/projected")
    units = rule.state_size
    forget, into = slice(2 * units, 3 * units), slice(0, units)

    def longer(offsets):
        return dataclasses.replace(theta, b=theta.b.at[forget].add(jnp.asarray(offsets)))

    yield "as it ships, offset 5 and what was learnt", rule, theta
    for offset in (0.5, 1.0, 2.0):
        yield f"all units {offset:g} more", rule, longer(np.full(units, offset, np.float32))
    for low, high in ((-1.0, 3.0), (0.0, 4.0)):
        offsets = np.linspace(low, high, units, dtype=np.float32)
        yield f"from {low:g} to {high:g} more, spread over units", rule, longer(offsets)
    longest = np.argsort(np.asarray(theta.b[forget]))[-4:]
    offsets = np.isin(np.arange(units), longest).astype(np.float32)
    yield "the four that remember longest 4 more", rule, longer(4 * offsets)
    timed = dataclasses.replace(rule, coordinates=("time",))
    for slope, start in FALLING:
        places = jnp.zeros((1, 4 * units)).at[0, forget].set(slope).at[0, into].set(-slope)
        shift = slope * np.log(start)
        bias = theta.b.at[forget].add(-shift).at[into].add(shift)
        changed = dataclasses.replace(theta, P=places, b=bias)
        yield f"falling with time, w = {slope:g}, t = {start}", timed, changed


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--size", type=int, default=10)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--lifetimes", type=int, default=4)
    options = parser.parse_args(words)
    family = hx.tasks.images(options.data, size=options.size)
    points = [point for point in POINTS if point <= options.examples]
    print("| forget gates |", " | ".join(map(str, points)), "|")
    print("|---" * (len(points) + 1) + "|")
    for name, rule, theta in variants():
        curves = hx.evaluate_online(
            rule, theta, family, hidden=(), steps=options.examples, seeds=options.lifetimes
        )
        share = np.asarray(curves.cumulative).mean(axis=0)
        print(f"| {name} |", " | ".join(f"{share[p - 1]:.3f}" for p in points), "|", flush=True)


if __name__ == "__main__":
    main()
