"""What a run will need before it is begun, and whether its meta-gradient can be trusted."""

from hebbax.doctor._diagnosis import Diagnosis as Diagnosis
from hebbax.doctor._diagnosis import Measurement as Measurement
from hebbax.doctor._diagnosis import diagnose as diagnose
from hebbax.doctor._diagnosis import series as series
from hebbax.doctor._forecast import Forecast as Forecast
from hebbax.doctor._forecast import Stage as Stage
from hebbax.doctor._forecast import forecast as forecast
from hebbax.doctor._forecast import spelt_seconds as spelt_seconds
from hebbax.doctor._memory import spelt_bytes as spelt_bytes
from hebbax.doctor._probing import Sampling as Sampling
