"""Pytrees as dictionaries of named arrays, the form in which they are written to files."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path)


def to_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Return the leaves of `tree` by the names of the fields that lead to them."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    # safetensors would write a transposed view in the wrong order.
    return {_name(path): np.ascontiguousarray(leaf).reshape(np.shape(leaf)) for path, leaf in leaves}


def from_arrays(skeleton: PyTree, arrays: dict[str, np.ndarray]) -> PyTree:
    """Put `arrays` into the structure of `skeleton`, whose leaves have a shape and a dtype.

    **Raises:** `ValueError` naming the first array that is missing, unknown, or of another shape
    or dtype.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(skeleton)
    expected = {_name(path): leaf for path, leaf in paths}
    for name in expected.keys() - arrays.keys():
        raise ValueError(f"the array {name!r} is missing")
    for name in arrays.keys() - expected.keys():
        raise ValueError(f"the array {name!r} does not belong there")
    for name, leaf in expected.items():
        found = arrays[name]
        if found.shape != leaf.shape or found.dtype != leaf.dtype:
            raise ValueError(
                f"the array {name!r} is {found.dtype}{list(found.shape)}, "
                f"not {leaf.dtype}{list(leaf.shape)}"
            )
    return jax.tree.unflatten(structure, [jnp.asarray(arrays[_name(path)]) for path, _ in paths])
