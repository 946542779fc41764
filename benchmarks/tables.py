"""`PlasticClassifier()` beside scikit-learn's classifiers on tables and images.

    python benchmarks/tables.py                      # everything that is missing, then the page
    python benchmarks/tables.py --data iris sonar    # some data sets only
    python benchmarks/tables.py --write docs/results/tables.md

Ten tables of UCI, the four sets that come with scikit-learn, and MNIST and Fashion-MNIST at 100,
1,000 and 10,000 examples: accuracy, balanced accuracy, log loss and Brier score. Tables are cut
into five folds, stratified; images have the official test set, 14 by 14 pixels, and three choices
of training examples. All inputs are standardised on the training part. Every number is kept in a
file as soon as it is there, so that a run that was stopped goes on.
"""

import argparse
import gzip
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import hebbax as hx

OURS, BOOSTING, TUNED = "PlasticClassifier", "HistGradientBoosting", "MLPClassifier, tuned"
RIVALS = ("MLPClassifier", "LogisticRegression")
LEARNERS = (OURS, *RIVALS, BOOSTING, TUNED)
GRID = {"alpha": [1e-4, 1e-2, 1.0], "hidden_layer_sizes": [(64,), (256,)]}
BUNDLED = {
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
    "digits": load_digits,
}
TABLES = (
    "adult", "banknote_authentication", "ecoli", "ionosphere", "mammography", "phoneme",
    "pima_diabetes", "sonar", "wheat_seeds", "winequality_red",
)  # fmt: skip
IMAGES = tuple(f"{n}-{k}" for n in ("mnist", "fashion_mnist") for k in (100, 1000, 10_000))
DATA = (*BUNDLED, *TABLES, *IMAGES)
SIZE, FOLDS, CHOICES = 14, 5, 3


def learner(name, seed):
    return {
        OURS: lambda: hx.PlasticClassifier(random_state=seed),
        "MLPClassifier": lambda: MLPClassifier(random_state=seed),
        "LogisticRegression": lambda: LogisticRegression(),
        BOOSTING: lambda: HistGradientBoostingClassifier(random_state=seed),
        TUNED: lambda: GridSearchCV(
            MLPClassifier(random_state=seed, early_stopping=False), GRID, cv=3,
            scoring="neg_log_loss",
        ),
    }[name]()  # fmt: skip


def splits(name):
    """Yield training and test rows of a data set, standardised."""
    if name in IMAGES:
        which, count = name.split("-")
        family = hx.tasks.images(which, size=SIZE)
        x, y = np.asarray(family.train_x, np.float64), np.asarray(family.train_y)
        for seed in range(CHOICES):
            rows = np.random.RandomState(seed).permutation(len(x))[: int(count)]
            yield (
                _standard(x[rows], np.asarray(family.test_x, np.float64)),
                y[rows],
                np.asarray(family.test_y),
            )
        return
    x, y = BUNDLED[name](return_X_y=True) if name in BUNDLED else table(name)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y):
        yield _standard(*_encoded(x, train, test)), y[train], y[test]


def table(name):
    """Return the rows of a table, and its labels from 0."""
    folder = Path(os.environ.get("HEBBAX_DATA", "../shared/data")) / "tabular"
    if name == "adult":
        import pandas as pd

        with gzip.open(folder / "adult.csv.gz", "rt") as file:
            frame = pd.read_csv(file, skipinitialspace=True)
        return frame.drop(columns="income"), np.unique(frame["income"], return_inverse=True)[1]
    arrays = np.load(folder / f"{name}.npz")
    return arrays["x"].astype(np.float64), arrays["y"]


def _encoded(x, train, test):
    """Return training and test rows as numbers; words become a column for each."""
    if isinstance(x, np.ndarray):
        return x[train], x[test]
    words = x.select_dtypes(exclude="number").columns
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", min_frequency=20, sparse_output=False), words),
        remainder="passthrough",
    )
    return encoder.fit_transform(x.iloc[train]), encoder.transform(x.iloc[test])


def _standard(train, test):
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def measures(share, y, classes):
    """Return what probabilities `[n, classes]` are worth."""
    said, right = share.argmax(axis=1), np.clip(share[np.arange(len(y)), y], 1e-15, None)
    return {
        "accuracy": float((said == y).mean()),
        "balanced": float(balanced_accuracy_score(y, said)),
        "log_loss": float(-np.log(right).mean()),
        "brier": float(np.square(share - np.eye(classes)[y]).sum(axis=1).mean()),
    }


