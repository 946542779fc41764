"""What a strategy of the `cma` package is after some iterations, as arrays and numbers.

Everything else about it follows from the settings with which it is constructed. Reading a state
sets these attributes of a strategy just constructed and nothing more, so that whoever writes a
checkpoint can choose numbers but no programs.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

FIELDS: dict[str, tuple[str, ...]] = {
    "": (
        *("sigma", "_sigma_old", "mean", "mean_old", "mean_old_old", "mean_after_tell"),
        *("pc", "pc2", "pc_neg", "countiter", "countevals", "itereigenupdated", "count_eigen"),
        *("_isotropic_mean_shift", "_isotropic_mean_shift_iteration", "evaluations_per_f_value"),
        *("number_of_injections", "number_of_injections_delivered", "number_of_solutions_asked"),
        *("pop_injection_directions", "_is_independent_sample", "_mirrormethod1_done"),
        "_indices_of_selective_mirrors",
    ),
    "sm": (
        *("C", "B", "D", "lazy_update_gap", "last_update", "count_tell", "count_eigen"),
        *("_corr_condition", "_corr_condition_count_eigen", "_beta_diagonal_acceleration"),
        *("_inverse_root_C", "standard_deviations"),
    ),
    "sigma_vec": ("scaling", "dim", "is_identity"),
    "adapt_sigma": (
        *("ps", "cs", "damps", "delta", "dampdown_fac", "max_delta_log_sigma", "s", "_last_z"),
        *("_ps_updated_iteration", "_last_multiplier", "initialized", "is_initialized"),
        "is_initialized_base",
    ),
    "boundary_handler": ("gamma", "hist", "weights_initialized"),
    "gp": ("_tf_matrix", "_tf_matrix_inv", "isidentity"),
    "best": ("x", "x_geno", "f", "evals", "evalsall", "compared"),
    "fit": (
        *("fit", "idx", "hist", "histbest", "histmedian", "median", "median0", "median_min"),
        *("median_previous", "median_got_worse", "flatfit_iterations"),
    ),
    "_stoptolxstagnation": ("x", "count", "count_x"),
    "_stopdict": ("lastiter",),
}
"""Attributes of a strategy and of its parts, where they have them."""

FULL = "GaussFullSampler"


def to_arrays(strategy: Any) -> dict[str, np.ndarray]:
    """Return the state of a strategy that has been told of all it was asked for."""
    arrays: dict[str, np.ndarray] = {}
    held: dict[str, Any] = {
        "sampler": type(strategy.sm).__name__,
        "tolupsigma": _plain(strategy.opts["tolupsigma"], "tolupsigma", arrays),
    }
    for part, owner, names in _parts(strategy):
        for name in names:
            if name in vars(owner):
                path = f"{part}.{name}".lstrip(".")
                held[path] = _plain(vars(owner)[name], path, arrays)
    arrays["numbers"] = np.frombuffer(json.dumps(held).encode(), np.uint8)
    return arrays


def set_arrays(strategy: Any, arrays: dict[str, np.ndarray], randn: Any) -> None:
    """Make a strategy just constructed the one whose state this is.

    **Arguments:**

    - `randn`: what a sampler draws with that `cma` made on the way.

    **Raises:** `KeyError`, `TypeError` or `ValueError` if it is no state of such a strategy.
    """
    held = json.loads(arrays["numbers"].tobytes())
    sampler = held.pop("sampler")
    if sampler != type(strategy.sm).__name__:
        if sampler != FULL:
            raise ValueError(f"the sampler {sampler!r} is none that cma changes to")
        from cma.sampler import GaussFullSampler

        strategy.sm = GaussFullSampler(strategy.N, randn=randn)
    strategy.opts["tolupsigma"] = _read(held.pop("tolupsigma"), arrays)
    shape = np.shape(strategy.mean)
    for part, owner, names in _parts(strategy):
        for name in names:
            path = f"{part}.{name}".lstrip(".")
            if path in held:
                setattr(owner, name, _read(held.pop(path), arrays))
            elif name in vars(owner):
                raise KeyError(path)
    if held:
        raise ValueError(f"{min(held)!r} is no part of the state")
    if np.shape(strategy.mean) != shape:
        raise ValueError(f"its mean has the shape {np.shape(strategy.mean)}, not {shape}")
    if hasattr(strategy.gp, "_tf_matrix"):
        # As `alleviate_conditioning` leaves it.
        strategy.gp.tf_pheno, strategy.gp.tf_geno = strategy._tfp, strategy._tfg
    # `cma` keeps views of the sampler's arrays.
    strategy._updateBDfromSM(strategy.sm)


def _parts(strategy: Any) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    for part, names in FIELDS.items():
        yield part, getattr(strategy, part) if part else strategy, names


def _plain(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return `value` as JSON has it, with the types of numbers, and put its arrays aside."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, np.generic):
        return {"scalar": value.item(), "dtype": value.dtype.name}
    if isinstance(value, int | float):
        return value
    if isinstance(value, np.ndarray):
        # BLAS rounds differently for another order of the same matrix.
        turned = value.flags.f_contiguous and not value.flags.c_contiguous
        arrays[path] = np.array(value.T if turned else value, order="C")
        return {"array": path, "turned": turned}
    if isinstance(value, list | tuple | range):
        return [_plain(each, f"{path}.{i}", arrays) for i, each in enumerate(value)]
    raise TypeError(f"{path} is a {type(value).__name__}, which is no number or array")


def _read(plain: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(plain, list):
        return [_read(each, arrays) for each in plain]
    if isinstance(plain, dict):
        if "array" in plain:
            array = np.array(arrays[plain["array"]])
            return array.T if plain["turned"] else array
        return np.dtype(plain["dtype"]).type(plain["scalar"])
    if isinstance(plain, str):
        raise TypeError(f"{plain!r} is no number")
    return plain
