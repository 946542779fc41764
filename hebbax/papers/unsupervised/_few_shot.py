"""Few labelled examples among many without labels, and the read-out that features are judged by."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32
from sklearn.linear_model import RidgeClassifierCV

from hebbax.data import load
from hebbax.tasks import prepare

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Of the ridge read-out; which one is best is told by the labelled examples alone."""

Features = Callable[[Float32[np.ndarray, "n in"]], Float32[np.ndarray, "n features"]]


class FewShot(NamedTuple):
    """What a learner is given, and what it is judged by; pixels lie in [0, 1].

    **Fields:**

    - `unlabelled`: images of the training part, for learning without labels.
    - `x`, `y`: the labelled examples, as many of each class.
    - `test_x`, `test_y`: images of the test part, or others of the training part.
    """

    unlabelled: Float32[np.ndarray, "many in"]
    x: Float32[np.ndarray, "few in"]
    y: Int32[np.ndarray, "few"]
    test_x: Float32[np.ndarray, "test in"]
    test_y: Int32[np.ndarray, "test"]


@functools.lru_cache(maxsize=2)
def _examples(name: str, size: int | None) -> tuple[np.ndarray, ...]:
    dataset = load(name)
    train_x, test_x = dataset.train_x, dataset.test_x
    if dataset.is_image:
        parts = (prepare(part, size, None) for part in (train_x, test_x))
        train_x, test_x = (part / max(1.0, float(part.max())) for part in parts)
    return train_x, dataset.train_y, test_x, dataset.test_y


def few_shot(
    name: str,
    size: int | None,
    seed: int,
    *,
    labelled: int = 10,
    tested: int = 2000,
    many: int = 10_000,
    permute: bool = True,
    held_out: bool = True,
) -> FewShot:
    """Draw what a learner sees of a data set of images at `size` × `size` pixels, or of a table.

    With `permute` pixels are in a random order, the same for all images: no learner is told which
    are neighbours.

    **Arguments:**

    - `size`: None for images as they are, and for tables, whose columns stay as they are too.
    - `seed`: decides the order of pixels and which images are drawn.
    - `labelled`: labelled examples of each class.
    - `tested`, `many`: images to test on and without labels, at most.
    - `held_out`: whether to test on images of the test part; else on unlabelled ones, which tells
      what features serve for from how they carry over.
    """
    train_x, train_y, test_x, test_y = _examples(name, size)
    random = np.random.default_rng(seed)
    order = random.permutation(train_x.shape[1])
    order = order if permute else np.sort(order)
    rows = random.permutation(len(train_x))
    few = [rows[train_y[rows] == c][:labelled] for c in range(int(train_y.max()) + 1)]
    chosen = random.permutation(np.concatenate(few))
    if not held_out:
        shown = np.setdiff1d(rows[:many], chosen)
        test_x, test_y = train_x[shown], train_y[shown]
    tests = random.permutation(len(test_x))[:tested]
    return FewShot(
        train_x[rows[:many]][:, order],
        train_x[chosen][:, order],
        train_y[chosen],
        test_x[tests][:, order],
        test_y[tests],
    )


def read_out(features: Features, given: FewShot) -> float:
    """Return the test accuracy of a ridge classifier on the features of the labelled examples.

    The features' mean deviation over the labelled examples is brought to one; the penalty is the
    one of `PENALTIES` with the least squared error when each labelled example is left out.
    """
    x, test_x = features(given.x), features(given.test_x)
    scale = max(float(x.std(axis=0).mean()), 1e-6)
    model = RidgeClassifierCV(PENALTIES).fit(x / scale, given.y)
    return float(model.score(test_x / scale, given.test_y))
