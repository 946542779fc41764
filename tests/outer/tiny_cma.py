"""Options of `cma` under which searches are tested, and what they minimise."""

import cma
import numpy as np


def sphere(rows):
    return np.sum((np.asarray(rows) - 0.5) ** 2, axis=1)


OPTIONS = [
    {},
    {"CMA_diagonal": True},
    {"CMA_diagonal": 15},  # full from then on, with a sampler that `cma` makes anew
    {"CMA_diagonal": 15, "CMA_dampsvec_fac": 0.5},
    {"CMA_diagonal_decoding": 1},
    {"bounds": [-1, 1]},
    {"bounds": [-1, 0.95], "BoundaryHandler": "BoundPenalty"},
    {"bounds": [None, 0.95], "BoundaryHandler": cma.BoundPenalty},
    {"CMA_elitist": True},
    {"CMA_elitist": True, "bounds": [-1, 0.95]},
    {"mean_shift_line_samples": True},
    {"pc_line_samples": True},
    {"CMA_mirrors": 0.3},
    {"CMA_mirrors": 0.3, "CMA_mirrormethod": 1},
    {"CMA_const_trace": True},
    {"CSA_squared": True},
    {"conditioncov_alleviate": [1.5, 3.0]},  # coordinates that `cma` changes on the way
    {"scaling_of_variables": [1, 2, 3, 4, 5, 6, 7.0]},
    {"typical_x": [0.1] * 7},
    {"fixed_variables": {0: 0.25, 3: -0.5}},
    {"fixed_variables": {2: 0.25}, "bounds": [-1, 0.95]},
    {"typical_x": [0.1] * 7, "scaling_of_variables": 7 * [0.5], "bounds": [-1, 0.95]},
    {"AdaptSigma": False},
    {"minstd": 0.05, "maxstd": [0.1, 0.4], "CMA_stds": [1, 1, 2, 2, 3, 3, 1]},
    {"maxiter": "20 * N"},
]
