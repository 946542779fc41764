"""Learning algorithm cloning: sub-RNNs are taught backpropagation (VSML sec. 3.2, app. B and C).

A layer of a network with weights w and biases b has y = Σ_a tanh(x_a) w_ab + b_b, takes an error e
at its outputs, passes e' = (1 − tanh²x) Σ_b e w down, and changes by Δw = −rate · e · tanh x and
Δb = −rate · bias_rate · e. Here each sub-RNN is taught its share of that, by itself: its messages
are to be tanh(x) w + b and e (1 − tanh²x) w, and its state is to change as w and b do.

The paper does not say which states hold w and b. A gate of an LSTM is positive, and so one tick
cannot write the signed product e · tanh x into a state. But it can write e · (1 + tanh x), and so
three cell states hold

    c_0 = w + β,   c_1 = w − β,   c_2, with   b = β − (1 − bias_rate) c_2,

which change by −rate · e · (1 + tanh x), +rate · e · (1 − tanh x) and −rate · e: each a positive
function of x times one of e. Likewise tanh(x) w + β is (1 + tanh x)/2 · c_0 − (1 − tanh x)/2 · c_1,
an output gate times a state for each term. So one tick forward and one backward are enough.
"""

from typing import Annotated, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from hebbax._options import POSITIVE
from hebbax.outer.objectives import AbstractObjective, Value
from hebbax.rules import Vsml
from hebbax.rules.vsml import Layer, Network, SharedCell, cells, halved

MEMORY = 3
"""Cell states that hold w and b."""
STD_W, MOST_W, STD_B, STD_OTHER = 0.3, 0.9, 0.15, 0.05
"""Of the weights and biases that cloning begins with, as parts of the gain."""
LEAST_ERROR = 0.1
"""Errors below this count no less: a rule must not drift where there is nothing to be learnt."""
KEEP, FORGET = 5.0, -2.0
"""Forget gates to begin with: states that hold w and b are kept, the others are not."""


def cloning_rule(
    state_size: int = 10, *, gains: tuple[float, float] = (1.0, 1.0), spread: float = 0.2
) -> Vsml:
    """Return the rule whose sub-RNNs can be taught backpropagation.

    **Arguments:**

    - `state_size`: units of a sub-RNN, at least `MEMORY`.
    - `gains`: of messages up and down. As messages are means, y = gain · mean_a(…), and the rates
      of a layer in terms of its gradient are gain times fewer than it has inputs.
    - `spread`: of the first weights, as parts of the gain; c_0 = c_1 and so b = 0.

    **Raises:** `ValueError` for a `state_size` below `MEMORY`; what `Vsml` raises.
    """
    if state_size < MEMORY:
        raise ValueError(f"state_size must be at least {MEMORY}; got {state_size}.")
    return Vsml(
        state_size=state_size,
        message_size=1,
        error_as="message",
        gate_offset=0.0,
        state_clip=4.0,
        batch="averaged",
        initial="line",
        line=(spread, spread),
        quiet_forward=True,
        gains=gains,
    )


def begin(rule: Vsml, key: PRNGKeyArray) -> SharedCell:
    """Draw sub-RNNs that keep their first `MEMORY` states and forget the others."""
    theta, s = rule.init(key), rule.state_size
    forget = jnp.full(s, FORGET).at[:MEMORY].set(KEEP)
    return eqx.tree_at(lambda t: t.b, theta, theta.b.at[2 * s : 3 * s].set(forget))


class SynapseResponse(eqx.Module):
    """What a synapse answers to an input and an error, all `[copies, out, in]`; eq. 13, after 14.

    **Fields:** `y` and `e` are messages up and down; `c` `[MEMORY, copies, out, in]` are changes of
    the states that hold w and b.
    """

    y: Float[Array, "copies out in"]
    e: Float[Array, "copies out in"]
    c: Float[Array, "memory copies out in"]


def weights(
    c: Float[Array, "s copies out in"], bias_rate: float
) -> tuple[Float[Array, "copies out in"], Float[Array, "copies out in"]]:
    """Return the w and b that cell states hold, as parts of the gain."""
    return (c[0] + c[1]) / 2, (c[0] - c[1]) / 2 - (1 - bias_rate) * c[2]