def measure(data, name):
    """Return the means over the splits, and the median CPU seconds of a fit."""
    found, seconds, updates = [], [], []
    for seed, ((train, test), y, test_y) in enumerate(splits(data)):
        model = learner(name, seed)
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(train, y)
        seconds.append(time.process_time() - begin)
        updates.append(getattr(model, "n_updates_", 0))
        classes = int(max(y.max(), test_y.max())) + 1
        share = np.zeros((len(test_y), classes))
        share[:, model.classes_] = model.predict_proba(test)
        found.append(measures(share, test_y, classes))
    means = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
    return {**means, "seconds": float(np.median(seconds)), "updates": float(np.mean(updates))}


def ranks(kept, data, key, names):
    """Return the median over data sets of each learner's rank, 1 for the best."""
    sign = -1 if key == "accuracy" else 1
    table = np.asarray([[sign * kept[d][n][key] for n in names] for d in data])
    below = (table[:, :, None] > table[:, None, :]).sum(axis=2)
    alike = (table[:, :, None] == table[:, None, :]).sum(axis=2) - 1
    return dict(zip(names, np.median(1 + below + alike / 2, axis=0).tolist(), strict=True))


def page(kept):
    """Return what was measured, in Markdown."""
    data = [d for d in DATA if len(kept.get(d, {})) == len(LEARNERS)]
    lines = [
        "# `PlasticClassifier()` on tables",
        "",
        "This page is written by",
        "",
        "    python benchmarks/tables.py --write docs/results/tables.md",
        "",
        "Means over the test parts of five stratified folds, or of three choices of training "
        "images (14 by 14 pixels, the whole official test set). All have their defaults but the "
        "last, whose widths and weight decay are chosen by cross-validation; inputs are "
        "standardised.",
    ]
    for key, heading in (
        ("accuracy", "Accuracy"), ("log_loss", "Log loss"), ("brier", "Brier score"),
        ("balanced", "Balanced accuracy"), ("seconds", "CPU seconds of `fit`, compiling included"),
    ):  # fmt: skip
        lines += ["", f"## {heading}", "", "| data | " + " | ".join(LEARNERS) + " |"]
        lines += ["|---" * (len(LEARNERS) + 1) + "|"]
        for d in data:
            cells = [f"{kept[d][n][key]:.{2 if key == 'seconds' else 3}f}" for n in LEARNERS]
            lines.append(f"| {d} | " + " | ".join(cells) + " |")
    if not data:
        return "\n".join(lines) + "\n"
    lines += ["", "## In short", ""]
    for key in ("accuracy", "log_loss"):
        found = ranks(kept, data, key, (OURS, *RIVALS))
        words = ", ".join(f"{name} {rank:g}" for name, rank in found.items())
        lines.append(f"- Median rank by {key.replace('_', ' ')} among three: {words}.")
        every = ranks(kept, data, key, LEARNERS)
        words = ", ".join(f"{name} {rank:g}" for name, rank in every.items())
        lines.append(f"- Among all five: {words}.")
    behind = {
        d: max(kept[d][n]["accuracy"] for n in RIVALS) - kept[d][OURS]["accuracy"] for d in data
    }
    far = [f"{d} ({gap:.3f})" for d, gap in behind.items() if gap > 0.02]
    lines.append(
        "- Behind the better of MLPClassifier and LogisticRegression by more than .02 in accuracy: "
        f"{', '.join(far) or 'nowhere'}."
    )
    behind = {
        d: kept[d][OURS]["log_loss"] - min(kept[d][n]["log_loss"] for n in RIVALS) for d in data
    }
    far = [f"{d} ({gap:.3f})" for d, gap in behind.items() if gap > 0.02]
    lines.append(f"- By more than .02 in log loss: {', '.join(far) or 'nowhere'}.")
    return "\n".join(lines) + "\n"


def main():
    """Measure what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=DATA, choices=DATA)
    parser.add_argument("--learners", nargs="*", default=LEARNERS, choices=LEARNERS)
    parser.add_argument("--keep", type=Path, default=Path("tables.jsonl"), help="what was measured")
    parser.add_argument("--write", type=Path, help="the page")
    options = parser.parse_args()
    kept = {}
    if options.keep.is_file():
        for line in map(json.loads, options.keep.read_text().splitlines()):
            kept.setdefault(line["data"], {})[line["learner"]] = line
    for data in options.data:
        for name in options.learners:
            if name not in kept.get(data, {}):
                line = {"data": data, "learner": name, **measure(data, name)}
                kept.setdefault(data, {})[name] = line
                with options.keep.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(
                    f"{data:24} {name:22} accuracy {line['accuracy']:.3f} log loss "
                    f"{line['log_loss']:.3f} {line['seconds']:.1f} s {line['updates']:.0f}",
                    flush=True,
                )
    text = page(kept)
    print(text) if options.write is None else options.write.write_text(text)


if __name__ == "__main__":
    main()
