"""What every test runs under, and where recorded numbers and real data are looked for."""

import mmap
import os
from pathlib import Path

import jax
import jaxlib
import jaxtyping
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import hebbax as hx
from hebbax._programs import forget_oldest

ROOT = Path(__file__).resolve().parents[1]
MAPS = 20_000
"""Pieces of memory of a process that make the tests forget what they have compiled."""

KEPT = 1024**3
"""Bytes of compiled programs that are kept between runs of the tests."""

HASTE = {"xla_cpu_use_fusion_emitters": "false", "xla_cpu_parallel_codegen_split_count": "1"}
"""Options of the compiler with which programs are ready in a fifth of the time: kernels are made
by its older way, all in one piece."""


def _compile_in_haste():
    """Set these options where the compiler knows them: it ends a process that names others."""
    library = Path(jaxlib.__file__).parent / "libjax_common.so"
    if not library.is_file():
        return
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
        known = [f"--{n}={value}" for n, value in HASTE.items() if code.find(n.encode()) >= 0]
    os.environ["XLA_FLAGS"] = " ".join([*known, os.environ.get("XLA_FLAGS", "")]).strip()


# Before anything is compiled. Processes that tests start take this over.
_compile_in_haste()
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_disable_most_optimizations", True)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable, ROOT / default))


REFERENCE = _folder("HEBBAX_REFERENCE", "../shared/reference")
DATA = _folder("HEBBAX_DATA", "../shared/data")


def pytest_configure(config):
    """Compile each program once for all tests, workers and runs, unless a folder is given.

    JAX finds programs again by a digest of all that they depend on. `make clean`, or pytest's
    `--cache-clear`, forgets them. Processes that tests start take these settings over.
    """
    if jax.config.jax_compilation_cache_dir is None and hasattr(config, "cache"):
        folder = config.cache.mkdir("programs")
        if not hasattr(config, "workerinput"):
            forget_oldest(folder, KEPT)
        for name, value in {
            "jax_compilation_cache_dir": str(folder),
            "jax_persistent_cache_min_compile_time_secs": 0.0,
            "jax_persistent_cache_min_entry_size_bytes": -1,
        }.items():
            jax.config.update(name, value)
            os.environ[name.upper()] = str(value)


@pytest.fixture(scope="session", autouse=True)
def _find_real_data():
    """Let the package find the real data sets where the checkout's neighbour holds them."""
    if DATA.is_dir():
        os.environ["HEBBAX_DATA"] = str(DATA)


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """Give back the memory of compiled programs before a process has more pieces than it may.

    Linux allows 65,530; a program compiled beyond that ends the process.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.is_file() and maps.read_bytes().count(b"\n") > MAPS:
        jax.clear_caches()


def pytest_collection_modifyitems(items):
    """Skip, with the reason, what needs files that are not here."""
    for item in items:
        if item.get_closest_marker("data") and not DATA.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no real data sets in {DATA} (HEBBAX_DATA)"))
        if item.get_closest_marker("reference") and not REFERENCE.is_dir():
            item.add_marker(
                pytest.mark.skip(reason=f"no recorded numbers in {REFERENCE} (HEBBAX_REFERENCE)")
            )


@pytest.fixture
def key():
    """Return a fixed random key."""
    return jax.random.key(0)


@pytest.fixture
def unchecked():
    """Switch off the checks of annotations, so that a test meets the package's own messages."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


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


@pytest.fixture
def no_programs():
    """Keep no compiled programs, as in a process of which nobody has asked for it."""
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
