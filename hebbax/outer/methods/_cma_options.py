"""Which options of the `cma` package a search takes: those that only change its numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

OWN = ("popsize", "seed", "randn")
HANDLERS = ("BoundNone", "BoundPenalty", "BoundTransform")
SWITCHES = ("AdaptSigma", "CMA_elitist")
TAKEN = (
    *("CMA_active", "CMA_active_injected", "CMA_cmean", "CMA_const_trace", "CMA_diagonal"),
    *("CMA_diagonal_decoding", "CMA_injections_threshold_keep_len", "CMA_mirrors"),
    *("CMA_mirrormethod", "CMA_mu", "CMA_on", "CMA_rankmu", "CMA_rankone"),
    *("CMA_recombination_weights", "CMA_dampsvec_fac", "CMA_dampsvec_fade", "CMA_teststds"),
    *("CMA_stds", "CSA_dampfac", "CSA_damp_mueff_exponent", "CSA_disregard_length"),
    *("CSA_clip_length_value", "CSA_squared", "CSA_invariant_path", "TPA_dampfac"),
    *("stall_sigma_change_on_divergence_iterations", "bounds", "conditioncov_alleviate"),
    *("fixed_variables", "ftarget", "maxfevals", "maxiter", "mean_shift_line_samples"),
    *("mindx", "minstd", "maxstd", "maxstd_boundrange", "pc_line_samples", "popsize_factor"),
    *("scaling_of_variables", "tolconditioncov", "tolfacupx", "tolupsigma", "tolflatfitness"),
    *("tolfun", "tolfunhist", "tolfunrel", "tolstagnation", "tolxstagnation", "tolx"),
    *("typical_x", "updatecovwait"),
)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that `cma` does not know, or that could do more than change numbers.

    **Raises:** `ValueError` naming the first one.
    """
    import cma

    for name, value in options.items():
        if name in OWN:
            raise ValueError(
                f"options may not hold {name!r}: population and seed are settings of CMAES."
            )
        if name not in cma.CMAOptions.defaults():
            raise ValueError(f"options holds {name!r}, which is no option of cma.CMAOptions.")
        if name == "BoundaryHandler":
            if getattr(value, "__name__", value) not in HANDLERS:
                raise ValueError(
                    f"the option BoundaryHandler must be one of {', '.join(HANDLERS)}; "
                    f"got {value!r}."
                )
        elif name in SWITCHES:
            if not isinstance(value, bool):
                raise ValueError(f"the option {name} must be True or False; got {value!r}.")
        elif name == "CMA_mirrormethod" and value not in (1, 2):
            raise ValueError(
                f"the option CMA_mirrormethod must be 1 or 2, for 0 draws from NumPy's global "
                f"random numbers; got {value!r}."
            )
        elif name not in TAKEN:
            raise ValueError(
                f"options may not hold {name!r}: CMAES takes none that rounds numbers of θ, calls "
                f"functions, replaces parts of cma, looks at a clock, or reads or writes files."
            )
        elif not _plain(value):
            raise ValueError(
                f"the option {name} must be made of numbers; got {type(value).__name__} {value!r}."
            )


def _plain(value: Any) -> bool:
    """Return whether it is numbers, `cma`'s formula for one, or lists or a dictionary of them."""
    if isinstance(value, Mapping):
        return all(isinstance(name, int) for name in value) and _plain([*value.values()])
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return value is None or isinstance(value, bool | int | float | str | np.number)
