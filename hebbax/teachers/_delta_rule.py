"""Sub-RNNs that follow the delta rule from the start, beside what they know already.

A linear network that takes the gradient of its error at every example changes its weights by
−rate · e · x: the delta rule. Three units of an LSTM can do that as set by hand. The first two keep
w + β and w − β, as in `hebbax.teachers._cloning`, and answer σ(x) tanh(w + β) − σ(−x) tanh(w − β),
about tanh(x / 2) w + β; with an error e they change by ∓ σ(±x − 5) tanh(e s), so that w changes by
−exp(−5) sinh(x) tanh(e s) and β by −exp(−5) cosh(x) tanh(e s). Every input's sub-RNN has a β, and
together they would be a bias that learns as fast as hundreds of weights. So the third unit takes
the change of β back, but for what cosh x is above 1.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from hebbax.rules import Vsml
from hebbax.rules.vsml import SharedCell

UNITS = 3
GAIN = 500.0
"""Of what the units answer, whose mean over the inputs is a logit. Weights lie within ± this over
the number of inputs."""
STEP = 0.2
"""By which an error is multiplied: s."""


def with_delta_rule(
    rule: Vsml, theta: SharedCell, *, gain: float = GAIN, step: float = STEP
) -> tuple[Vsml, SharedCell]:
    """Return `rule` and `theta` with three units more, which follow the delta rule.

    The other units do what they did, and do not hear the new ones; logits are the sum of both. The
    new rule is told the time, which all units neglect at first. `gain` and `step` are `GAIN` and
    `STEP`.

    **Raises:** `ValueError` for a rule whose cell is no LSTM, or which normalises messages, takes
    the error as a message, or has forget offsets or coordinates.
    """
    if rule.cell != "lstm" or rule.error_as != "input" or rule.layer_norm:
        raise ValueError(
            "the delta rule needs an LSTM that takes the error as an input and does not normalise "
            f"messages; got cell={rule.cell!r}, error_as={rule.error_as!r}, "
            f"layer_norm={rule.layer_norm}."
        )
    if rule.forget_offsets is not None or rule.coordinates:
        raise ValueError(
            "the delta rule is added to rules without forget_offsets and coordinates; got "
            f"{rule.forget_offsets} and {rule.coordinates}."
        )
    more = rule.state_size + UNITS
    plus, minus, third = _places(more)
    old = jnp.array([unit for unit in range(more) if unit not in (plus, minus, third)])
    old_gates = jnp.concatenate([block * more + old for block in range(4)])
    into, candidate, forget, out = (block * more for block in range(4))

    def widened(rows: Array) -> Array:
        return jnp.zeros((len(rows), 4 * more), rows.dtype).at[:, old_gates].set(rows)

    def placed(rows: Array) -> Array:
        return jnp.zeros((more, *rows.shape[1:]), rows.dtype).at[old].set(rows)

    assert theta.E is not None
    assert theta.forward_head is not None
    assert theta.backward_head is not None
    up, down = theta.forward_head, theta.backward_head
    inputs, errors = widened(theta.C), widened(theta.E)
    inputs = inputs.at[0, jnp.array([into + plus, out + plus])].set(1.0)
    inputs = inputs.at[0, jnp.array([into + minus, out + minus])].set(-1.0)
    signs = jnp.array([-step, step, step])
    errors = errors.at[0, candidate + jnp.array([plus, minus, third])].set(signs)
    # Twice the offset that all forget gates have: half of a state lasts for 15,000 ticks then.
    kept = widened(theta.b[None])[0].at[forget + jnp.array([plus, minus, third])].set(5.0)
    answers = placed(up.weight)
    answers = answers.at[jnp.array([plus, minus, third]), rule.output_channel].set(
        jnp.array([gain, -gain, 2 * gain])
    )
    joined = dataclasses.replace(
        theta,
        W=widened(placed(theta.W)),
        C=inputs,
        U=widened(theta.U),
        E=errors,
        b=kept,
        P=jnp.zeros((1, 4 * more), theta.b.dtype),
        forward_head=dataclasses.replace(up, weight=answers),
        backward_head=dataclasses.replace(down, weight=placed(down.weight)),
    )
    return dataclasses.replace(rule, state_size=more, coordinates=("time",)), joined


def still(rule: Vsml, heads: float = 1.0) -> SharedCell:
    """Return factors on the changes of θ with which the new units stay without an error.

    They forget nothing, so what reaches their candidates but the error adds up over thousands of
    examples: a few thousandths in θ are the end of what they know. The factors are 0 there, `heads`
    for what they answer, which is hundreds of times as large as the rest, and 1 for all else.

    **Arguments:** `rule` as `with_delta_rule` returns it.
    """
    units = rule.state_size
    new = np.array(_places(units))
    theta = jax.eval_shape(rule.init, jax.random.key(0))
    factors = jax.tree.map(lambda a: np.ones(a.shape, a.dtype), theta)
    for rows in (factors.W, factors.C, factors.U, factors.P, factors.b):
        rows[..., units + new] = 0.0
    factors.forward_head.weight[new, rule.output_channel] = heads
    return factors


def _places(units: int) -> tuple[int, int, int]:
    """Return which of so many units are new: what was drawn with states at first is so still."""
    return (units - UNITS) // 2, units - 2, units - 1
