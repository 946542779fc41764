import numpy as np
import pytest

import hebbax as hx


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(230, 6))
    return X, (X[:, 0] > 0).astype(int)


def learner(rule, **options):
    return hx.PlasticClassifier(
        rule, **{"hidden": (), "n_networks": 1, "random_state": 0, **options}
    )


def same(a, b, X):
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-4, atol=1e-5)


def test_rows_in_turn_are_the_same_however_they_come(rows):
    X, y = rows
    # Inputs as they are, for what is known of them depends on how many come at once.
    whole = learner("vsml/projected", standardize=None).partial_fit(X, y, classes=[0, 1])
    parts = learner("vsml/projected", standardize=None)
    for start, end in ((0, 1), (1, 100), (100, 230)):
        parts.partial_fit(X[start:end], y[start:end], classes=[0, 1])
    assert whole.n_updates_ == parts.n_updates_ == len(X)
    same(whole, parts, X)


def test_weights_of_rows_in_turn_count(rows):
    X, y = rows
    even = learner("vsml/projected").partial_fit(X, y, classes=[0, 1])
    uneven = learner("vsml/projected").partial_fit(
        X, y, classes=[0, 1], sample_weight=np.where(y, 5.0, 1.0)
    )
    assert uneven.predict(X).mean() > even.predict(X).mean() + 0.05


def test_an_ensemble_learns_from_large_chunks_as_from_small_ones(rows):
    X, y = rows
    whole = learner("blur/stream", standardize=None, batch_size=64)
    whole.partial_fit(X[:192], y[:192], classes=[0, 1])
    parts = learner("blur/stream", standardize=None)
    for start in range(0, 192, 32):
        parts.partial_fit(X[start : start + 32], y[start : start + 32], classes=[0, 1])
    assert whole.n_updates_ == parts.n_updates_ == 6
    same(whole, parts, X)
    # What is left is learnt from row by row.
    whole.partial_fit(X[192:], y[192:])
    parts.partial_fit(X[192:224], y[192:224])
    for row in range(224, 230):
        parts.partial_fit(X[row : row + 1], y[row : row + 1])
    assert whole.n_updates_ == parts.n_updates_ == 13
    same(whole, parts, X)
