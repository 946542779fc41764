"""Time lifetimes of VSML: compile time, steady state and memory apart.

    python benchmarks/vsml.py [CASE ...] [--seconds 3] [--plain] [--json]

A lifetime is 200 online examples and two ticks for each, of one layer of 10 outputs. Each case runs
in a process of its own, so that its peak memory is its own. CPU seconds are the process's, over all
threads, and the least of the repetitions, as is wall time. Sixteen lifetimes run half on each of
two devices, which are the two cores, and one after another on each, because a processor's cache
holds one lifetime but not sixteen.

The authors' program on the same work and the same kind of machine is what the factors compare with;
`--plain` adds the paper's equations written down plainly, in the same run, as a yardstick for the
machine.
"""

import argparse
import json
import math
import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import _compiling

STEPS = 200
CASES = {
    "f100x1": "forward, 100 inputs, 1 lifetime",
    "f100x16": "forward, 100 inputs, 16 lifetimes",
    "f784x1": "forward, 784 inputs, 1 lifetime",
    "f784x16": "forward, 784 inputs, 16 lifetimes",
    "g100x1": "meta-gradient, 100 inputs, 1 lifetime",
    "g100x16": "meta-gradient, 100 inputs, 16 lifetimes",
    "g784x1": "meta-gradient, 784 inputs, 1 lifetime",
    "g784x16": "meta-gradient, 784 inputs, 16 lifetimes",
}
# Seconds of CPU and of wall time on two cores, two ticks a datum; None: does not fit in 24 GB.
AUTHORS = {
    "f100x1": (0.073, 0.074),
    "f100x16": (1.34, 1.36),
    "f784x1": (0.58, 0.297),
    "f784x16": (11.6, 6.2),
    "g100x1": (0.50, 0.50),
    "g100x16": (10.8, 11.0),
    "g784x1": (4.7, 6.2),
    "g784x16": None,
}


def parse(case):
    """Return whether `case` is a gradient, its inputs and its lifetimes."""
    inputs, lifetimes = case[1:].split("x")
    return case[0] == "g", int(inputs), int(lifetimes)


def draw(inputs, lifetimes):
    """Return θ, and the initial state and examples of each lifetime; the work ignores the values.

    States and examples have a leading axis of lifetimes.
    """
    import jax

    import hebbax as hx

    rule = hx.Vsml()
    k_theta, k_net, k_x, k_y = jax.random.split(jax.random.key(0), 4)
    theta = rule.init(k_theta)
    keys = jax.random.split(k_net, lifetimes)
    nets = jax.jit(jax.vmap(lambda k: rule.init_network(theta, k, (inputs, 10))))(keys)
    xs = jax.random.normal(k_x, (lifetimes, STEPS, 1, inputs))
    labels = jax.random.randint(k_y, (lifetimes, STEPS, 1), 0, 10)
    return rule, theta, nets, xs, jax.nn.one_hot(labels, 10)


def cross_entropy(predictions, ys):
    import jax
    import jax.numpy as jnp

    return -jnp.mean(jnp.sum(ys * jax.nn.log_softmax(predictions), axis=-1))


def of_the_package(rule, gradient):
    """Return the function from θ, nets and examples to the mean loss, and its gradient if asked."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, PartitionSpec

    import hebbax as hx

    def lifetime(theta, net, x, y):
        _, predictions = hx.unroll(rule, theta, net, x, y, remat=gradient)
        return cross_entropy(predictions, y)

    one = jax.value_and_grad(lifetime) if gradient else lifetime

    def run(theta, *lifetimes):
        """Run lifetimes one after another and keep only the mean of what they return."""
        first = jax.tree.map(lambda a: a[0], lifetimes)
        zero = jax.tree.map(jnp.zeros_like, jax.eval_shape(one, theta, *first))

        def add(total, arrays):
            return jax.tree.map(jnp.add, total, one(theta, *arrays)), None

        total, _ = jax.lax.scan(add, zero, lifetimes)
        return jax.tree.map(lambda a: a / len(lifetimes[1]), total)

    if jax.device_count() == 1:
        return run
    mesh = Mesh(jax.devices(), ("lifetimes",))
    shared, split = PartitionSpec(), PartitionSpec("lifetimes")

    def share(theta, *lifetimes):
        return jax.lax.pmean(run(theta, *lifetimes), "lifetimes")

    specs = (shared, split, split, split)
    return jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=shared, check_vma=False)


def plain(rule, gradient):
    """Return the same function, from the paper's equations: states s_abj, all lifetimes at once."""
    import jax
    import jax.numpy as jnp

    def tick(theta, h, c, x, error):
        # Eq. 14 with the forward interaction x and the error as inputs, for an LSTM (eq. 6).
        a, b, _ = h.shape
        forward = jnp.broadcast_to(jnp.pad(x[:, None], ((0, 0), (0, 9)))[:, None], (a, b, 10))
        backward = jnp.zeros((a, b, 10))
        fed = jnp.broadcast_to(error[None, :, None], (a, b, 1))
        weights = jnp.concatenate([theta.C, theta.U, theta.E, theta.W])
        z = jnp.concatenate([forward, backward, fed, h], axis=2) @ weights + theta.b
        i, u, r, o = jnp.split(z, 4, axis=2)
        c = jax.nn.sigmoid(r + 5) * c + jax.nn.sigmoid(i - 5) * jnp.tanh(u)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def lifetime(theta, net, xs, ys):
        def datum(state, example):
            x, y = (a[0] for a in example)
            h, c = tick(theta, *state, x, jnp.zeros_like(y))
            messages = h @ theta.forward_head.weight + theta.forward_head.bias
            logits = 100 * jnp.tanh(jnp.mean(messages, axis=0)[:, 0] / 100)
            return tick(theta, h, c, x, jax.nn.softmax(logits) - y), logits[None]

        layer = net.layers[0]
        state = (layer.h[:, 0].T, layer.c[:, 0].T)
        return cross_entropy(jax.lax.scan(datum, state, (xs, ys))[1], ys)

    def run(theta, nets, xs, ys):
        return jnp.mean(jax.vmap(lifetime, (None, 0, 0, 0))(theta, nets, xs, ys))

    return jax.value_and_grad(run) if gradient else run


