"""Pictures of learning curves, runs, genomes and networks."""

from hebbax.plots._curves import CLASS_COLOURS as CLASS_COLOURS
from hebbax.plots._curves import GRID as GRID
from hebbax.plots._curves import INK as INK
from hebbax.plots._curves import LEARNER_COLOURS as LEARNER_COLOURS
from hebbax.plots._curves import decision_regions as decision_regions
from hebbax.plots._curves import learning_curves as learning_curves
from hebbax.plots._curves import tidy as tidy
from hebbax.plots._film import decision_film as decision_film
from hebbax.plots._genome import genome_diagram as genome_diagram
from hebbax.plots._network import heat_map as heat_map
from hebbax.plots._network import receptive_fields as receptive_fields
from hebbax.plots._network import synapse_changes as synapse_changes
from hebbax.plots._runs import run_curves as run_curves
from hebbax.plots._runs import short_names as short_names
from hebbax.plots._stream import stream_curves as stream_curves
