"""What the tests of the outer loop share."""

import numpy as np
import pytest

import hebbax as hx


@pytest.fixture(scope="session")
def arrays():
    """Return two separable clouds: 24 rows to train on, 13 to test."""
    rng = np.random.default_rng(0)
    y, test_y = np.arange(24) % 2, np.arange(13) % 2
    x = rng.normal(size=(24, 3)) + 2 * y[:, None]
    return x, y, rng.normal(size=(13, 3)) + 2 * test_y[:, None], test_y


@pytest.fixture(scope="session")
def family(arrays):
    return hx.tasks.from_arrays(*arrays)
