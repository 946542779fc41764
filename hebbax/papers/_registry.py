"""All experiments, by name; each is imported when it is asked for."""

import importlib
from typing import TYPE_CHECKING

from hebbax._errors import check_choice

if TYPE_CHECKING:
    from hebbax.papers._experiment import Experiment

_PAPERS = {
    "blur": (
        *("gradient-equivalence", "metric-equivalence", "toy", "states", "depth"),
        *("non-linearities", "variants", "generalisation", "sgd", "normalisation"),
        *("curriculum", "cma-es", "oja", "saturation", "synapse-normalisation"),
        *("architectures", "streams", "outlook"),
    ),
    "vsml": (
        *("equivalence", "from-scratch", "forward", "cloning", "cloning-curriculum", "improve"),
        *("coordinates", "layers"),
    ),
    "unsupervised": (
        *("datasets", "architectures", "embedding", "mismatch", "prototypical"),
        *("async", "filters", "meta-training", "text", "activations"),
    ),
}
"""Experiments of each paper; `blur/cma-es` stands in the module `hebbax.papers.blur._cma_es`."""
NAMES = tuple(f"{paper}/{figure}" for paper, figures in _PAPERS.items() for figure in figures)


def find(name: str) -> "type[Experiment]":
    """Return an experiment's class. **Raises:** `ValueError` if there is none of that name."""
    check_choice("the experiment", name, NAMES)
    paper, figure = name.split("/")
    module = importlib.import_module(f"hebbax.papers.{paper}._{figure.replace('-', '_')}")
    return next(kind for kind in vars(module).values() if getattr(kind, "name", None) == name)
