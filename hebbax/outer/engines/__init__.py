"""How meta-steps are carried out: compiled as a whole, or with a search outside of JAX."""

from hebbax.outer.engines._compiled import CompiledEngine as CompiledEngine
from hebbax.outer.engines._engine import AbstractEngine as AbstractEngine
from hebbax.outer.engines._engine import Metrics as Metrics
from hebbax.outer.engines._engine import Setup as Setup
from hebbax.outer.engines._engine import Streaks as Streaks
from hebbax.outer.engines._search import SearchEngine as SearchEngine
from hebbax.outer.engines._search import SearchRuns as SearchRuns
from hebbax.outer.engines._search import finite_mean as finite_mean
