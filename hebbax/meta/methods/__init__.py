"""How θ is found: interchangeable meta-optimisation methods."""

from hebbax.meta.methods.gradient import Gradient as Gradient
