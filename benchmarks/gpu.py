"""What an accelerator gives: precision, updates a second, and what they are bound by.

    python benchmarks/gpu.py [--counts 1 64 1024] [--seconds 1] [--limit 285] [--only WORD ...]

Needs no network, and ends within `--limit` seconds: what is not done by then is named. The same
table comes on a CPU, where `--counts 1 8` is plenty. `x product` is the share of what one product
of two square matrices reaches in the same process, `launches` about how many kernels a call
launches and which part of its time that many empty ones take: near 1, larger batches of genomes,
lifetimes or tasks cost nothing. Recipes whose data are not here learn random rows of the same
shape, which is marked by *.
"""

import argparse
import json
import multiprocessing
import os
import time

HEAD = (
    f"{'what':44}{'side by side':>13}{'trace':>7}{'lower':>7}{'compile':>9}{'ms':>10}"
    f"{'updates/s':>12}{'TFLOP/s':>9}{'x product':>11}{'launches':>10}{'of time':>9}{'GB':>7}"
)
PRECISIONS = ("default", "high", "highest")


def least_seconds(program, arguments, seconds):
    """Return the least wall time of a call."""
    import jax

    jax.block_until_ready(program(*arguments))
    least, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < seconds:
        lap = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        least = min(least, time.perf_counter() - lap)
    return least


def versions():
    """Return what computes here, as text."""
    import jax
    import jaxlib

    device = jax.devices()[0]
    about = device.client.platform_version.splitlines()[0]
    return f"jax {jax.__version__}, jaxlib {jaxlib.__version__}, {device.device_kind}, {about}"


def products(seconds):
    """Yield precision, error against float64 and operations a second of a matrix product."""
    import jax
    import numpy as np

    side = 4096 if jax.default_backend() != "cpu" else 2048
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, side, side)).astype(np.float32)
    rows = a[:64].astype(np.float64) @ b.astype(np.float64)
    for precision in PRECISIONS:
        program = jax.jit(lambda a, b, p=precision: jax.numpy.matmul(a, b, precision=p))
        found = np.asarray(program(a, b))[:64]
        error = np.abs(found - rows).max() / np.abs(rows).max()
        wall = least_seconds(program, (jax.device_put(a), jax.device_put(b)), seconds)
        yield precision, float(error), 2 * side**3 / wall


def launch_seconds(seconds):
    """Return how long an empty kernel takes in a loop on the device."""
    import jax
    import jax.numpy as jnp

    turns = 1000

    def loop(x):
        # A product and a sum that cannot be one kernel.
        return jax.lax.fori_loop(0, turns, lambda _, x: jnp.roll(jnp.sort(x), 1), x)

    return least_seconds(jax.jit(loop), (jnp.ones(8),), seconds) / (2 * turns)


def systems():
    """Return {system: (rule, sizes, inputs, outputs)} of one small network of each."""
    import hebbax as hx

    return {
        "Blur": (hx.Blur(states=2), (100, 64, 10), 32),
        "Vsml": (hx.Vsml(), (100, 10), 1),
        "UnsupervisedRule": (
            hx.UnsupervisedRule(hidden_channels=16, top_channels=16, signal_channels=8),
            (100, 64, 32),
            64,
        ),
    }


