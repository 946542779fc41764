"""Which devices share the outer loop's work."""

from hebbax.devices._forks import check_not_forked as check_not_forked
from hebbax.devices._sharding import DeviceGrid as DeviceGrid
from hebbax.devices._sharding import gather as gather
from hebbax.devices._sharding import is_first_process as is_first_process
