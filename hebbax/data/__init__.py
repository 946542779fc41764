"""Where arrays come from: real data sets, image preparation and toy functions.

`load` returns plain numpy arrays; `hebbax.tasks` turns them into task families.
"""

from hebbax.data._bundled import stratified as stratified
from hebbax.data._dataset import Dataset as Dataset
from hebbax.data._find import DatasetInfo as DatasetInfo
from hebbax.data._find import available as available
from hebbax.data._find import fetch as fetch
from hebbax.data._load import load as load
from hebbax.data._omniglot import DRAWERS as DRAWERS
from hebbax.data._omniglot import SIDE as SIDE
from hebbax.data._sources import names as names
from hebbax.data._sources import source as source
from hebbax.data._stream_file import read_stream_file as read_stream_file
from hebbax.data._toy import TOYS as TOYS
from hebbax.data._toy import toy_function as toy_function
