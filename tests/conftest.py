"""What every test runs under, and where recorded numbers and real data are looked for."""

import os
from pathlib import Path

import jax
import jaxtyping
import pytest

ROOT = Path(__file__).resolve().parents[1]
MAPS = 20_000
"""Pieces of memory of a process that make the tests forget what they have compiled."""

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable, ROOT / default))


REFERENCE = _folder("HEBBAX_REFERENCE", "../shared/reference")
DATA = _folder("HEBBAX_DATA", "../shared/data")


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
