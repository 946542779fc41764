"""hebbax meta-learns learning rules: an outer loop finds how synapses should change.

The public names; every one is documented where it is defined.
"""

import importlib as _importlib
import typing as _typing

from hebbax import data as data
from hebbax import losses as losses
from hebbax import tasks as tasks
from hebbax import zoo as zoo
from hebbax._rule_file import RuleFileError as RuleFileError
from hebbax._rule_file import load_rule as load_rule
from hebbax._rule_file import save_rule as save_rule
from hebbax._version import __version__ as __version__
from hebbax.cluster import Ray as Ray
from hebbax.doctor import Diagnosis as Diagnosis
from hebbax.doctor import Forecast as Forecast
from hebbax.doctor import diagnose as diagnose
from hebbax.doctor import forecast as forecast
from hebbax.inner import Curves as Curves
from hebbax.inner import OnlineCurves as OnlineCurves
from hebbax.inner import StreamCurves as StreamCurves
from hebbax.inner import best_backprop as best_backprop
from hebbax.inner import best_online_backprop as best_online_backprop
from hebbax.inner import best_stream_backprop as best_stream_backprop
from hebbax.inner import evaluate as evaluate
from hebbax.inner import evaluate_online as evaluate_online
from hebbax.inner import evaluate_stream as evaluate_stream
from hebbax.inner import standardize_online as standardize_online
from hebbax.inner import unroll as unroll
from hebbax.networks import Architectures as Architectures
from hebbax.outer import Curriculum as Curriculum
from hebbax.outer import methods as methods
from hebbax.outer import objectives as objectives
from hebbax.rules import AbstractRule as AbstractRule
from hebbax.rules import Backprop as Backprop
from hebbax.rules import Blur as Blur
from hebbax.rules import Hebbian as Hebbian
from hebbax.rules import MetaRnn as MetaRnn
from hebbax.rules import UnsupervisedRule as UnsupervisedRule
from hebbax.rules import Vsml as Vsml
from hebbax.runs import Callback as Callback
from hebbax.runs import CheckpointError as CheckpointError
from hebbax.runs import Result as Result
from hebbax.runs import TensorBoard as TensorBoard
from hebbax.runs import meta_train as meta_train

if _typing.TYPE_CHECKING:
    from hebbax.estimators import PlasticClassifier as PlasticClassifier
    from hebbax.estimators import PlasticFeatures as PlasticFeatures

_ESTIMATORS = ("PlasticClassifier", "PlasticFeatures")


def __getattr__(name: str) -> object:
    """Import the estimators when they are first asked for: scikit-learn takes its time."""
    if name in _ESTIMATORS:
        return getattr(_importlib.import_module("hebbax.estimators"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ESTIMATORS])
