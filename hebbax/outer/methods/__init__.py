"""How θ is found: interchangeable meta-optimisation methods."""

from hebbax.outer._method import AbstractMethod as AbstractMethod
from hebbax.outer._truncation import Truncation as Truncation
from hebbax.outer.methods._cma_es import CMAES as CMAES
from hebbax.outer.methods._evolution import EvolutionStrategy as EvolutionStrategy
from hebbax.outer.methods._gradient import Gradient as Gradient
from hebbax.outer.methods._method import AbstractDescent as AbstractDescent
from hebbax.outer.methods._method import Estimate as Estimate
from hebbax.outer.methods._method import finite as finite
from hebbax.outer.methods._method import mean_of_finite as mean_of_finite
from hebbax.outer.methods._particles import Lives as Lives
from hebbax.outer.methods._persistent import PersistentES as PersistentES
from hebbax.outer.methods._truncated import TruncatedGradient as TruncatedGradient
