"""hebbax meta-learns learning rules: an outer loop finds how synapses should change.

The public names stand in `__init__.pyi`; every one is documented where it is defined, and imported
when it is first asked for, because JAX takes its time.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
