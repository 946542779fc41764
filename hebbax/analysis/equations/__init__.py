"""Found rules written out as equations, with their numbers."""

# Each registers what writes out its rules.
from hebbax.analysis.equations import _blur as _blur
from hebbax.analysis.equations import _others as _others
from hebbax.analysis.equations._written import equations as equations