def seconds():
    """Return wall time and the CPU time this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), usage.ru_utime + usage.ru_stime


def repeat(function, arguments, least):
    """Return the least wall and CPU time of a call, called at least thrice and for so long."""
    import jax

    jax.block_until_ready(function(*arguments))
    laps, begin = [], time.perf_counter()
    while len(laps) < 3 or time.perf_counter() - begin < least:
        lap = seconds()
        jax.block_until_ready(function(*arguments))
        laps.append([after - before for before, after in zip(lap, seconds(), strict=True)])
    return [min(column) for column in zip(*laps, strict=True)]


def norm(tree):
    """Return the Euclidean norm of all arrays of a tree together."""
    import jax
    import numpy as np

    return math.sqrt(sum(float(np.sum(np.square(a))) for a in jax.tree.leaves(tree)))


def measure(case, form, least):
    """Time one case, in the package's form or in the plain one."""
    gradient, inputs, lifetimes = parse(case)
    devices = 2 if form == "package" and lifetimes > 1 else 1
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    rule, theta, *data = draw(inputs, lifetimes)
    mesh = Mesh(jax.devices(), ("lifetimes",))
    theta = jax.device_put(theta, NamedSharding(mesh, PartitionSpec()))
    data = jax.device_put(data, NamedSharding(mesh, PartitionSpec("lifetimes")))
    function = {"package": of_the_package, "plain": plain}[form](rule, gradient)
    compiled, compiling = _compiling.compiled(function, theta, *data)
    wall, cpu = repeat(compiled, (theta, *data), least)
    loss = compiled(theta, *data)
    return {
        "case": case,
        "form": form,
        "loss": float(loss[0] if gradient else loss),
        "gradient_norm": norm(loss[1]) if gradient else None,
        **compiling,
        "wall_s": wall,
        "cpu_s": cpu,
        "lifetimes_per_s": lifetimes / wall,
        "program_memory_gb": devices * compiled.memory_analysis().temp_size_in_bytes / 1e9,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def in_a_process(*arguments):
    """Measure in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, *arguments).result()


def report(case, row, yardstick):
    """Return a line of the table."""
    times_cpu = times_wall = "-"
    if AUTHORS[case]:
        cpu, wall = AUTHORS[case]
        times_cpu, times_wall = f"{cpu / row['cpu_s']:.1f}", f"{wall / row['wall_s']:.1f}"
    times_plain = f"{yardstick['cpu_s'] / row['cpu_s']:.1f}" if yardstick else "-"
    return (
        f"{case:8} {row['form']:8} {_compiling.report(row)} {row['wall_s']:8.3f} "
        f"{row['cpu_s']:8.3f} {row['lifetimes_per_s']:11.1f} {times_wall:>8} {times_cpu:>7} "
        f"{times_plain:>7} {row['program_memory_gb']:10.2f} {row['peak_memory_gb']:8.2f}"
    )


def main():
    """Run the cases asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=[], help=f"of {', '.join(CASES)}; all if none")
    parser.add_argument("--seconds", type=float, default=3.0, help="time to repeat each case for")
    parser.add_argument("--plain", action="store_true", help="time the plain form too")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each row")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"unknown case {sorted(unknown)[0]!r}; allowed are {', '.join(CASES)}")
    if not options.json:
        print(
            f"{'':{_compiling.WIDTH + 52}}x authors    x plain   memory, GB\n"
            f"case     form     {_compiling.HEAD}   wall s    CPU s  lifetimes/s     wall     CPU "
            "    CPU    program  process"
        )
    for case in options.cases or CASES:
        forms = ["package"]
        if options.plain and AUTHORS[case]:
            forms.insert(0, "plain")
        yardstick = None
        for form in forms:
            row = in_a_process(case, form, options.seconds)
            if options.json:
                print(json.dumps({**row, "what": CASES[case]}), flush=True)
            else:
                print(report(case, row, yardstick), flush=True)
            if yardstick and not math.isclose(yardstick["loss"], row["loss"], rel_tol=1e-4):
                raise SystemExit(
                    f"{case}: the plain form has the loss {yardstick['loss']}, not {row['loss']}."
                )
            yardstick = row


if __name__ == "__main__":
    main()
