"""Learning rules as scikit-learn estimators."""

from hebbax.estimators.classifier import PlasticClassifier as PlasticClassifier
from hebbax.estimators.features import PlasticFeatures as PlasticFeatures
