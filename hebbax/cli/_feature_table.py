"""What features that rules make without labels are worth, beside those of other methods."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.random_projection import GaussianRandomProjection

from hebbax import tasks, zoo
from hebbax.estimators import PlasticFeatures

LABELLED = (5, 10, 20)
"""Labelled examples of each class."""
COMPONENTS = 32
"""Features of every method."""
SIZE = 14
"""Side of images in pixels, at most."""
UNLABELLED, TESTED = 10_000, 2000
"""Rows at most to learn features from, and to judge them by."""


def feature_learners(seeds: int, seed: int) -> dict[str, Callable[[str], list[Any]]]:
    """Return what measures each rule that learns without labels, and other methods, on a task."""
    makers: dict[str, Callable[[int], Any]] = {
        name: partial(_plastic, name) for name in zoo.list() if name.startswith("unsupervised/")
    }
    makers |= {
        "PCA": lambda s: PCA(COMPONENTS, random_state=s),
        "random projection": _projection,
    }
    return {name: partial(_measure, make, seeds, seed) for name, make in makers.items()}


def _projection(seed: int) -> TransformerMixin:
    # Its annotation takes "auto" alone.
    components: Any = COMPONENTS
    return GaussianRandomProjection(components, random_state=seed)


def _plastic(name: str, seed: int) -> TransformerMixin:
    return PlasticFeatures(name, random_state=seed)


def _measure(
    make: Callable[[int], Any], seeds: int, seed: int, task: str
) -> list[dict[str, float] | None]:
    """Return mean and deviation of the test accuracy for each number of labelled examples."""
    family: Any = tasks.by_name(task)
    if family.inputs > SIZE * SIZE:
        family = tasks.by_name(task, size=SIZE)
    x, y = np.asarray(family.train_x), np.asarray(family.train_y)
    test_x, test_y = (np.asarray(part) for part in family.test_set())
    found = [
        _accuracies(make(seed + one), x, y, test_x, np.argmax(test_y, axis=1), seed + one)
        for one in range(seeds)
    ]
    means, deviations = np.mean(found, axis=0), np.std(found, axis=0)
    return [{"mean": float(m), "std": float(d)} for m, d in zip(means, deviations, strict=True)]


def _accuracies(
    learner: Any, x: np.ndarray, y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray, seed: int
) -> list[float]:
    random = np.random.default_rng(seed)
    rows, tests = random.permutation(len(x)), random.permutation(len(test_x))[:TESTED]
    learner.fit(x[rows[:UNLABELLED]])
    judged, accuracies = learner.transform(test_x[tests]), []
    for count in LABELLED:
        chosen = np.concatenate([rows[y[rows] == c][:count] for c in np.unique(y)])
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(learner.transform(x[chosen]), y[chosen])
        accuracies.append(float(model.score(judged, test_y[tests])))
    return accuracies
