"""Workers on a Ray cluster."""

from hebbax.cluster._ray import Ray as Ray
