"""Time the unsupervised update rule: compile time, steady state and memory apart.

    python benchmarks/unsupervised.py [CASE ...] [--calls 3] [--form FORM] [--json]

The network is 784-128-128-128-128-32, batches have 128 examples, θ the paper's sizes. The package's
form is compared with the equations written down plainly (`_plain_unsupervised.py`) in the same run,
which must give the same numbers: "plain" runs them one operation after another, as NumPy would,
"compiled" leaves it to XLA to fuse them. Each case and form runs in a process of its own, on one
core, so that its memory is its own. The meta-gradient is that of the few-shot loss after the last
of eight updates; all forms keep the network before each update and compute the rest again.

CPU seconds are the process's, and the least of the calls, as is wall time. The share of the
roofline is the work of the plain form's matrix products (three times the forward pass for a
gradient, with nothing counted for rematerialisation) over CPU time, against the machine's product
of two square matrices.
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

SIZES = (784, 128, 128, 128, 128, 32)
BATCH, UPDATES, LABELLED = 128, 8, 100
STEP_SIZE = 3e-4
CASES = {"update": "one update", "gradient": f"meta-gradient over {UPDATES} updates"}
FORMS = ("plain", "compiled", "package")


def draw():
    """Return the rule, θ, a network, batches and labelled examples; the work ignores the values."""
    import jax

    import hebbax as hx

    rule = hx.UnsupervisedRule(step_size=STEP_SIZE)
    k_theta, k_net, k_x, k_y = jax.random.split(jax.random.key(0), 4)
    theta = rule.init(k_theta)
    net = rule.init_network(theta, k_net, SIZES)
    xs = jax.random.uniform(k_x, (UPDATES, BATCH, SIZES[0]))
    x = jax.random.uniform(k_y, (2 * LABELLED, SIZES[0]))
    y = jax.nn.one_hot(jax.random.permutation(k_y, 2 * LABELLED) % 10, 10)
    return rule, theta, net, xs, x, y


def update_of(form, rule):
    """Return the update in one form, from θ, network and batch to the network."""
    if form == "package":
        return lambda theta, net, x: rule.update(theta, net, x, None)[0]
    import _plain_unsupervised as plain

    return lambda theta, net, x: plain.update(theta, net, x, STEP_SIZE)[0]


def function_of(case, form):
    """Return the function of a case in one form, and its arguments."""
    import jax

    from hebbax.losses._ridge import few_shot_ridge

    rule, theta, net, xs, x, y = draw()
    update = update_of(form, rule)
    if case == "update":
        return update, (theta, net, xs[0])

    def loss(theta, net, xs, x, y):
        def step(net, batch):
            return update(theta, net, batch), None

        if form != "package":
            step = jax.checkpoint(step, prevent_cse=form == "plain")
        if form == "plain":
            # A scan would compile what it repeats.
            for batch in xs:
                net, _ = step(net, batch)
        else:
            net, _ = jax.lax.scan(step, net, xs)
        features = rule.predict(theta, net, x)
        shown, asked = slice(LABELLED), slice(LABELLED, None)
        return few_shot_ridge(features[shown], y[shown], features[asked], y[asked])[0]

    return jax.value_and_grad(loss), (theta, net, xs, x, y)


def product_flops(function, arguments):
    """Return the floating-point operations of all matrix products of a function."""
    import jax

    def count(jaxpr):
        total = 0
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                (contracted, _), _ = equation.params["dimension_numbers"]
                left = equation.invars[0].aval.shape
                inner = math.prod(left[axis] for axis in contracted)
                total += 2 * inner * math.prod(equation.outvars[0].aval.shape)
            for value in equation.params.values():
                inside = getattr(value, "jaxpr", None)
                total += count(inside) if inside is not None else 0
        return total

    return count(jax.make_jaxpr(function)(*arguments).jaxpr)


def seconds():
    """Return wall time and the CPU time this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), usage.ru_utime + usage.ru_stime