def differences(seconds):
    """Yield system, precision, largest relative difference from this machine's CPU, and seconds."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    for name, (rule, sizes, batch) in systems().items():
        theta = rule.init(jax.random.key(0))
        net = jax.jit(lambda k, r=rule, t=theta, s=sizes: r.init_network(t, k, s))(
            jax.random.key(1)
        )
        x = jax.random.normal(jax.random.key(2), (batch, sizes[0]))
        y = jax.nn.one_hot(jnp.arange(batch) % sizes[-1], sizes[-1])
        arguments = (theta, net, x, y if rule.learns_from_labels else None)
        with jax.default_device(jax.devices("cpu")[0]), jax.default_matmul_precision("highest"):
            exact = jax.device_get(jax.jit(rule.update)(*jax.device_get(arguments)))
        for precision in PRECISIONS:
            with jax.default_matmul_precision(precision):
                program = jax.jit(rule.update).lower(*arguments).compile()
            found = jax.device_get(program(*arguments))
            scaled = jax.tree.map(
                lambda a, b: np.abs(a - b).max() / max(1e-30, np.abs(b).max()), found, exact
            )
            error = max(jax.tree.leaves(scaled))
            yield name, precision, float(error), least_seconds(program, arguments, seconds)


def blur(count):
    """Return meta-steps of (b) with k = 2, for so many genomes at once."""
    import jax
    from blur import meta_step, random_family

    step, (families, theta, state, key) = meta_step(
        (random_family(100),), (64, 64), 2, 128, 10, True
    )
    many = jax.tree.map(lambda a: jax.numpy.stack([a] * count), (theta, state))
    run = jax.vmap(step, in_axes=(None, 0, 0, None))
    return run, (families, *many, key), 10 * count


def vsml(count, remat=True):
    """Return the meta-gradient of so many lifetimes of 200 examples."""
    import jax
    from vsml import STEPS, cross_entropy, draw

    import hebbax as hx

    rule, theta, nets, xs, ys = draw(100, count)

    def loss(theta, nets, xs, ys):
        def one(net, x, y):
            return cross_entropy(hx.unroll(rule, theta, net, x, y, remat=remat)[1], y)

        return jax.numpy.mean(jax.vmap(one)(nets, xs, ys))

    return jax.value_and_grad(loss), (theta, nets, xs, ys), STEPS * count


def unsupervised(count):
    """Return the gradient through truncations of four updates of so many tasks."""
    import jax

    import hebbax as hx

    rule, sizes, batch = systems()["UnsupervisedRule"]
    theta = rule.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), count)
    nets = jax.jit(jax.vmap(lambda k: rule.init_network(theta, k, sizes)))(keys)
    xs = jax.random.normal(jax.random.key(2), (count, 4, batch, sizes[0]))

    def loss(theta, nets, xs):
        def one(net, x):
            return jax.numpy.mean(hx.unroll(rule, theta, net, x, None, remat=True)[1] ** 2)

        return jax.numpy.mean(jax.vmap(one)(nets, xs))

    return jax.value_and_grad(loss), (theta, nets, xs), 4 * count


def unrolled(count, turns):
    """Return lifetimes of 60 updates of BLUR, so many of them in one turn of the loop."""
    import jax

    rule, sizes, batch = systems()["Blur"]
    theta = rule.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), count)
    nets = jax.jit(jax.vmap(lambda k: rule.init_network(theta, k, sizes)))(keys)
    xs = jax.random.normal(jax.random.key(2), (60, batch, sizes[0]))
    ys = jax.nn.one_hot(jax.numpy.zeros((60, batch), int), sizes[-1])

    def run(theta, net, xs, ys):
        def step(net, batch):
            return rule.update(theta, net, *batch)

        return jax.lax.scan(step, net, (xs, ys), unroll=turns)[1][-1]

    return jax.vmap(run, in_axes=(None, 0, None, None)), (theta, nets, xs, ys), 60 * count


def recipe(name):
    """Return a meta-step of a recipe; an empty name's star says that its data are not here."""
    import jax

    from hebbax.outer.engines import CompiledEngine, Setup
    from hebbax.recipes import RECIPES

    asked = RECIPES[name]()
    try:
        training = asked.training()
    except (OSError, ValueError, RuntimeError):
        from blur import random_family

        training = asked.training((random_family(100),))
    engine = training.method.engine(Setup(training))
    assert isinstance(engine, CompiledEngine)
    state = engine.start(training.thetas(), jax.random.key(0))

    def step(families, state, key):
        return engine._steps(families, state, key, 0, 1)

    arguments = (engine.setup.families, state, training.keys.train)
    return step, arguments, engine.updates_per_step()


