"""How predictions and features are judged, and what a family asks for."""

from hebbax.losses._classification import accuracy as accuracy
from hebbax.losses._classification import correct as correct
from hebbax.losses._classification import cross_entropy as cross_entropy
from hebbax.losses._goal import CLASSES as CLASSES
from hebbax.losses._goal import AbstractGoal as AbstractGoal
from hebbax.losses._goal import Classification as Classification
from hebbax.losses._goal import Regression as Regression
from hebbax.losses._goal import Targets as Targets
from hebbax.losses._goal import check_classes as check_classes
from hebbax.losses._goal import targets as targets
from hebbax.losses._labels import check_labels as check_labels
from hebbax.losses._ridge import few_shot_ridge as few_shot_ridge