def backpropagation(
    c: Float[Array, "s copies out in"],
    x: Float[Array, "rows in"],
    error: Float[Array, "rows out"],
    rate: float,
    bias_rate: float,
) -> SynapseResponse:
    """Return what backpropagation does with synapses that hold `c`; a copy may serve all rows."""
    w, b = weights(c, bias_rate)
    t, e = jnp.tanh(x)[:, None, :], error[:, :, None]
    step = rate * e
    change = jnp.stack([-step * (1 + t), step * (1 - t), -step * jnp.ones_like(t)])
    return SynapseResponse(t * w + b, e * (1 - t * t) * w, change)


def pass_up(
    theta: SharedCell, layer: Layer, x: Float[Array, "rows in"]
) -> tuple[Float[Array, "rows out in"], Layer]:
    """Tick forward with `x`: the message that each sub-RNN sends up, and the states.

    `theta` comes from `meta_parameters.halved`, here and below.
    """
    nothing = jnp.zeros((0, len(x), layer.h.shape[2]))
    layer = cells.tick("lstm", theta, layer, cells.Inputs(x[None], nothing))
    return _sent(theta.forward_head, layer), layer


def pass_down(
    theta: SharedCell, layer: Layer, x: Float[Array, "rows in"], error: Float[Array, "rows out"]
) -> tuple[Float[Array, "rows out in"], Layer]:
    """Tick backward with the same `x` and `error`: what each sub-RNN sends down, and the states."""
    layer = cells.tick("lstm", theta, layer, cells.Inputs(x[None], error[None]))
    return _sent(theta.backward_head, layer), layer


def pass_through(
    theta: SharedCell, layer: Layer, x: Float[Array, "rows in"], error: Float[Array, "rows out"]
) -> tuple[SynapseResponse, Layer]:
    """Tick forward with `x` and backward with `error`: what each sub-RNN did, and the states.

    The messages are those of single sub-RNNs.
    """
    up, forward = pass_up(theta, layer, x)
    down, backward = pass_down(theta, forward, x, error)
    return SynapseResponse(up, down, held(backward) - held(layer)), backward


def held(layer: Layer) -> Float[Array, "memory rows out in"]:
    """Return the states that hold w and b."""
    assert layer.c is not None
    return layer.c[:MEMORY]


def mean_of_rows(layer: Layer) -> Layer:
    """Return one copy of a layer, with the mean states of all rows."""
    return jax.tree.map(lambda a: jnp.mean(a, axis=1, keepdims=True), layer)


def _sent(head: Any, layer: Layer) -> Float[Array, "rows out in"]:
    return jnp.einsum("i,inba->nba", head.weight[:, 0], layer.h) + head.bias[0]


def compare(
    found: SynapseResponse, target: SynapseResponse, e: Float[Array, "rows out 1"], rate: float
) -> Float[Array, ""]:
    """Return the smooth L1 of what differs, in parts of its usual size.

    `e` are the errors that came from above, `rate` is that of w.
    """
    size = jnp.sqrt(jnp.square(e) + LEAST_ERROR**2)
    off = jax.tree.map(lambda a, b: a - b, found, target)
    drift = jnp.mean(off.c, axis=1) / jnp.mean(0.25 * rate * size, axis=0)[None]
    return (
        2.0 * _smooth(off.y / STD_W)
        + 3.0 * _smooth(off.e / (STD_W / 2 * size))
        + MEMORY * _smooth(off.c / (rate * size)[None])
        + _smooth(drift)
    )


def errors(
    found: SynapseResponse, target: SynapseResponse, bias_rate: float
) -> dict[str, Float[Array, ""]]:
    """Return metrics: of each part of a response, what differs as part of what was to come out."""
    off = jax.tree.map(lambda a, b: a - b, found, target)
    return {
        "error_y": _relative(off.y, target.y),
        "error_e": _relative(off.e, target.e),
        "error_w": _relative(off.c[0] + off.c[1], target.c[0] + target.c[1]),
        "error_b": _relative(*(weights(t.c, bias_rate)[1] for t in (off, target))),
    }


