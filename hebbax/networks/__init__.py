"""Which units a network has: layers and connections of any shape, and distributions of them."""

from hebbax.networks._architecture import Architecture as Architecture
from hebbax.networks._architecture import cnn as cnn
from hebbax.networks._architecture import mlp as mlp
from hebbax.networks._architecture import resnet as resnet
from hebbax.networks._architectures import Architectures as Architectures
from hebbax.networks._architectures import Hidden as Hidden
from hebbax.networks._architectures import Units as Units
from hebbax.networks._architectures import as_hidden as as_hidden
from hebbax.networks._blocks import Conv as Conv
from hebbax.networks._blocks import Dense as Dense
from hebbax.networks._blocks import Flatten as Flatten
from hebbax.networks._blocks import Local as Local
from hebbax.networks._blocks import Pool as Pool
from hebbax.networks._blocks import Residual as Residual
from hebbax.networks._blocks import Shape as Shape
from hebbax.networks._connection import Connection as Connection
from hebbax.networks._connection import from_rows as from_rows
from hebbax.networks._wiring import Layer as Layer
from hebbax.networks._wiring import Wiring as Wiring
from hebbax.networks._wiring import gather as gather
from hebbax.networks._wiring import spread as spread
