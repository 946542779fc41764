"""What the tests of the outer loop share."""

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

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


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory):
    """Keep compiled programs, for tests of a module train the same again and again."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    compilation_cache.reset_cache()
    for name, value in settings.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