def _relative(off: Float[Array, "..."], target: Float[Array, "..."]) -> Float[Array, ""]:
    """Return the root mean square of a difference, as part of that of the target."""
    return jnp.sqrt(jnp.mean(jnp.square(off)) / jnp.mean(jnp.square(target)))


def _smooth(d: Float[Array, "..."]) -> Float[Array, ""]:
    """Return the mean smooth L1 norm."""
    size = jnp.abs(d)
    return jnp.mean(jnp.where(size < 1, 0.5 * d * d, size - 0.5))


class CloneBackprop(AbstractObjective):
    """How far sub-RNNs are from backpropagation, on random synapses (VSML table 1).

    Synapses begin with random w and b, meet `steps` batches of `batch` inputs and errors, and their
    states are averaged over each (sec. 3.2). The loss is the smooth L1 of the differences of the
    messages and of the changes, also of the mean change of a batch, in parts of their usual size.

    **Arguments:**

    - `rate`: the inner learning rate, for w as part of the gain.
    - `bias_rate`: of b, as part of `rate`. Means give every sub-RNN a share of the bias, and with
      the same rate for all, biases overshoot long before weights learn.
    - `steps`, `batch`: see above; `query` must be `MEMORY` times the side of the family,
      `random_synapses`.

    **Raises:** `ValueError` for rates that are not positive, and for another `query`.
    """

    skips: ClassVar[bool] = False
    most_weight: ClassVar[float] = MOST_W
    """The largest w that synapses begin with, as a part of the gain."""

    steps: int = eqx.field(static=True, default=2)
    batch: int = eqx.field(static=True, default=8)
    query: int = eqx.field(static=True, default=72)
    rate: Annotated[float, POSITIVE] = eqx.field(static=True, default=0.1)
    bias_rate: Annotated[float, POSITIVE] = eqx.field(static=True, default=0.1)

    def unroll_and_judge(
        self, rule: Any, theta: Any, net: Network, episode: Any, first: Any = 0, taken: Any = None
    ) -> tuple[Network, Value]:
        """Compare all sub-RNNs with backpropagation; `taken` must be None."""
        if taken is not None:
            raise ValueError("CloneBackprop needs a method that runs whole lifetimes.")
        ready = halved(theta, rule.gate_offset)
        layer = self._draw(rule.state_size, episode.query_x)

        def update(layer: Layer, data: tuple[Array, Array]) -> tuple[Layer, Any]:
            assert layer.c is not None
            target = backpropagation(layer.c, *data, self.rate, self.bias_rate)
            found, after = pass_through(ready, layer, *data)
            loss = compare(found, target, data[1][:, :, None], self.rate)
            return mean_of_rows(after), (loss, errors(found, target, self.bias_rate))

        _, (loss, metrics) = jax.lax.scan(update, layer, (episode.x, episode.y))
        return net, (jnp.mean(loss), jax.tree.map(jnp.mean, metrics))

    def weights(
        self, c: Float[Array, "s copies out in"]
    ) -> tuple[Float[Array, "copies out in"], Float[Array, "copies out in"]]:
        """Return the w and b that cell states hold, as parts of the gain."""
        return weights(c, self.bias_rate)

    @staticmethod
    def answer(
        theta: SharedCell, layer: Layer, x: Float[Array, "rows in"], error: Float[Array, "rows out"]
    ) -> SynapseResponse:
        """Return what the sub-RNNs of `theta` do with inputs and errors, in the states `layer`."""
        return pass_through(halved(theta, 0.0), layer, x, error)[0]

    def _draw(self, states: int, normal: Float[Array, "rows n"]) -> Layer:
        side = normal.shape[1]
        if len(normal) != MEMORY * side:
            raise ValueError(
                f"query must be {MEMORY} times the side of the family, {MEMORY * side}; "
                f"got {len(normal)}."
            )
        w, b, other = normal.reshape(MEMORY, side, side)
        w = jnp.clip(STD_W * w, -MOST_W, MOST_W)
        b, other = STD_B * b, STD_OTHER * other
        c = jnp.zeros((states, 1, side, side))
        c = c.at[:MEMORY, 0].set(jnp.stack([w + b, w - b, b + other]))
        return Layer(jnp.zeros_like(c), c)
