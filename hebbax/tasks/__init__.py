"""Task families, and the episodes they yield.

A *task* is a learning problem; a *task family* is a distribution of tasks; an *episode* is one
sampled task with support and query batches.
"""

from hebbax.tasks._arrays import ArrayFamily as ArrayFamily
from hebbax.tasks._arrays import from_arrays as from_arrays
from hebbax.tasks._augmented import AugmentedFamily as AugmentedFamily
from hebbax.tasks._augmented import augmented as augmented
from hebbax.tasks._by_name import by_name as by_name
from hebbax.tasks._by_name import names as names
from hebbax.tasks._datasets import STREAMS as STREAMS
from hebbax.tasks._datasets import TABULAR as TABULAR
from hebbax.tasks._datasets import UCI as UCI
from hebbax.tasks._datasets import breast_cancer as breast_cancer
from hebbax.tasks._datasets import digits as digits
from hebbax.tasks._datasets import images as images
from hebbax.tasks._datasets import iris as iris
from hebbax.tasks._datasets import prepare as prepare
from hebbax.tasks._datasets import tabular as tabular
from hebbax.tasks._datasets import wine as wine
from hebbax.tasks._drift import DriftingFamily as DriftingFamily
from hebbax.tasks._drifting import DRIFTING as DRIFTING
from hebbax.tasks._drifting import drifting as drifting
from hebbax.tasks._drifting_images import DriftingImageFamily as DriftingImageFamily
from hebbax.tasks._drifting_images import drifting_images as drifting_images
from hebbax.tasks._family import AbstractFamily as AbstractFamily
from hebbax.tasks._family import Batches as Batches
from hebbax.tasks._family import Episode as Episode
from hebbax.tasks._family import check_counts as check_counts
from hebbax.tasks._glyphs import GlyphFamily as GlyphFamily
from hebbax.tasks._glyphs import glyphs as glyphs
from hebbax.tasks._hyperplanes import HyperplaneFamily as HyperplaneFamily
from hebbax.tasks._mixtures import MixtureFamily as MixtureFamily
from hebbax.tasks._noisy import NoisyFamily as NoisyFamily
from hebbax.tasks._noisy import noisy as noisy
from hebbax.tasks._omniglot import OmniglotFamily as OmniglotFamily
from hebbax.tasks._omniglot import omniglot as omniglot
from hebbax.tasks._permuted import permuted_rows as permuted_rows
from hebbax.tasks._projected import ProjectedFamily as ProjectedFamily
from hebbax.tasks._projected import projected as projected
from hebbax.tasks._regression import RegressionFamily as RegressionFamily
from hebbax.tasks._regression import SinusoidFamily as SinusoidFamily
from hebbax.tasks._regression import regression as regression
from hebbax.tasks._regression import sinusoids as sinusoids
from hebbax.tasks._stream import StreamFamily as StreamFamily
from hebbax.tasks._stream import stream as stream
from hebbax.tasks._subsets import SubsetFamily as SubsetFamily
from hebbax.tasks._subsets import subsets as subsets
from hebbax.tasks._toy import ToyFamily as ToyFamily
from hebbax.tasks._toy import toy as toy
