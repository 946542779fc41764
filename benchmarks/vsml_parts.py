"""Time the parts of a VSML tick apart: what bounds it.

    python benchmarks/vsml_parts.py [--inputs 100 784] [--seconds 2]

A tick of one layer of 10 outputs, default rule (16 units, messages of 10), on one core: the whole
of it, forward and the gradient of a tick given that of what it returns, and then its matrix
products alone, its gates alone, and a copy of its largest array, the pre-activations. An example
has two ticks; with rematerialisation its meta-gradient has each twice forward and once backward.
Times are the least of many repetitions, so that other work on the core counts little. GFLOP/s are
of the matrix products, beside those of one 2048³ product in the same process.
"""

import argparse
import os
import time

OUTPUTS = 10
SHOWN = ("forward", "its products", "its gates", "gradient", "its products", "its gates", "copy")


def least(function, arguments, seconds):
    """Return the least seconds of a call."""
    import jax

    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    laps, begin = [], time.perf_counter()
    while len(laps) < 10 or time.perf_counter() - begin < seconds:
        lap = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        laps.append(time.perf_counter() - lap)
    return min(laps)


def parts(inputs, seconds):
    """Return seconds of each part, and the operations of the products forward and backward."""
    import jax
    import jax.numpy as jnp

    import hebbax as hx
    from hebbax.rules.vsml import _gates, cells, halved

    rule = hx.Vsml()
    theta = halved(rule.init(jax.random.key(0)), rule.gate_offset)
    net = rule.init_network(rule.init(jax.random.key(0)), jax.random.key(1), (inputs, OUTPUTS))
    layer = net.layers[0]
    up = jax.random.normal(jax.random.key(2), (1, 1, inputs))
    error = jax.random.normal(jax.random.key(3), (1, 1, OUTPUTS))
    nothing = jnp.zeros((0, 1, OUTPUTS))

    def tick(theta, layer, up, error):
        return cells.tick(rule.cell, theta, layer, cells.Inputs(up, nothing, error))

    def gradient(theta, layer, up, error, given):
        return jax.vjp(tick, theta, layer, up, error)[1](given)

    states, count = rule.state_size, inputs * OUTPUTS
    k = jax.random.split(jax.random.key(4), 4)
    own = jax.random.normal(k[0], (states, 4 * states))
    h = jax.random.normal(k[1], (states, count))
    z = jax.random.normal(k[2], (4 * states, count))
    read = jax.random.normal(k[3], (states + 2, count))

    def products_back(own, read, z):
        # Of the weights, and of what they read; that of the inputs is summed over outputs.
        back = jnp.concatenate([own, own[:1]]) @ z
        return read @ z.T, back, (own[:1] @ z).reshape(OUTPUTS, inputs).sum(axis=0)

    given = jax.tree.map(jnp.ones_like, layer)
    row = 2 * 4 * states * count
    work = (row * states, row * (states + 2) + row * (states + 1) + row)
    return work, [
        least(tick, (theta, layer, up, error), seconds),
        least(lambda own, h: own.T @ h, (own, h), seconds),
        least(_gates.lstm, (z, h), seconds),
        least(gradient, (theta, layer, up, error, given), seconds),
        least(products_back, (own, read, z), seconds),
        least(_gates.lstm_gradient, (z, h, h, h, h), seconds),
        least(lambda z: z + 1, (z,), seconds),
    ]


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, nargs="+", default=[100, 784])
    parser.add_argument("--seconds", type=float, default=2.0, help="time to repeat each part for")
    options = parser.parse_args()
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import jax
    import jax.numpy as jnp

    square = jnp.ones((2048, 2048))
    peak = 2 * 2048**3 / least(jnp.matmul, (square, square), options.seconds) / 1e9
    print(f"jax {jax.__version__}, one core, 2048³ product {peak:.0f} GFLOP/s; microseconds")
    print("inputs " + "".join(f"{name:>14}" for name in SHOWN) + "   GFLOP/s of products (share)")
    for inputs in options.inputs:
        work, seconds = parts(inputs, options.seconds)
        speeds = [flops / seconds[place] / 1e9 for flops, place in zip(work, (1, 4), strict=True)]
        print(
            f"{inputs:6d} "
            + "".join(f"{1e6 * s:14.1f}" for s in seconds)
            + "   "
            + ", ".join(f"{s:.0f} ({s / peak:.0%})" for s in speeds)
        )


if __name__ == "__main__":
    main()
