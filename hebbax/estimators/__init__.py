"""Learning rules as scikit-learn estimators."""

from hebbax.estimators._classifier import PlasticClassifier as PlasticClassifier
from hebbax.estimators._features import PlasticFeatures as PlasticFeatures
from hebbax.estimators._regressor import PlasticRegressor as PlasticRegressor
