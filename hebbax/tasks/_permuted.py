"""Rows of a family whose inputs change places again and again."""

import numpy as np
from jaxtyping import Float32, Int32

from hebbax._arguments import check_arguments
from hebbax.tasks._arrays import ArrayFamily


def permuted_rows(
    family: ArrayFamily, permutations: int, rows: int, seed: int = 0
) -> tuple[Float32[np.ndarray, "all in"], Int32[np.ndarray, " all"]]:
    """Return a stream of a family's examples whose inputs change places after every `rows` rows.

    With MNIST it is the online permuted MNIST that shows loss of plasticity (Dohare et al., 2024).

    **Arguments:**

    - `family`: whose training examples are taken, with one output for each class.
    - `permutations`: how often inputs are put in a new order, the first time included.
    - `rows`: examples in each order, drawn anew without replacement, so no more than there are.
    - `seed`: decides orders and examples.

    **Raises:** `ValueError` for numbers out of range.
    """
    check_arguments(permuted_rows, locals())
    x, y = np.asarray(family.train_x), np.asarray(family.train_y)
    for name, value in {"permutations": permutations, "rows": rows}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}.")
    if rows > len(x):
        raise ValueError(f"rows must be at most the {len(x)} examples there are; got {rows}.")
    random = np.random.RandomState(seed)
    found, labels = [], []
    for _ in range(permutations):
        chosen = random.permutation(len(x))[:rows]
        order = random.permutation(x.shape[1])
        found.append(x[chosen][:, order])
        labels.append(y[chosen])
    return np.concatenate(found), np.concatenate(labels).astype(np.int32)
