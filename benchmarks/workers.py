"""Time asynchronous meta-training on a local Ray cluster against the number of workers.

    python benchmarks/workers.py [--workers 1 2 4] [--seconds 10] [--repeats 3] [--json]

A meta-step is a single estimate of a truncated gradient here (`Ray(batch=1)`), so that each row
does the same work for one. The first two rows have no workers: meta-steps in one process, with
one XLA thread and with as many as there are cores. Every measurement is a process of its own and
begins when all workers have compiled; a row's numbers are medians of its repeats, which are taken
in turns with the other rows'. CPU time is that of learner and workers, without Ray's own processes.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time

ONE_THREAD, ALL_CORES = 0, -1
PROBLEM = "Hebbian(), digits, 64-128-10, batch 256, truncations of 20 updates, 4 particles"


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def name(workers):
    """Return what a row is called."""
    without = {ONE_THREAD: "none, one thread", ALL_CORES: "none, all cores"}
    return without.get(workers, str(workers))


def build(workers):
    """Return a compiled engine and its state; `workers` may be one of the two without."""
    import jax
    import optax

    import hebbax as hx
    from hebbax.outer.engines import Setup

    rule, key = hx.Hebbian(), jax.random.key(0)
    objective = hx.objectives.QueryCrossEntropy(steps=100, batch=256, query=256)
    method = hx.methods.TruncatedGradient(optax.adam(1e-4), clip=10.0, truncation=20, particles=4)
    training = hx.MetaTraining(
        rule, hx.tasks.digits(), objective, method, hidden=(128,), steps=1, key=key
    )
    setup = Setup(training)
    if workers > 0:
        engine = hx.Ray(workers=workers, batch=1, staleness=4 * workers).engine(setup)
    else:
        engine = method.engine(setup)
    state = engine.start(jax.tree.map(lambda a: a[None], rule.init(key)), key)
    engine.compile(state)
    return engine, state


def cpu_seconds(engine, workers):
    """Return what this process and its workers have used so far; NaN without Linux's /proc."""
    if workers <= 0:
        return time.process_time()
    try:
        stats = [pathlib.Path(f"/proc/{pid}/stat").read_text() for pid in engine.pool.pids.values()]
    except FileNotFoundError:
        return float("nan")
    ticks = sum(sum(map(int, text.rpartition(")")[2].split()[11:13])) for text in stats)
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def measure(workers, seconds, queue):
    """Time meta-steps for at least so many seconds."""
    if workers == ONE_THREAD:
        os.environ["NPROC"] = "1"  # read when JAX starts its threads
    engine, state = build(workers)
    steps, count = 0, 10
    while True:
        begin, cpu = time.perf_counter(), cpu_seconds(engine, workers)
        state, metrics = engine.advance(state, steps, count)
        passed, used = time.perf_counter() - begin, cpu_seconds(engine, workers) - cpu
        steps += count
        if workers > 0 and metrics["workers"][0] < workers:
            continue
        if passed >= seconds:
            break
        count = max(count + 1, round(1.2 * count * seconds / passed))
    engine.close()
    queue.put((count / passed, 1000 * used / count, metrics.get("age", [0.0])[0]))


def in_process_of_its_own(*arguments):
    """Return what `measure` puts into its queue."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measure, args=(*arguments, queue))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"the process of {name(arguments[0])!r} ended with {process.exitcode}")
    return queue.get()


def main():
    counts = [1]
    while counts[-1] < cores():
        counts.append(min(2 * counts[-1], cores()))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=counts)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="a line of JSON for each row")
    options = parser.parse_args()

    folder = tempfile.TemporaryDirectory()
    # All rows compile the same programs; only the first of each waits for that.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    rows = [ONE_THREAD, ALL_CORES, *options.workers]
    found = {row: [] for row in rows}
    for _ in range(options.repeats):
        for row in rows:
            found[row].append(in_process_of_its_own(row, options.seconds))
    if not options.json:
        load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
        print(f"{PROBLEM}; {cores()} cores, load average at the end {load}")
        heads = ("workers", "meta-steps/s", "least - most", "CPU ms each", "age")
        print("{:>18} {:>13} {:>15} {:>12} {:>6}".format(*heads))
    for row in rows:
        rates = sorted(rate for rate, _, _ in found[row])
        rate, cpu, age = map(statistics.median, zip(*found[row], strict=True))
        if options.json:
            line = {"workers": name(row), "meta_steps_per_s": round(rate, 2), "age": round(age, 2)}
            line |= {"cpu_ms": round(cpu, 2), "all": [round(r, 2) for r in rates]}
            print(json.dumps(line))
        else:
            least_most = f"{rates[0]:.1f} - {rates[-1]:.1f}"
            print(f"{name(row):>18} {rate:13.1f} {least_most:>15} {cpu:12.1f} {age:6.2f}")


if __name__ == "__main__":
    main()
