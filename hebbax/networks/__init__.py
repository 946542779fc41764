"""Which units a network has: sizes of layers, and distributions of them."""

from hebbax.networks._architectures import Architectures as Architectures
from hebbax.networks._architectures import Hidden as Hidden
from hebbax.networks._architectures import Units as Units
from hebbax.networks._architectures import as_hidden as as_hidden
