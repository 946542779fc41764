"""All experiments, by name; each is imported when it is asked for."""

import importlib
from typing import TYPE_CHECKING

from hebbax._errors import check_choice

if TYPE_CHECKING:
    from hebbax.papers._experiment import Experiment

_PLACES = {
    "blur/gradient-equivalence": ("hebbax.papers.blur._gradient_equivalence", "Equivalence"),
    "blur/metric-equivalence": ("hebbax.papers.blur._metric_equivalence", "MetricEquivalence"),
    "blur/toy": ("hebbax.papers.blur._toy", "Toy"),
    "blur/states": ("hebbax.papers.blur._states", "States"),
    "blur/depth": ("hebbax.papers.blur._depth", "Depth"),
    "blur/non-linearities": ("hebbax.papers.blur._non_linearities", "NonLinearities"),
    "blur/variants": ("hebbax.papers.blur._variants", "Variants"),
    "blur/generalisation": ("hebbax.papers.blur._generalisation", "Generalisation"),
    "blur/sgd": ("hebbax.papers.blur._sgd", "Sgd"),
    "blur/normalisation": ("hebbax.papers.blur._normalisation", "Normalisation"),
    "blur/curriculum": ("hebbax.papers.blur._curriculum", "CurriculumTraining"),
    "blur/cma-es": ("hebbax.papers.blur._cma_es", "CmaEs"),
    "blur/oja": ("hebbax.papers.blur._oja", "Oja"),
    "blur/synapse-normalisation": (
        "hebbax.papers.blur._synapse_normalisation",
        "SynapseNormalisation",
    ),
    "vsml/equivalence": ("hebbax.papers.vsml._equivalence", "Equivalence"),
    "vsml/from-scratch": ("hebbax.papers.vsml._from_scratch", "FromScratch"),
    "vsml/forward": ("hebbax.papers.vsml._forward", "Forward"),
    "vsml/cloning": ("hebbax.papers.vsml._cloning", "Cloning"),
    "vsml/improve": ("hebbax.papers.vsml._improve", "Improve"),
    "unsupervised/datasets": ("hebbax.papers.unsupervised._datasets", "DataSets"),
    "unsupervised/architectures": (
        "hebbax.papers.unsupervised._architectures",
        "Architectures",
    ),
    "unsupervised/embedding": ("hebbax.papers.unsupervised._embedding", "Embeddings"),
    "unsupervised/mismatch": ("hebbax.papers.unsupervised._mismatch", "Mismatch"),
    "unsupervised/prototypical": (
        "hebbax.papers.unsupervised._prototypical",
        "Prototypical",
    ),
    "unsupervised/async": ("hebbax.papers.unsupervised._asynchronous", "Asynchronous"),
    "unsupervised/filters": ("hebbax.papers.unsupervised._filters", "FirstLayer"),
    "unsupervised/meta-training": (
        "hebbax.papers.unsupervised._meta_training",
        "MetaTraining",
    ),
    "unsupervised/text": ("hebbax.papers.unsupervised._text", "Text"),
    "unsupervised/activations": ("hebbax.papers.unsupervised._activations", "Activations"),
}
NAMES = tuple(_PLACES)


def find(name: str) -> "type[Experiment]":
    """Return an experiment's class. **Raises:** `ValueError` if there is none of that name."""
    check_choice("the experiment", name, NAMES)
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)
