"""How predictions and features are judged."""

from hebbax.losses._classification import accuracy as accuracy
from hebbax.losses._classification import correct as correct
from hebbax.losses._classification import cross_entropy as cross_entropy
from hebbax.losses._labels import check_labels as check_labels
from hebbax.losses._ridge import few_shot_ridge as few_shot_ridge
