"""Time the small convolutional network: updates and a meta-gradient beside plain SGD.

    python benchmarks/architectures.py [CASE ...] [--seconds 3] [--json]

`networks.cnn()` on images of 28 × 28, batches of 128. Plain SGD is `jax.grad` of the same network
with `jax.lax.conv_general_dilated`, written without the package. Each case runs in a process of its
own, on one core, with compile time, steady CPU time and peak memory apart; "x SGD" is CPU time over
that of one update of plain SGD by itself in the same run. The meta-gradient is through ten updates,
each computed again on the way back, and counts for one of them.
"""

import argparse
import json
import multiprocessing
import os
import resource
import time

BATCH, SIDE, CLASSES, UPDATES = 128, 28, 10, 10
CASES = {
    "sgd": "plain SGD, jax.grad of lax.conv, one update",
    "backprop": "Backprop('sgd'), one update",
    "special": "Blur that is gradient descent, k=2, one update",
    "symmetric": "Blur, k=2, symmetric, one state a synapse, no normalisation, one update",
    "asymmetric": "Blur, k=2, own backward synapses, no normalisation, one update",
    "defaults": "Blur, k=2, defaults (both normalisations), one update",
    "lasting": "Blur, k=2, as blur/lasting, one update",
    "meta": "the special case, meta-gradient through 10 updates, for each",
    "meta-lasting": "as blur/lasting, meta-gradient through 10 updates, for each",
}


def rule_of(case):
    """Return the rule of a case."""
    import hebbax as hx
    from hebbax.recipes import LASTING_RULE

    plain = {"normalization": None, "synapse_normalization": None}
    options = {
        "special": {
            **plain, "forward_activation": "tanh_and_derivative", "backward_activation": "none",
            "backward_update": "multiplicative_second_state", "symmetric": True,
            "single_state": True, "fan_in": True, "feedback": "error",
        },
        "symmetric": {**plain, "symmetric": True, "single_state": True},
        "asymmetric": plain,
        "defaults": {},
        "lasting": LASTING_RULE,
    }  # fmt: skip
    if case == "backprop":
        return hx.Backprop("sgd")
    name = case.removeprefix("meta-")
    return hx.Blur(states=2, **options["special" if name == "meta" else name])


def plain_sgd():
    """Return a jittable update of the network, written plainly, and its arguments."""
    import jax
    import jax.numpy as jnp

    x, y = batches()
    shapes = ((3, 3, 1, 16), (3, 3, 16, 32), (7 * 7 * 32, CLASSES))
    weights = [
        (0.1 * jax.random.normal(jax.random.key(i), s), jnp.zeros(s[-1]))
        for i, s in enumerate(shapes)
    ]

    def loss(weights, x, y):
        *convolutions, (w, b) = weights
        a = x.reshape(BATCH, SIDE, SIDE, 1)
        for kernel, bias in convolutions:
            a = jax.lax.conv_general_dilated(
                a, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            a = jnp.tanh(a + bias)
        logits = a.reshape(BATCH, -1) @ w + b
        return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), axis=1))

    def update(weights, x, y):
        return jax.tree.map(lambda w, g: w - 0.1 * g, weights, jax.grad(loss)(weights, x, y))

    return update, (weights, x, y)


def batches(*lead):
    """Return random images and labels; the work does not depend on them."""
    import jax
    import jax.numpy as jnp

    x = jax.random.normal(jax.random.key(0), (*lead, BATCH, SIDE**2))
    y = jax.nn.one_hot(jnp.arange(BATCH) % CLASSES, CLASSES)
    return x, jnp.broadcast_to(y, (*lead, *y.shape))


def build(case):
    """Return the function of `case`, its arguments, and how many updates it makes."""
    import jax

    import hebbax as hx
    from hebbax.losses import cross_entropy

    if case == "sgd":
        return (*plain_sgd(), 1)
    rule = rule_of(case)
    wiring = hx.networks.cnn().bind(SIDE**2, CLASSES, (SIDE, SIDE, 1))
    theta = rule.init(jax.random.key(0))
    net = jax.jit(lambda key: rule.init_network(theta, key, wiring))(jax.random.key(1))
    if not case.startswith("meta"):

        def update(theta, net, x, y):
            return rule.update(theta, net, x, y)[0]

        return update, (theta, net, *batches()), 1

    def loss(theta, net, xs, ys):
        predictions = hx.unroll(rule, theta, net, xs, ys, remat=True)[1]
        return cross_entropy(predictions[-1], ys[-1])

    return jax.grad(loss), (theta, net, *batches(UPDATES)), UPDATES


def measure(case, seconds, queue):
    """Time one case in a process of its own, on one core."""
    os.environ["NPROC"] = "1"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    import jax

    function, arguments, updates = build(case)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    compiled = jax.jit(function).lower(*arguments).compile()
    wall, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    jax.block_until_ready(compiled(*arguments))
    each, begin = [], time.perf_counter()
    while len(each) < 5 or time.perf_counter() - begin < seconds:
        lap = time.process_time()
        jax.block_until_ready(compiled(*arguments))
        each.append((time.process_time() - lap) / updates)
    temporaries = compiled.memory_analysis().temp_size_in_bytes
    queue.put(
        {
            "case": case,
            "what": CASES[case],
            "compile_wall_s": wall,
            "compile_cpu_s": cpu,
            "cpu_ms": 1e3 * sorted(each)[len(each) // 2],
            "least_cpu_ms": 1e3 * min(each),
            "temporaries_mb": temporaries / 2**20,
            "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }
    )


def main():
    """Run the cases asked for, after plain SGD, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=[], help=f"of {', '.join(CASES)}; all if none")
    parser.add_argument("--seconds", type=float, default=3.0, help="time to repeat each case for")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each case")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"unknown case {sorted(unknown)[0]!r}; allowed are {', '.join(CASES)}")
    context = multiprocessing.get_context("spawn")
    if not options.json:
        print("case          compile CPU s   CPU ms   least   x SGD   temporaries MB   memory GB")
    base = None
    for case in dict.fromkeys(("sgd", *(options.cases or CASES))):
        queue = context.Queue()
        process = context.Process(target=measure, args=(case, options.seconds, queue))
        process.start()
        row = queue.get()
        process.join()
        base = base or row["least_cpu_ms"]
        row["times_sgd"] = row["least_cpu_ms"] / base
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            print(
                f"{row['case']:12}  {row['compile_cpu_s']:13.1f} {row['cpu_ms']:8.2f} "
                f"{row['least_cpu_ms']:7.2f} {row['times_sgd']:7.2f} {row['temporaries_mb']:16.1f} "
                f"{row['peak_memory_gb']:11.2f}  {row['what']}",
                flush=True,
            )


if __name__ == "__main__":
    main()
