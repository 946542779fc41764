"""Meta-objectives: what a lifetime was worth."""

from hebbax.outer.objectives._few_shot import FewShotRidge as FewShotRidge
from hebbax.outer.objectives._objective import AbstractObjective as AbstractObjective
from hebbax.outer.objectives._objective import Value as Value
from hebbax.outer.objectives._online import OnlineCrossEntropy as OnlineCrossEntropy
from hebbax.outer.objectives._online import OnlineLoss as OnlineLoss
from hebbax.outer.objectives._prequential import Prequential as Prequential
from hebbax.outer.objectives._query import QueryAccuracy as QueryAccuracy
from hebbax.outer.objectives._query import QueryCrossEntropy as QueryCrossEntropy
from hebbax.outer.objectives._query import QueryLoss as QueryLoss
