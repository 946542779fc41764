"""What other settings do to `PlasticClassifier`, on data that the page of results does not show.

    python benchmarks/table_settings.py                       # the defaults beside others
    python benchmarks/table_settings.py --data moons many     # some data sets only

scikit-learn's generators, with classes of unequal frequency, more and fewer rows, and boundaries
that bend: its defaults were chosen on these and on one split of the sets that come with it, which
the page of results shows too. Accuracy and log loss on 30 per cent of the rows, mean of the seeds.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import make_classification, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import hebbax as hx

DATA = {
    "rare": lambda: make_classification(
        3000, 12, n_informative=6, weights=[0.95], flip_y=0.01, random_state=1
    ),
    "three": lambda: make_classification(
        2000, 20, n_informative=8, n_classes=3, weights=[0.8, 0.15, 0.05], random_state=2
    ),
    "hard": lambda: make_classification(
        600, 40, n_informative=10, n_clusters_per_class=4, flip_y=0.1, random_state=3
    ),
    "many": lambda: make_classification(
        1500, 11, n_informative=6, n_redundant=3, n_classes=6, n_clusters_per_class=1,
        weights=[0.01, 0.05, 0.43, 0.4, 0.1], class_sep=0.6, random_state=4,
    ),
    "moons": lambda: make_moons(800, noise=0.25, random_state=5),
}  # fmt: skip
SETTINGS = (
    {},
    {"hidden": (64,)},
    {"hidden": (128,)},
    {"hidden": (128, 128)},
    {"batch_size": 32},
    {"n_networks": 1},
    {"rule": "blur/mnist-50"},
)


def learners(seed):
    """Yield what is compared, by name."""
    for settings in SETTINGS:
        words = " ".join(f"{name}={value}" for name, value in settings.items())
        yield words or "defaults", hx.PlasticClassifier(random_state=seed, **settings)
    yield "MLPClassifier", MLPClassifier(random_state=seed)
    yield "LogisticRegression", LogisticRegression()


def main():
    """Print a line for every data set and learner."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=tuple(DATA), choices=DATA)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    for name in options.data:
        x, y = DATA[name]()
        found = {}
        for seed in range(options.seeds):
            train, test, train_y, test_y = train_test_split(
                x, y, test_size=0.3, stratify=y, random_state=seed
            )
            scaler = StandardScaler().fit(train)
            for words, model in learners(seed):
                begin = time.process_time()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model.fit(scaler.transform(train), train_y)
                seconds = time.process_time() - begin
                share = model.predict_proba(scaler.transform(test))
                right = float((model.classes_[share.argmax(axis=1)] == test_y).mean())
                found.setdefault(words, []).append((right, log_loss(test_y, share), seconds))
        for words, numbers in found.items():
            right, loss, seconds = np.mean(numbers, axis=0)
            print(
                f"{name:6} {words:22} accuracy {right:.3f} log loss {loss:.3f} {seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
