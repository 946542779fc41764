"""VSML's meta-parameters: the one sub-RNN that all synapses share."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


class Head(eqx.Module):
    """What a sub-RNN sends: a linear function of its hidden state, normalised or not.

    **Fields:** `weight` `[s, m]`, `bias` `[m]`; `scale` and `offset` `[m]` of layer normalisation,
    None without it.
    """

    weight: Float[Array, "s m"]
    bias: Float[Array, " m"]
    scale: Float[Array, " m"] | None = None
    offset: Float[Array, " m"] | None = None


class SharedCell(eqx.Module):
    """Meta-parameters V_M of VSML, about 2,800 numbers.

    `s` state units, `m` message channels, `z` pre-activations: `4 s` for the LSTM, in the blocks
    input gate, candidate, forget gate, output gate, and `s` for the other cells. These have no
    heads: they send their states, so that `m` is `s` (eqs. 3, 5 and 14).

    **Fields:**

    - `W` `[s, z]`: from a sub-RNN's own state.
    - `C` `[m, z]`: from the forward interaction.
    - `U` `[m, z]`: from the backward interaction (eq. 14).
    - `b` `[z]`: bias, b̂. The gates' fixed offsets are not in it.
    - `E` `[error and label, z]`: from the error, and the label, fed as inputs; None where they are
      fed as messages.
    - `P` `[coordinates, z]`: from the sub-RNN's coordinates (app. D); None without.
    - `forward_head`, `backward_head`: what an LSTM sends up and down.
    """

    W: Float[Array, "s z"]
    C: Float[Array, "m z"]
    U: Float[Array, "m z"]
    b: Float[Array, " z"]
    E: Float[Array, "fed z"] | None = None
    P: Float[Array, "coordinates z"] | None = None
    forward_head: Head | None = None
    backward_head: Head | None = None


def truncated(key: PRNGKeyArray, shape: tuple[int, ...], fan_in: int) -> Float[Array, "..."]:
    """Draw normals of deviation 1/√fan_in, cut off at two deviations."""
    return jax.random.truncated_normal(key, -2.0, 2.0, shape) / math.sqrt(fan_in)


def draw_cell(
    key: PRNGKeyArray, *, states: int, messages: int, fed: int, coordinates: int, blocks: int
) -> SharedCell:
    """Draw the weights of a cell with `blocks` pre-activations a unit, no heads; biases are 0."""
    fan_in = states + 2 * messages + fed + coordinates

    def draw(index: int, rows: int) -> Float[Array, "rows z"]:
        return truncated(jax.random.fold_in(key, index), (rows, blocks * states), fan_in)

    return SharedCell(
        W=draw(0, states),
        C=draw(1, messages),
        U=draw(2, messages),
        b=jnp.zeros(blocks * states),
        E=draw(3, fed) if fed else None,
        P=draw(4, coordinates) if coordinates else None,
    )


def draw_head(key: PRNGKeyArray, states: int, messages: int, normalized: bool) -> Head:
    """Draw the weights of a head; its bias and offset are 0 and its scale is 1."""
    return Head(
        truncated(key, (states, messages), states),
        jnp.zeros(messages),
        jnp.ones(messages) if normalized else None,
        jnp.zeros(messages) if normalized else None,
    )


def halved(
    theta: SharedCell, offset: float, forget: tuple[float, float] | None = None
) -> SharedCell:
    """Return the LSTM's weights as `gates.lstm` takes them.

    The pre-activations of the three sigmoid gates come out halved, and the offsets are added:
    −`offset` to the input gate; to the forget gate +`offset`, or, from the first unit to the last,
    what lies evenly between the two numbers of `forget`.
    """
    units, dtype = theta.W.shape[0], theta.b.dtype
    half = jnp.repeat(jnp.asarray([0.5, 1.0, 0.5, 0.5], dtype), units)
    nothing = jnp.zeros(units, dtype)
    kept = nothing + offset if forget is None else jnp.linspace(*forget, units, dtype=dtype)
    shift = jnp.concatenate([nothing - offset, nothing, kept, nothing])
    return SharedCell(
        W=half[None] * theta.W,
        C=half[None] * theta.C,
        U=half[None] * theta.U,
        b=half * (theta.b + shift),
        E=None if theta.E is None else half[None] * theta.E,
        P=None if theta.P is None else half[None] * theta.P,
        forward_head=theta.forward_head,
        backward_head=theta.backward_head,
    )
