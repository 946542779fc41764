"""How meta-steps are carried out: compiled as a whole, or with a search outside of JAX."""

from typing import Any

from hebbax.meta.engines._engine import AbstractEngine as AbstractEngine
from hebbax.meta.engines._engine import Setup as Setup
from hebbax.meta.engines._engine import Streaks as Streaks
from hebbax.meta.engines.compiled import CompiledEngine as CompiledEngine
from hebbax.meta.engines.search import SearchEngine as SearchEngine
from hebbax.meta.methods import CMAES


def engine_for(setup: Setup) -> AbstractEngine[Any]:
    """Return the engine that carries out a setup's method in this process."""
    if isinstance(setup.method, CMAES):
        return SearchEngine(setup)
    return CompiledEngine(setup)
