"""All experiments, by name; each is imported when it is asked for."""

import importlib
from typing import TYPE_CHECKING

from hebbax._errors import check_choice

if TYPE_CHECKING:
    from hebbax.experiments.experiment import Experiment

_PLACES = {
    "blur/gradient-equivalence": ("hebbax.experiments.blur.gradient_equivalence", "Equivalence"),
    "blur/metric-equivalence": ("hebbax.experiments.blur.metric_equivalence", "MetricEquivalence"),
    "blur/toy": ("hebbax.experiments.blur.toy", "Toy"),
    "blur/states": ("hebbax.experiments.blur.states", "States"),
    "blur/depth": ("hebbax.experiments.blur.depth", "Depth"),
    "blur/non-linearities": ("hebbax.experiments.blur.non_linearities", "NonLinearities"),
    "blur/variants": ("hebbax.experiments.blur.variants", "Variants"),
    "blur/generalisation": ("hebbax.experiments.blur.generalisation", "Generalisation"),
    "blur/sgd": ("hebbax.experiments.blur.sgd", "Sgd"),
    "blur/normalisation": ("hebbax.experiments.blur.normalisation", "Normalisation"),
    "blur/curriculum": ("hebbax.experiments.blur.curriculum", "CurriculumTraining"),
    "blur/cma-es": ("hebbax.experiments.blur.cma_es", "CmaEs"),
    "blur/oja": ("hebbax.experiments.blur.oja", "Oja"),
    "blur/synapse-normalisation": (
        "hebbax.experiments.blur.synapse_normalisation",
        "SynapseNormalisation",
    ),
    "vsml/equivalence": ("hebbax.experiments.vsml.equivalence", "Equivalence"),
    "vsml/from-scratch": ("hebbax.experiments.vsml.from_scratch", "FromScratch"),
    "vsml/forward": ("hebbax.experiments.vsml.forward", "Forward"),
    "vsml/cloning": ("hebbax.experiments.vsml.cloning", "Cloning"),
    "vsml/improve": ("hebbax.experiments.vsml.improve", "Improve"),
    "unsupervised/datasets": ("hebbax.experiments.unsupervised.datasets", "DataSets"),
    "unsupervised/architectures": (
        "hebbax.experiments.unsupervised.architectures",
        "Architectures",
    ),
    "unsupervised/embedding": ("hebbax.experiments.unsupervised.embedding", "Embeddings"),
    "unsupervised/mismatch": ("hebbax.experiments.unsupervised.mismatch", "Mismatch"),
    "unsupervised/prototypical": (
        "hebbax.experiments.unsupervised.prototypical",
        "Prototypical",
    ),
    "unsupervised/async": ("hebbax.experiments.unsupervised.asynchronous", "Asynchronous"),
    "unsupervised/filters": ("hebbax.experiments.unsupervised.filters", "FirstLayer"),
    "unsupervised/meta-training": (
        "hebbax.experiments.unsupervised.meta_training",
        "MetaTraining",
    ),
    "unsupervised/text": ("hebbax.experiments.unsupervised.text", "Text"),
    "unsupervised/activations": ("hebbax.experiments.unsupervised.activations", "Activations"),
}
NAMES = tuple(_PLACES)


def find(name: str) -> "type[Experiment]":
    """Return an experiment's class. **Raises:** `ValueError` if there is none of that name."""
    check_choice("the experiment", name, NAMES)
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)
