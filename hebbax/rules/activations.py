"""Activation functions of multi-state neurons.

Each maps the pre-activations of a layer, `[states, units, batch]`, to its states. The plain ones
treat every state alike (the paper's unitary form, BLUR sec. 3.2); the `*_and_derivative` ones map
state 0 through the function and every further state through its derivative (φ of BLUR eq. 4),
which is what makes backpropagation a special case.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hebbax._errors import check_choice

States = Float[Array, "states units batch"]


def _relu_tanh(x: Array) -> Array:
    return jax.nn.relu(jnp.tanh(x))


def _identity(x: Array) -> Array:
    return x


_PLAIN: dict[str, Callable[[Array], Array]] = {
    "none": _identity,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "relu_tanh": _relu_tanh,
    "sigmoid": jax.nn.sigmoid,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "softplus": jax.nn.softplus,
    "swish": jax.nn.swish,
    "gelu": jax.nn.gelu,
    "softsign": jax.nn.soft_sign,
    "sin": jnp.sin,
}

# Written out rather than differentiated: the derivative is a state of the neuron here, and second
# derivatives flow through it in meta-training.
_DERIVATIVES: dict[str, Callable[[Array], Array]] = {
    "none": jnp.ones_like,
    "tanh": lambda x: 1 - jnp.tanh(x) ** 2,
    "relu": lambda x: (x > 0).astype(x.dtype),
    "sigmoid": lambda x: jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x)),
    "leaky_relu": lambda x: jnp.where(x >= 0, 1.0, 0.01).astype(x.dtype),
    "softplus": jax.nn.sigmoid,
    "sin": jnp.cos,
}

_SUFFIX = "_and_derivative"
NAMES = (*_PLAIN, *(name + _SUFFIX for name in _DERIVATIVES))


def check(what: str, name: str) -> None:
    """Raise `ValueError` unless `name` is a known activation; `what` is the option's name."""
    check_choice(what, name, NAMES)


def plain(name: str) -> Callable[[Array], Array]:
    """Return the elementwise function called `name`."""
    check_choice("activation", name, _PLAIN)
    return _PLAIN[name]


def apply(name: str, x: States) -> States:
    """Map pre-activations to states with the activation called `name`."""
    if name.endswith(_SUFFIX):
        base = name.removesuffix(_SUFFIX)
        return jnp.concatenate([_PLAIN[base](x[:1]), _DERIVATIVES[base](x[1:])])
    return _PLAIN[name](x)
