"""The genome: BLUR's meta-parameters, about 4 k² + O(k) numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._trees import to_arrays
from hebbax.rules._sections import Entry, Section

_TRANSFORMS = ("nu", "mu", "nu_tilde", "mu_tilde")
# What the fields are called in the paper, what they do, and what their rows and columns count.
_WORDS: dict[str, tuple[str, ...]] = {
    "nu": ("ν", "neurons, forward", "to state", "from state"),  # noqa: RUF001
    "mu": ("μ", "neurons, backward", "to state", "from state"),
    "nu_tilde": ("ν̃", "presynaptic", "from neuron state", "to synapse state"),  # noqa: RUF001
    "mu_tilde": ("μ̃", "postsynaptic", "to synapse state", "from neuron state"),
    "f": ("f", "neurons keep"),
    "eta": ("η", "neurons are updated"),
    "f_tilde": ("f̃", "synapses keep"),
    "eta_tilde": ("η̃", "synapses are updated"),
    "forward_nu_tilde": ("ν̃", "presynaptic, forward", "from neuron state", "to synapse state"),  # noqa: RUF001
    "forward_mu_tilde": ("μ̃", "postsynaptic, forward", "to synapse state", "from neuron state"),
    "forward_f_tilde": ("f̃", "synapses keep, forward"),
    "forward_eta_tilde": ("η̃", "synapses are updated, forward"),
    "noise": ("s", "deviation of noise, forward"),
    "regulation": ("ρ", "neurons regulate themselves", "to state", "from state"),  # noqa: RUF001
}


class Genome(eqx.Module):
    """Meta-parameters of BLUR (paper, table 1), in the paper's index order.

    With one genome per layer every array has a leading axis that counts synapse layers, input
    side first. Fields that the rule's options do not use are None.

    **Fields:**

    - `nu`, `mu`: ν, μ `[k, k]`, forward and backward transforms of neurons, `[receiver state c,
      sender state d]` (eqs. 5 and 6).
    - `nu_tilde`: ν̃ `[k, k]`, presynaptic transform `[neuron state e, synapse state c]` (eq. 7).
    - `mu_tilde`: μ̃ `[k, k]`, postsynaptic transform `[synapse state c, neuron state d]` (eq. 7).
    - `f`, `eta`: keep and update gates of neurons, scalars (eqs. 5 and 6).
    - `f_tilde`, `eta_tilde`: keep and update gates of synapses, scalars (eq. 7); f̃ is None where
      it stays 1.
    - `forward_mean`, `forward_deviation`, `backward_mean`, `backward_deviation`: `[k]`, what
      activation normalisation brings each state to (sec. 3.4).
    - `oja_multiplier`: scalar, strength of Oja's term; enters by its absolute value, but with its
      sign where `oja` is `first`.
    - `saturation`: scalar, α of α·tanh(w/α) or the rate of the exponential form.
    - `rescale`: scalar, the norm that synapse normalisation gives each unit's synapses.
    - `synapse_gain`: scalar, factor on the initial synapses.
    - `forward_nu_tilde`, `forward_mu_tilde`, `forward_f_tilde`, `forward_eta_tilde`: as those
      without `forward_`, of the change at the end of the forward pass (sec. 5).
    - `noise`: `[k]`, deviation of the noise that the forward pass of an update adds to each state
      of hidden units (sec. 5); its sign has no meaning.
    - `regulation`: ρ `[k, k]`, how a neuron's states gate what arrives at it, `[arriving state c,
      own state d]` (sec. 5).
    """

    nu: Float[Array, "*layers k k"]
    mu: Float[Array, "*layers k k"]
    nu_tilde: Float[Array, "*layers k k"]
    mu_tilde: Float[Array, "*layers k k"]
    f: Float[Array, "*layers"]
    eta: Float[Array, "*layers"]
    f_tilde: Float[Array, "*layers"] | None
    eta_tilde: Float[Array, "*layers"]
    forward_mean: Float[Array, "*layers k"] | None = None
    forward_deviation: Float[Array, "*layers k"] | None = None
    backward_mean: Float[Array, "*layers k"] | None = None
    backward_deviation: Float[Array, "*layers k"] | None = None
    oja_multiplier: Float[Array, "*layers"] | None = None
    saturation: Float[Array, "*layers"] | None = None
    rescale: Float[Array, "*layers"] | None = None
    synapse_gain: Float[Array, "*layers"] | None = None
    forward_nu_tilde: Float[Array, "*layers k k"] | None = None
    forward_mu_tilde: Float[Array, "*layers k k"] | None = None
    forward_f_tilde: Float[Array, "*layers"] | None = None
    forward_eta_tilde: Float[Array, "*layers"] | None = None
    noise: Float[Array, "*layers k"] | None = None
    regulation: Float[Array, "*layers k k"] | None = None


def transforms(
    key: PRNGKeyArray, states: int, init: str, scale: float
) -> dict[str, Float[Array, "k k"]]:
    """Draw ν, μ, ν̃, μ̃ with independent normal noise of standard deviation `scale`.

    `random`: the noise alone. `backprop`: around the matrices of eq. 4, zero in states beyond the
    second: the forward pass copies the activation into both states, the backward pass carries the
    second state, a synapse changes by its sender's first state times its receiver's second.
    """
    k = states
    zeros = jnp.zeros((k, k))
    if init == "random":
        centres = {name: zeros for name in _TRANSFORMS}
    else:
        centres = {
            "nu": zeros.at[:2, 0].set(1.0),
            "mu": zeros.at[:2, :2].set(jnp.eye(2)),
            "nu_tilde": zeros.at[:2, :2].set(jnp.eye(2)),
            "mu_tilde": zeros.at[:2, :2].set(jnp.eye(2)[::-1]),
        }
    keys = jax.random.split(key, len(_TRANSFORMS))
    return {
        name: centres[name] + scale * jax.random.normal(k_name, (k, k))
        for name, k_name in zip(_TRANSFORMS, keys, strict=True)
    }


def section(genome: Genome, title: str) -> Section:
    """Return the arrays of one genome, for a page that shows it."""
    return Section(
        title,
        tuple(
            Entry(array, *_WORDS.get(name, (name,))) for name, array in to_arrays(genome).items()
        ),
    )
