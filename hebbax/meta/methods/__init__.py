"""How θ is found: interchangeable meta-optimisation methods."""

from hebbax.meta.methods._method import AbstractDescent as AbstractDescent
from hebbax.meta.methods._method import AbstractMethod as AbstractMethod
from hebbax.meta.methods._method import Estimate as Estimate
from hebbax.meta.methods.cma_es import CMAES as CMAES
from hebbax.meta.methods.evolution import EvolutionStrategy as EvolutionStrategy
from hebbax.meta.methods.gradient import Gradient as Gradient
from hebbax.meta.methods.persistent import PersistentES as PersistentES
from hebbax.meta.methods.truncated import TruncatedGradient as TruncatedGradient
from hebbax.meta.truncation import Truncation as Truncation
