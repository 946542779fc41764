"""CPU seconds of the first `fit` of a shape of data, and of `partial_fit`, with nothing kept.

    python benchmarks/first_fit.py

Each line is measured twice in processes of their own: with programs compiled well, however little
there is to be learnt, and as the package compiles them. Single rows have 20 inputs and 5 classes,
and one network of `vsml/online` learns from them, once compiled: 10,000 in calls of 1,000, and
1,000 in a call each.
"""

import os
import subprocess
import sys
import time

CASES = (
    "first fit, wine", "another shape, iris", "the same again", "digits", "chunks of 8 sizes",
    "10,000 single rows", "1,000 calls of one row",
)  # fmt: skip
SIZES = (50, 7, 150, 32, 2, 33, 128, 101)
WELL = "well"


def measure(how: str) -> None:
    """Print the seconds of each case."""
    import numpy as np
    from sklearn.datasets import load_digits, load_iris, load_wine

    import hebbax as hx
    from hebbax.estimators import _supervised

    if how == WELL:
        _supervised.BRIEF = 0
    wine, iris, digits = (load(return_X_y=True) for load in (load_wine, load_iris, load_digits))

    def fit(data):
        hx.PlasticClassifier(random_state=0).fit(*data)

    def chunks(data):
        online = hx.PlasticClassifier(random_state=0)
        for size in SIZES:
            online.partial_fit(data[0][:size], data[1][:size], classes=[0, 1, 2])

    random = np.random.default_rng(0)
    single = random.normal(size=(10_000, 20)), random.integers(5, size=10_000)
    learner = hx.PlasticClassifier("vsml/online", batch_size=1, hidden=(), n_networks=1)
    for _ in range(2):
        learner.partial_fit(single[0][:9], single[1][:9], classes=range(5))

    def rows(data, together):
        for x, y in zip(*(np.split(a, len(a) // together) for a in data), strict=True):
            learner.partial_fit(x, y)

    def many(data):
        rows(data, 1000)

    def each(data):
        rows([a[:1000] for a in data], 1)

    for work, data in (
        (fit, wine), (fit, iris), (fit, iris), (fit, digits), (chunks, iris), (many, single),
        (each, single),
    ):  # fmt: skip
        begin = time.process_time()
        work(data)
        print(time.process_time() - begin, flush=True)


def main() -> None:
    """Print a table."""
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    columns = []
    for how in (WELL, "ours"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, how],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        columns.append(done.stdout.split())
    print(f"{'CPU seconds':24}{'compiled well':>15}{'as it is':>10}")
    for name, well, ours in zip(CASES, *columns, strict=True):
        print(f"{name:24}{float(well):15.1f}{float(ours):10.1f}")


if __name__ == "__main__":
    main()
