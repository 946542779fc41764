"""Memory and time of a gradient through an unroll, against its length, for each way to keep less.

    python benchmarks/memory.py [--steps 10 100] [--ways segments] [--seconds 3] [--json]

The gradient of a loss on the network after the last update, in the genome, of BLUR with two
states, 784-64-10, on batches of 128. Each case runs in a process of its own. `temporaries` are
XLA's, beside the arguments, which are nearly all data: one batch for every update. `grown` is by
how much the process's resident memory grew at most while the compiled gradient was called (Linux
only). CPU time is the process's, over all threads; the time of a forward pass is that of the same
loss without its gradient. `meta-step` is what one gradient of `QueryCrossEntropy` takes in
temporaries where the batches are sampled in the program too.
"""

import argparse
import json
import multiprocessing
import pathlib
import resource
import time

import _compiling

STEPS = (10, 30, 100, 300, 1000)
WAYS = {"forward": None, "keep all": False, "keep nets": True, "segments": "segments"}
SIZES, BATCH, EXAMPLES = (784, 64, 10), 128, 6000


def lifetime(way):
    """Return the rule, θ, the network, and the loss of a lifetime or its gradient in θ."""
    import jax
    import jax.numpy as jnp

    import hebbax as hx

    rule = hx.Blur(states=2)
    theta = rule.init(jax.random.key(0))
    net = rule.init_network(theta, jax.random.key(1), SIZES)

    def loss(theta, net, xs, ys, x, y):
        after, _ = hx.unroll(rule, theta, net, xs, ys, remat=bool(way) and way)
        return jnp.mean((rule.predict(theta, after, x) - y) ** 2)

    return rule, theta, net, loss if way is None else jax.grad(loss)


def batches(steps):
    """Return random batches, and one to judge by."""
    import jax

    keys = jax.random.split(jax.random.key(2), 2)
    xs = jax.random.normal(keys[0], (steps, BATCH, SIZES[0]))
    ys = jax.nn.one_hot(jax.random.randint(keys[1], (steps, BATCH), 0, 10), 10)
    return xs, ys, xs[0], ys[0]


def meta_step(rule, theta, steps, way):
    """Return the temporaries of a meta-gradient that samples its own batches."""
    import jax
    import numpy as np

    import hebbax as hx
    from hebbax.outer._problem import Problem

    rng = np.random.default_rng(0)
    x = rng.normal(size=(EXAMPLES, SIZES[0])).astype("float32")
    y = rng.permutation(np.arange(EXAMPLES) % 10)
    family = hx.tasks.from_arrays(x, y, x[:100], y[:100])
    objective = hx.objectives.QueryCrossEntropy(steps=steps, batch=BATCH, query=BATCH, remat=way)

    def gradient(family, theta, key):
        problem = Problem(rule, (family,), objective, SIZES[1:-1])
        return jax.grad(lambda t: problem.loss(t, key)[0])(theta)

    lowered = jax.jit(gradient).lower(family, theta, jax.random.key(0))
    return lowered.compile().memory_analysis().temp_size_in_bytes


def cpu_seconds():
    """Return the CPU time this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident(what):
    """Return the resident bytes of this process, now (VmRSS) or at most (VmHWM); Linux only."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith(what))
    return 1024 * int(line.split()[1])


def grown_by(function, *arguments):
    """Return by how much resident memory grew at most during a call."""
    import jax

    peak = pathlib.Path("/proc/self/clear_refs")
    if peak.exists():
        # "5" sets the peak to what is resident now.
        peak.write_text("5")
    before = resident("VmRSS")
    jax.block_until_ready(function(*arguments))
    return resident("VmHWM") - before


def measure(name, steps, seconds, pipe):
    """Compile one case, ask for its memory, call it."""
    import jax

    way = WAYS[name]
    rule, theta, net, function = lifetime(way)
    shapes = jax.eval_shape(lambda: batches(steps))
    program, compiling = _compiling.compiled(function, theta, net, *shapes)
    planned = program.memory_analysis()
    arguments = jax.block_until_ready((theta, net, *batches(steps)))
    grown = grown_by(program, *arguments)
    calls, begin, begin_cpu = 0, time.perf_counter(), cpu_seconds()
    while not calls or time.perf_counter() - begin < seconds:
        jax.block_until_ready(program(*arguments))
        calls += 1
    cpu, wall = cpu_seconds() - begin_cpu, time.perf_counter() - begin
    pipe.send(
        {
            "steps": steps,
            "way": name,
            **compiling,
            "temporaries": planned.temp_size_in_bytes,
            "arguments": planned.argument_size_in_bytes,
            "grown": grown,
            "wall_s": wall / calls,
            "cpu_s": cpu / calls,
            "meta_step_temporaries": None if way is None else meta_step(rule, theta, steps, way),
        }
    )


def main():
    """Run the cases asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="unroll lengths")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seconds", type=float, default=3.0, help="time to repeat each case for")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each case")
    options = parser.parse_args()
    if min(options.steps) < 1:
        parser.error(f"--steps must be at least 1; got {min(options.steps)}")
    context = multiprocessing.get_context("spawn")
    if not options.json:
        print(
            "updates  way         data MB  temporaries MB  grown MB  meta-step MB  "
            f"{_compiling.HEAD}   wall ms    CPU ms  CPU / forward"
        )
    for steps in options.steps:
        forward = None
        for way in options.ways:
            ours, theirs = context.Pipe(duplex=False)
            arguments = (way, steps, options.seconds, theirs)
            process = context.Process(target=measure, args=arguments)
            process.start()
            theirs.close()
            try:
                row = ours.recv()
            except EOFError:
                raise SystemExit(f"{steps} updates, {way}: the process ended early") from None
            process.join()
            if way == "forward":
                forward = row["cpu_s"]
            row["times_forward"] = None if forward is None else row["cpu_s"] / forward
            if options.json:
                print(json.dumps(row), flush=True)
                continue
            inside = row["meta_step_temporaries"]
            print(
                f"{steps:7}  {way:10} {row['arguments'] / 1e6:8.1f} "
                f"{row['temporaries'] / 1e6:15.1f} {row['grown'] / 1e6:9.1f} "
                f"{'' if inside is None else f'{inside / 1e6:.1f}':>13}"
                f"  {_compiling.report(row)} {1e3 * row['wall_s']:9.1f} {1e3 * row['cpu_s']:9.1f}"
                f" {row['times_forward'] or float('nan'):14.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
