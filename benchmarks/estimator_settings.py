"""What other numbers of updates and examples do to `PlasticClassifier`, on data apart.

    python benchmarks/estimator_settings.py [--seeds 4]

None of these data are in benchmarks/estimators.py: ten letters, CIFAR-10 in grey, and synthetic
tables. Printed is the accuracy on 1,000 examples held out, mean over seeds.
"""

import argparse

import numpy as np

STEPS = (10, 20, 40, 80)
HELD_OUT = 1000


def images(name):
    """Return pixels and labels of the first ten classes, in a random order."""
    import hebbax as hx

    found = hx.data.load(name)
    x = found.train_x.astype(np.float32)
    if x.ndim == 4:
        x = x.mean(axis=3)
    order = np.random.RandomState(0).permutation(len(x))[:14_000]
    order = order[found.train_y[order] < 10]
    return x.reshape(len(x), -1)[order], found.train_y[order]


def problems():
    """Yield the name, training examples and data of every problem."""
    from sklearn.datasets import make_classification

    for name, sizes in (("az_letters", (100,)), ("cifar10", (100, 1000, 4000))):
        x, y = images(name)
        yield from ((f"{name}, {n:,} examples", n, x, y) for n in sizes)
    for seed, (n, columns, classes) in enumerate(((100, 5, 3), (400, 30, 2), (1000, 10, 3))):
        x, y = make_classification(
            n + HELD_OUT,
            n_features=columns,
            n_informative=max(3, columns // 2),
            n_redundant=0,
            n_classes=classes,
            class_sep=1.2,
            random_state=seed,
        )
        yield f"table of {columns} columns, {n:,} examples", n, x, y


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=4)
    seeds = parser.parse_args().seeds

    import hebbax as hx

    print(f"{'':40} {'batch':>5}" + "".join(f"{steps:>7}" for steps in STEPS) + "  updates")
    for name, n, x, y in problems():
        for batch in (128, 512):
            line = f"{name:40} {batch:5}"
            for steps in STEPS:
                scores = [
                    hx.PlasticClassifier(steps=steps, batch_size=batch, random_state=seed)
                    .fit(x[:n], y[:n])
                    .score(x[-HELD_OUT:], y[-HELD_OUT:])
                    for seed in range(seeds)
                ]
                line += f"{np.mean(scores):7.3f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