def cases(counts):
    """Return (label, side by side, function that builds it) in the order of their worth."""
    from hebbax.recipes import RECIPES

    middle = counts[len(counts) // 2]
    found = []
    for label, build in (
        ("meta-step (b), k=2", blur),
        ("VSML meta-gradient, 100 inputs", vsml),
        ("unsupervised, 64 hidden, truncations of 4", unsupervised),
    ):
        found += [(label, count, lambda b=build, c=count: b(c)) for count in counts]
    found.append(("VSML, segments", middle, lambda: vsml(middle, "segments")))
    for turns in (1, 6):
        label = f"BLUR lifetimes, loop unrolled {turns} times"
        found += [(label, c, lambda c=c, t=turns: unrolled(c, t)) for c in (1, middle)]
    found += [(f"recipe {name}", 1, lambda n=name: recipe(n)) for name in RECIPES]
    return found


def measure(options, pipe):
    """Send one line after another, then None."""
    import _compiling
    from _launches import launches, product_flops

    pipe.send({"text": versions()})
    peak = 0.0
    for precision, error, rate in products(options.seconds):
        peak = max(peak, rate)
        kind = "TF32 or less" if error > 1e-5 else "float32"
        pipe.send({
            "text": f"product, precision {precision:8} error {error:.1e} ({kind}), "
            f"{rate / 1e12:.2f} TFLOP/s"
        })  # fmt: skip
    empty = launch_seconds(options.seconds)
    pipe.send({"text": f"a kernel that does next to nothing takes {1e6 * empty:.1f} µs"})
    for name, precision, error, wall in differences(options.seconds / 3):
        pipe.send({
            "text": f"{name:17} update, precision {precision:8} differs from the CPU's by "
            f"{error:.1e}, {1e3 * wall:.3f} ms"
        })  # fmt: skip
    pipe.send({"text": HEAD})
    for label, count, build in cases(options.counts):
        if options.only and not any(word in label for word in options.only):
            continue
        pipe.send({"now": f"{label}, {count}"})
        try:
            function, arguments, updates = build()
            program, compiling = _compiling.compiled(function, *arguments)
            wall = least_seconds(program, arguments, options.seconds)
        except Exception as error:
            pipe.send({"text": f"{label:44}{count:13} {type(error).__name__}: {str(error)[:90]}"})
            continue
        work = product_flops(function, *arguments)
        kernels = launches(program.as_text())
        pipe.send({
            "label": label, "count": count, **compiling, "wall_s": wall,
            "updates_per_s": updates / wall, "tflops": work / wall / 1e12,
            "of_product": work / wall / peak, "launches": kernels,
            "launch_share": min(1.0, kernels * empty / wall),
            "memory_gb": program.memory_analysis().temp_size_in_bytes / 1e9,
        })  # fmt: skip
    pipe.send(None)


def report(row):
    """Return a line of the table."""
    if "text" in row:
        return row["text"]
    return (
        f"{row['label']:44}{row['count']:13}{row['trace_s']:7.1f}{row['lower_s']:7.1f}"
        f"{row['compile_s']:9.1f}{1e3 * row['wall_s']:10.2f}{row['updates_per_s']:12,.0f}"
        f"{row['tflops']:9.3f}{row['of_product']:11.1%}{row['launches']:10,}"
        f"{row['launch_share']:9.0%}{row['memory_gb']:7.2f}"
    )


def main():
    """Print rows as they come, until all are there or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 64, 1024])
    parser.add_argument("--seconds", type=float, default=1.0, help="time to repeat each case for")
    parser.add_argument("--limit", type=float, default=285.0, help="seconds after which it ends")
    parser.add_argument("--only", nargs="+", default=[], help="rows that hold one of these words")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each row")
    options = parser.parse_args()
    if min(options.counts) < 1:
        parser.error(f"--counts must be at least 1; got {min(options.counts)}")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    end, now = time.monotonic() + options.limit, "the start"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(options, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while ours.poll(max(0.0, end - time.monotonic())):
            row = ours.recv()
            if row is None:
                process.join()
                return
            now = row.get("now", now)
            if "now" not in row:
                print(json.dumps(row) if options.json else report(row), flush=True)
    except EOFError:
        raise SystemExit(f"the process ended at {now}") from None
    process.kill()
    print(f"over after {options.limit:.0f} s, at {now}; what comes after it was left out")


if __name__ == "__main__":
    main()
