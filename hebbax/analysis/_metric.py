"""Is a learning rule the gradient descent of some loss under some metric? (BLUR, appendix A)"""

import dataclasses
from collections.abc import Sequence

import numpy as np

THRESHOLD = 1e-8
"""Singular values below this share of the largest count as zero (BLUR, appendix A)."""


@dataclasses.dataclass(frozen=True)
class MetricTest:
    """What is left of the symmetric matrices g that could be a constant metric.

    **Fields:**

    - `at_first`: dimension of the space of symmetric g for which gQ is symmetric at the first
      state.
    - `everywhere`: dimension of its part for which that holds at all other states too.
    - `candidates` `[everywhere, n, n]`: a basis of that part, each of Frobenius norm 1.
    - `definite`: whether the part holds a positive-definite g, as far as a search for the
      combination with the largest smallest eigenvalue can tell.
    - `smallest_eigenvalue`: of the best combination found, relative to its largest; nan if there
      is no candidate.
    """

    at_first: int
    everywhere: int
    candidates: np.ndarray
    definite: bool
    smallest_eigenvalue: float


def metric_test(jacobians: Sequence[np.ndarray], threshold: float = THRESHOLD) -> MetricTest:
    """Look for a constant metric under which a rule descends some loss (BLUR eq. 12 and 13).

    If Δw = -γ g⁻¹ ∂L/∂w with a constant metric g, then gQ is symmetric wherever Q = ∂Δw/∂w is
    measured, and g is symmetric and positive-definite. The first state's equations are solved by
    a singular value decomposition; the solutions that hold at all other states too are found by
    restricting them state by state.

    **Arguments:**

    - `jacobians`: Q `[n, n]` at several states, from `change_jacobian`, in double precision.
    - `threshold`: singular values below this share of the largest count as zero.

    **Raises:** `ValueError` if there are no Jacobians, or they are not square and of one size.
    """
    if not len(jacobians):
        raise ValueError("jacobians must hold at least one matrix; got none.")
    n = len(jacobians[0])
    for jacobian in jacobians:
        if np.shape(jacobian) != (n, n):
            raise ValueError(
                f"jacobians must be square and of one size, [{n}, {n}] as the first; "
                f"got {list(np.shape(jacobian))}."
            )
    basis = _symmetric_basis(n)
    basis = _restrict(basis, jacobians[0], threshold)
    at_first = len(basis)
    for jacobian in jacobians[1:]:
        if not len(basis):
            break
        basis = _restrict(basis, jacobian, threshold)
    smallest = _most_definite(basis)
    return MetricTest(at_first, len(basis), basis, bool(smallest > threshold), smallest)


def _symmetric_basis(n: int) -> np.ndarray:
    """Return an orthonormal basis of the symmetric matrices, `[n (n + 1) / 2, n, n]`."""
    rows, columns = np.triu_indices(n)
    basis = np.zeros((len(rows), n, n))
    size = np.where(rows == columns, 1.0, np.sqrt(0.5))
    index = np.arange(len(rows))
    basis[index, rows, columns] = size
    basis[index, columns, rows] = size
    return basis


def _restrict(basis: np.ndarray, jacobian: np.ndarray, threshold: float) -> np.ndarray:
    """Return a basis of the part of a space of matrices g where gQ is symmetric."""
    n = len(jacobian)
    scale = np.linalg.norm(jacobian)
    product = basis @ (jacobian / scale if scale else jacobian)
    upper = np.triu_indices(n, 1)
    residual = (product - product.transpose(0, 2, 1))[:, upper[0], upper[1]]
    # Of [equations, unknowns], the smaller side decides what a decomposition costs.
    _, singular, right = np.linalg.svd(residual.T, full_matrices=True)
    values = np.zeros(len(basis))
    values[: len(singular)] = singular
    null = right[values < threshold * max(1.0, values.max(initial=0.0))]
    return np.tensordot(null, basis, axes=1)


def _most_definite(basis: np.ndarray) -> float:
    """Return the largest smallest eigenvalue, over the largest, of the combinations of a basis.

    The smallest eigenvalue is concave in the coefficients; it is climbed by subgradients from
    the combination that is nearest to the identity.
    """
    if not len(basis):
        return float("nan")
    coefficients = np.trace(basis, axis1=1, axis2=2)
    if not np.any(np.abs(coefficients) > 1e-12):
        # All traces vanish, so no combination is positive-definite.
        return min(_ratio(np.tensordot(c, basis, axes=1)) for c in np.eye(len(basis)))
    best = -np.inf
    for step in range(500):
        coefficients = coefficients / np.linalg.norm(coefficients)
        matrix = np.tensordot(coefficients, basis, axes=1)
        values, vectors = np.linalg.eigh(matrix)
        best = max(best, values[0] / max(abs(values[-1]), abs(values[0])))
        slope = np.einsum("kij,i,j->k", basis, vectors[:, 0], vectors[:, 0])
        coefficients = coefficients + slope / np.sqrt(step + 1)
    return float(best)


def _ratio(matrix: np.ndarray) -> float:
    values = np.linalg.eigvalsh(matrix)
    return float(values[0] / np.abs(values).max())
