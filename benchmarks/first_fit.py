"""CPU seconds of the first `fit` of a shape of data, and of `partial_fit`, with nothing kept.

    python benchmarks/first_fit.py

Each line is measured twice in processes of their own: with programs compiled well, however little
there is to be learnt, and as the package compiles them.
"""

import os
import subprocess
import sys
import time

CASES = ("first fit, wine", "another shape, iris", "the same again", "digits", "chunks of 8 sizes")
SIZES = (50, 7, 150, 32, 2, 33, 128, 101)
WELL = "well"


def measure(how: str) -> None:
    """Print the seconds of each case."""
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

    hx.PlasticClassifier  # noqa: B018  # imports are not measured
    for work, data in ((fit, wine), (fit, iris), (fit, iris), (fit, digits), (chunks, iris)):
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
    print(f"{'CPU seconds':22}{'compiled well':>15}{'as it is':>10}")
    for name, well, ours in zip(CASES, *columns, strict=True):
        print(f"{name:22}{float(well):15.1f}{float(ours):10.1f}")


if __name__ == "__main__":
    main()
