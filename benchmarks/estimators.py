"""Compare `PlasticClassifier` with scikit-learn's classifiers; write docs/results/estimators.md.

    python benchmarks/estimators.py [--data NAME ...] [--seeds 3] [--write PAGE]

Every learner gets the same standardised columns and has its default options, but that of 64 hidden
units and of enough iterations for LogisticRegression to converge. Seconds are CPU seconds of this
process in `fit`, on one core for scikit-learn; what JAX compiles, once for each shape of data, is
counted apart. Each seed draws its own training part, weights and batches.
"""

import argparse
import platform
import shlex
import sys
import time
import warnings
from pathlib import Path

import numpy as np

TABLES = ("iris", "wine", "breast_cancer", "digits")
IMAGES = tuple(f"{name}-{n}" for name in ("mnist", "fashion_mnist") for n in (100, 1000, 10_000))
OURS = {"PlasticClassifier": "blur/mnist", "with blur/lasting": "blur/lasting"}
LEARNERS = (*OURS, "MLPClassifier", "LogisticRegression")
BATCH = 128
PIXELS = 14
"""Images are reduced to so many pixels a side."""
POINT = 0.01


def table(name):
    """Return a function from a seed to a stratified split of 70 and 30 per cent."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return lambda seed: train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)


def images(name):
    """Return a function from a seed to training images of that seed and the whole test set."""
    import hebbax as hx
    from hebbax.data.images import resize

    name, n = name.rsplit("-", 1)
    found = hx.data.load(name)

    def rows(x):
        return resize(x.astype(np.float32), PIXELS).reshape(len(x), -1)

    test = rows(found.test_x)

    def split(seed):
        chosen = np.random.RandomState(seed).permutation(len(found.train_x))[: int(n)]
        return rows(found.train_x[chosen]), test, found.train_y[chosen], found.test_y

    return split


def learner(name, seed):
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import hebbax as hx

    if name in OURS:
        return hx.PlasticClassifier(OURS[name], hidden=(64,), batch_size=BATCH, random_state=seed)
    if name == "MLPClassifier":
        model = MLPClassifier(hidden_layer_sizes=(64,), random_state=seed)
    else:
        model = LogisticRegression(max_iter=1000)
    return make_pipeline(StandardScaler(), model)


def seconds_to_fit(model, x, y):
    begin = time.process_time()
    model.fit(x, y)
    return time.process_time() - begin


def measure(name, seeds):
    """Return accuracies and seconds `[seeds]` of every learner, and seconds of compiling."""
    split = (table if name in TABLES else images)(name)
    found, compiling = {}, []
    for who in LEARNERS:
        accuracy, seconds = [], []
        for seed in range(seeds):
            x, test_x, y, test_y = split(seed)
            model = learner(who, seed)
            first = seconds_to_fit(model, x, y) if who in OURS and seed == 0 else None
            seconds.append(seconds_to_fit(model, x, y))
            if first is not None:
                compiling.append(first - seconds[0])
            accuracy.append(model.score(test_x, test_y))
        found[who] = np.asarray(accuracy), np.asarray(seconds)
    print(row(name, found, compiling), file=sys.stderr, flush=True)
    return found, compiling


def row(name, found, compiling):
    cells = [f"{a.mean():.3f} ± {a.std():.3f}" for a, _ in found.values()]
    cells += [f"{np.median(s):.2f}" for _, s in found.values()]
    return f"| {name} | " + " | ".join([*cells, f"{max(compiling):.1f}"]) + " |"


def verdict(results, who):
    """Say in words where a learned rule is ahead, level and behind."""
    sides = {"behind": [], "level with": [], "ahead of": []}
    for name, (found, _) in results.items():
        mean = {learner: accuracy.mean() for learner, (accuracy, _) in found.items()}
        gap = mean[who] - max(m for learner, m in mean.items() if learner not in OURS)
        side = "level with" if abs(gap) <= POINT else "ahead of" if gap > 0 else "behind"
        sides[side].append(f"{name} ({100 * gap:+.1f})")
    lines = []
    for side, names in sides.items():
        listed = ", ".join(names) if names else "nowhere"
        lines.append(f"- {side.capitalize()} the better of scikit-learn's two: {listed}.")
    return lines


def page(results, seeds, command):
    """Return the page, Markdown."""
    import jax
    import sklearn

    import hebbax as hx

    updates, more = (hx.zoo.card(rule)["options"]["unrolls"] for rule in OURS.values())
    head = " | ".join(["accuracy: " + LEARNERS[0], *LEARNERS[1:]])
    head += " | " + " | ".join(["CPU s: " + LEARNERS[0], *LEARNERS[1:], "compiling"])
    lines = [
        "# `PlasticClassifier` beside scikit-learn's classifiers",
        "",
        "This page is written by",
        "",
        f"    {command}",
        "",
        f"hebbax {hx.__version__}, jax {jax.__version__}, scikit-learn {sklearn.__version__}, "
        f"Python {platform.python_version()}, {jax.default_backend().upper()}.",
        "",
        f"Test accuracy, mean ± deviation of {seeds} seeds; median CPU seconds of `fit`, and those "
        "of compiling the first time that data have this shape.",
        "",
        f"| data | {head} |",
        "|" + "---|" * (2 * len(LEARNERS) + 2),
        *(row(name, *found) for name, found in results.items()),
        "",
        *(
            line
            for who in OURS
            for line in (
                f"In points of accuracy, more than one counting as a difference, `{who}` is",
                "",
                *verdict(results, who),
                "",
            )
        ),
        "What was compared:",
        "",
        "- `PlasticClassifier()` with its defaults: the shipped rule `blur/mnist`, 64 hidden "
        f"units, {updates} updates of {BATCH:,} examples, as many as the rule was meta-trained "
        f"for. So it looks at {updates * BATCH:,} examples in all, however many there are.",
        f"- `PlasticClassifier('blur/lasting')`: likewise, {more} updates.",
        "- `MLPClassifier(hidden_layer_sizes=(64,))` and `LogisticRegression(max_iter=1000)`, "
        "which go through the data until they converge (MLPClassifier for 200 epochs at most). "
        "Neither was tuned.",
        "- All have their columns standardised on the training part. Images are "
        f"{PIXELS} by {PIXELS} pixels; their test set is the whole official one. Of the tables, "
        "30 per cent are for testing, another part for each seed.",
        "- The defaults were not chosen on these data. `benchmarks/estimator_settings.py` shows "
        "what other numbers of updates and examples do on others.",
        "- MNIST is no clean test of the rules, which were meta-trained on its training part (at "
        "10 by 10 pixels) and whose options were chosen by test accuracy on MNIST and "
        "Fashion-MNIST. The tables had no part in that.",
        "- CPU seconds were taken on a machine shared with other work, which makes them larger "
        "than on a free one, for all learners alike.",
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    known = (*TABLES, *IMAGES)
    parser.add_argument("--data", nargs="+", choices=known, default=list(known), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    options = parser.parse_args()

    from threadpoolctl import threadpool_limits

    warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
    with threadpool_limits(1):
        results = {name: measure(name, options.seeds) for name in options.data}
    command = shlex.join(["python", "benchmarks/estimators.py", *sys.argv[1:]])
    text = page(results, options.seeds, command)
    if options.write is None:
        print(text)
    else:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
