"""A lifetime: updates in a row, and what a network is worth on the way."""

from hebbax.inner._checks import check_theta_of as check_theta_of
from hebbax.inner._evaluation import Curves as Curves
from hebbax.inner._evaluation import evaluate as evaluate
from hebbax.inner._finite import NotFiniteWarning as NotFiniteWarning
from hebbax.inner._finite import all_finite as all_finite
from hebbax.inner._finite import check_theta as check_theta
from hebbax.inner._online import OnlineCurves as OnlineCurves
from hebbax.inner._online import best_online_backprop as best_online_backprop
from hebbax.inner._online import evaluate_online as evaluate_online
from hebbax.inner._opponents import NORMALIZED as NORMALIZED
from hebbax.inner._opponents import UNTRAINED as UNTRAINED
from hebbax.inner._opponents import Opponent as Opponent
from hebbax.inner._opponents import opponents as opponents
from hebbax.inner._standard import FARTHEST as FARTHEST
from hebbax.inner._standard import WINDOW as WINDOW
from hebbax.inner._standard import standardize_online as standardize_online
from hebbax.inner._stream import StreamCurves as StreamCurves
from hebbax.inner._stream import evaluate_stream as evaluate_stream
from hebbax.inner._stream_tuning import best_stream_backprop as best_stream_backprop
from hebbax.inner._tuning import RATES as RATES
from hebbax.inner._tuning import best_backprop as best_backprop
from hebbax.inner._tuning import best_untrained as best_untrained
from hebbax.inner._unrolling import Remat as Remat
from hebbax.inner._unrolling import check_remat as check_remat
from hebbax.inner._unrolling import unroll as unroll
from hebbax.inner._watching import watch as watch
