"""Time BLUR's three pieces of work: compile time, steady state and peak memory apart.

    python benchmarks/blur.py [CASE ...] [--seconds 3] [--json]

Each case runs in a process of its own, so that its peak memory is its own. CPU seconds, those of
compiling among them, are the process's, over all threads; wall time is the least of the
repetitions. The rule is the authors' default: additive backward update, separate synapses both
ways, max(0, tanh), no normalisation.
The meta-steps (a, b) run on one core, the lifetimes (c) on all.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import resource
import time

import _compiling

# The authors' program, rebuilt so that it runs: CPU seconds per step, on the same work.
AUTHORS = {"a": 0.029, "b2": 0.112, "b4": 0.180, "c1": 0.33, "c8": 2.5}
CASES = {
    "a": "meta-step, tasks xor and or, 2-20-1, k=2, batch 512, 5 unrolls",
    "b2": "meta-step, 100-64-64-10, k=2, batch 128, 10 unrolls",
    "b4": "meta-step, 100-64-64-10, k=4, batch 128, 10 unrolls",
    "c1": "15 updates of 128, 196-512-10, k=2, one genome",
    "c8": "15 updates of 128, 196-512-10, k=2, population of 8",
}


def program_rule(states):
    """Return the authors' default rule."""
    import hebbax as hx

    return hx.Blur(
        states=states,
        forward_activation="relu_tanh",
        backward_activation="relu_tanh",
        last_activation="tanh",
        normalization=None,
        synapse_normalization=None,
        reduction="sum",
        synapse_update=-1e-3,
        genome_init="random",
    )


def random_family(inputs):
    """Return a task of 10 classes with random inputs: the work does not depend on the data."""
    import numpy as np

    import hebbax as hx

    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, inputs)).astype("float32")
    y = rng.permutation(np.arange(6000) % 10)
    return hx.tasks.from_arrays(x, y, x[:100], y[:100])


def meta_step(families, hidden, states, batch, steps, remat):
    """Return a jittable Adam meta-step and its arguments."""
    import jax
    import optax

    import hebbax as hx
    from hebbax.outer._problem import Problem

    rule = program_rule(states)
    objective = hx.objectives.QueryCrossEntropy(steps=steps, batch=batch, query=batch, remat=remat)
    method = hx.methods.Gradient(optax.adam(1e-3))

    def step(families, theta, state, key):
        problem = Problem(rule, families, objective, hidden)
        return method.step(problem, theta, state, key)

    theta = rule.init(jax.random.key(0))
    state = method.init(Problem(rule, families, objective, hidden), theta, jax.random.key(0))
    return step, (families, theta, state, jax.random.key(1))


def lifetimes(population):
    """Return a jittable evaluation of some genomes on one stream of batches."""
    import jax

    import hebbax as hx

    rule = program_rule(2)
    family = random_family(196)

    def run(family, thetas, key):
        k_data, k_net = jax.random.split(key)
        xs, ys = family.stream(k_data, 15, 128)

        def one(theta):
            net = rule.init_network(theta, k_net, (196, 512, 10))
            return hx.unroll(rule, theta, net, xs, ys)[1][-1]

        return jax.vmap(one)(thetas)

    thetas = jax.vmap(rule.init)(jax.random.split(jax.random.key(0), population))
    return run, (family, thetas, jax.random.key(1))


def flops(sizes, states, batch, steps):
    """Return the floating-point operations of an unroll's matrix products, forward only.

    Each layer but the first sends forward and backward and changes both its blocks; the first
    sends forward and changes one.
    """
    products = [2 * batch * n * m * states for n, m in itertools.pairwise(sizes)]
    return steps * (2 * products[0] + 4 * sum(products[1:]))


def build(case):
    """Return the function of `case`, its arguments and its matrix FLOPs."""
    import hebbax as hx

    if case == "a":
        families = tuple(hx.tasks.toy(name, outputs=1) for name in ("xor", "or"))
        # Reverse mode costs twice the forward pass; rematerialisation is not counted as work.
        work = 3 * 2 * flops((2, 20, 1), 2, 512, 5)
        return (*meta_step(families, (20,), 2, 512, 5, True), work)
    if case.startswith("b"):
        states = int(case[1:])
        work = 3 * flops((100, 64, 64, 10), states, 128, 10)
        return (*meta_step((random_family(100),), (64, 64), states, 128, 10, True), work)
    population = int(case[1:])
    return (*lifetimes(population), population * flops((196, 512, 10), 2, 128, 15))


def cpu_seconds():
    """Return the CPU time this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def repeat(function, arguments, seconds):
    """Return the least wall time and the mean CPU time of a call, in seconds."""
    import jax

    jax.block_until_ready(function(*arguments))
    least, calls = float("inf"), 0
    begin, begin_cpu = time.perf_counter(), cpu_seconds()
    while calls < 5 or time.perf_counter() - begin < seconds:
        lap = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        least = min(least, time.perf_counter() - lap)
        calls += 1
    return least, (cpu_seconds() - begin_cpu) / calls


def pin_to_one_core():
    """Keep all threads of this process on one core, where the system can (Linux)."""
    if hasattr(os, "sched_setaffinity"):
        core = min(os.sched_getaffinity(0))
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), {core})


def measure(case, seconds, queue):
    """Time one case and the matrix product it is compared with."""
    if not case.startswith("c"):
        # Read when JAX starts its threads: a second one costs these small steps CPU time and
        # gains them no wall time. The other core is for another run.
        os.environ["NPROC"] = "1"
    import jax
    import jax.numpy as jnp

    function, arguments, work = build(case)
    program, compiling = _compiling.compiled(function, *arguments)
    if not case.startswith("c"):
        pin_to_one_core()
    wall, cpu = repeat(program, arguments, seconds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    square = jnp.ones((2048, 2048))
    _, product_cpu = repeat(jax.jit(jnp.matmul), (square, square), 1.0)
    queue.put(
        {
            "case": case,
            "what": CASES[case],
            **compiling,
            "wall_s": wall,
            "cpu_s": cpu,
            "times_authors": AUTHORS[case] / cpu,
            "gflops_per_cpu_s": work / cpu / 1e9,
            "product_gflops_per_cpu_s": 2 * 2048**3 / product_cpu / 1e9,
            "share_of_product": work / cpu / (2 * 2048**3 / product_cpu),
            "peak_memory_gb": memory,
        }
    )


def main():
    """Run the cases asked for and print a table."""
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
        print(
            f"case  {_compiling.HEAD}   wall ms    CPU ms   x authors   GFLOP/s per core "
            "(share of matmul)   memory GB"
        )
    for case in options.cases or CASES:
        queue = context.Queue()
        process = context.Process(target=measure, args=(case, options.seconds, queue))
        process.start()
        row = queue.get()
        process.join()
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            print(
                f"{row['case']:4}  {_compiling.report(row)} {1e3 * row['wall_s']:9.2f} "
                f"{1e3 * row['cpu_s']:9.2f} {row['times_authors']:11.1f} "
                f"{row['gflops_per_cpu_s']:10.1f} ({row['share_of_product']:.0%} of "
                f"{row['product_gflops_per_cpu_s']:.0f}) {row['peak_memory_gb']:18.2f}  "
                f"{row['what']}",
                flush=True,
            )


if __name__ == "__main__":
    main()