def repeat(function, arguments, calls):
    """Return the least wall and CPU time of some calls, after one more."""
    import jax

    jax.block_until_ready(function(*arguments))
    laps = []
    for _ in range(calls):
        before = seconds()
        jax.block_until_ready(function(*arguments))
        laps.append([b - a for a, b in zip(before, seconds(), strict=True)])
    return [min(column) for column in zip(*laps, strict=True)]


def norm(tree):
    """Return the Euclidean norm of all arrays of a tree together."""
    import jax
    import numpy as np

    return math.sqrt(sum(float(np.sum(np.square(a))) for a in jax.tree.leaves(tree)))


def measure(case, form, calls):
    """Time one case in one form."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import jax
    import jax.numpy as jnp

    function, arguments = function_of(case, form)
    planned, compiling = None, dict.fromkeys(("trace_s", "lower_s", "compile_s"), 0.0)
    if form != "plain":
        function, compiling = _compiling.compiled(function, *arguments)
        planned = function.memory_analysis().temp_size_in_bytes / 1e9
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    wall, cpu = repeat(function, arguments, calls)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    work = product_flops(*function_of("update", "plain"))
    work *= 1 if case == "update" else 3 * UPDATES
    square = jnp.ones((2048, 2048))
    _, product = repeat(jax.jit(jnp.matmul), (square, square), 5)
    return {
        "case": case,
        "form": form,
        "norm": norm(function(*arguments)),
        **compiling,
        "wall_s": wall,
        "cpu_s": cpu,
        "gflops_per_cpu_s": work / cpu / 1e9,
        "product_gflops_per_cpu_s": 2 * 2048**3 / product / 1e9,
        "share_of_product": work / cpu / (2 * 2048**3 / product),
        "program_memory_gb": planned,
        "idle_memory_gb": idle,
        "peak_memory_gb": peak,
    }


def in_a_process(*arguments):
    """Measure in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, *arguments).result()


def report(row, plain):
    """Return a line of the table; `plain` is the plain form's row, None if it was not asked for."""
    times = f"{plain['cpu_s'] / row['cpu_s']:8.2f}" if plain else 8 * " "
    planned = row["program_memory_gb"]
    planned = 9 * " " if planned is None else f"{planned:9.2f}"
    return (
        f"{row['case']:9} {row['form']:9} {_compiling.report(row)} "
        f"{row['wall_s']:8.2f} {row['cpu_s']:8.2f} {times} "
        f"{row['gflops_per_cpu_s']:7.1f} ({row['share_of_product']:4.0%} of "
        f"{row['product_gflops_per_cpu_s']:3.0f}) {planned} "
        f"{row['peak_memory_gb']:8.2f}"
    )


def main():
    """Run the cases asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=[], help=f"of {', '.join(CASES)}; all if none")
    parser.add_argument("--calls", type=int, default=3, help="calls of each case that are timed")
    parser.add_argument("--form", choices=FORMS, help="time this form only; all if none")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each row")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"unknown case {sorted(unknown)[0]!r}; allowed are {', '.join(CASES)}")
    if options.calls < 1:
        parser.error(f"--calls must be at least 1; got {options.calls}")
    if not options.json:
        print(
            f"{'':{_compiling.WIDTH + 20}}    each call, s          GFLOP/s of products,     "
            "memory, GB\n"
            f"case      form      {_compiling.HEAD}     wall      CPU  x plain  per CPU second   "
            "     program  process"
        )
    for case in options.cases or CASES:
        rows = {}
        for form in [options.form] if options.form else FORMS:
            row = rows[form] = in_a_process(case, form, options.calls)
            print(
                json.dumps({**row, "what": CASES[case]})
                if options.json
                else report(row, rows.get("plain")),
                flush=True,
            )
        norms = {form: row["norm"] for form, row in rows.items()}
        if not math.isclose(min(norms.values()), max(norms.values()), rel_tol=1e-3):
            raise SystemExit(f"{case}: the forms give different norms, {norms}.")


if __name__ == "__main__":
    main()
