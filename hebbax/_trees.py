"""Pytrees as dictionaries of named arrays, the form in which they are written to files."""

import hashlib
import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree


def _name(path: tuple[Any, ...]) -> str:
    """Return the keys of a path, between dots; of keys that hold some themselves, those escaped."""
    keys = (str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path)
    return ".".join(re.sub(r"([\\.])", r"\\\1", key) for key in keys)


def to_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Return the leaves of `tree` by the names of the fields that lead to them.

    Random keys become their bits.
    """
    arrays = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if _is_key(leaf):
            leaf = jax.random.key_data(leaf)
        # safetensors would write a transposed view in the wrong order.
        arrays[_name(path)] = np.ascontiguousarray(leaf).reshape(np.shape(leaf))
    return arrays


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key)


def from_arrays(
    skeleton: PyTree, arrays: dict[str, np.ndarray], any_precision: bool = False
) -> PyTree:
    """Put `arrays` into the structure of `skeleton`, whose leaves have a shape and a dtype.

    With `any_precision`, arrays of more or fewer bits a number are brought to the dtypes of
    `skeleton`.

    **Raises:** `ValueError` naming the first array that is missing, unknown, of another shape or
    dtype, or with numbers too large for that.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(skeleton)
    leaves = [leaf for _, leaf in paths]
    plain = [jax.eval_shape(jax.random.key_data, a) if _is_key(a) else a for a in leaves]
    names = [_name(path) for path, _ in paths]
    if "\\" in "".join(names):
        # As they were written before dots were escaped, where that was unambiguous.
        old = {name.replace("\\.", ".").replace("\\\\", "\\"): name for name in names}
        if len(old) == len(names):
            arrays = {old.get(name, name): array for name, array in arrays.items()}
    for name in sorted({*names} - arrays.keys()):
        raise ValueError(f"the array {name!r} is missing")
    for name in sorted(arrays.keys() - {*names}):
        raise ValueError(f"the array {name!r} does not belong there")
    fitting = []
    for name, leaf in zip(names, plain, strict=True):
        found = arrays[name]
        if any_precision and found.dtype.kind == np.dtype(leaf.dtype).kind:
            found = _cast(name, found, leaf.dtype)
        if found.shape != leaf.shape or found.dtype != leaf.dtype:
            raise ValueError(
                f"the array {name!r} is {found.dtype}{list(found.shape)}, "
                f"not {leaf.dtype}{list(leaf.shape)}"
            )
        fitting.append(jnp.asarray(found))
    wrapped = [
        _wrapped(a, leaf) if _is_key(leaf) else a for a, leaf in zip(fitting, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, wrapped)


def _cast(name: str, array: np.ndarray, dtype: Any) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(dtype)
    exact = array.dtype.kind != "f"
    if not np.array_equal(cast, array) if exact else (np.isinf(cast) & ~np.isinf(array)).any():
        raise ValueError(f"the array {name!r} holds numbers too large for {cast.dtype}")
    return cast


def _wrapped(bits: Array, like: Any) -> Array:
    # Of a leaf that is only described, JAX does not tell the implementation directly.
    return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(jnp.empty((), like.dtype)))


def digest(tree: PyTree) -> str:
    """Return 16 hexadecimal digits that change with any array of `tree`, its shape or dtype."""
    total = hashlib.sha256()
    for name, array in to_arrays(eqx.filter(tree, eqx.is_array_like)).items():
        total.update(f"{name} {array.dtype} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()[:16]


def global_norm(tree: PyTree) -> Float[Array, ""]:
    """Return the root of the sum of all squares, where squares of large numbers would overflow too.

    A power of two is taken out of them, which changes no bit of what does not overflow.
    """
    leaves = jax.tree.leaves(tree)
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(a), initial=0) for a in leaves]))
    large = jnp.isfinite(largest) & (largest > 2.0**20)
    exponent = jnp.frexp(jnp.where(large, largest, 1.0))[1] - 1
    scale = jnp.where(large, jnp.ldexp(jnp.ones_like(largest), exponent), 1.0)
    return scale * jnp.sqrt(sum(jnp.sum((a / scale) ** 2) for a in leaves))
