"""The equations of rules whose matrices are too large to be read, and of Hebb's."""

import numpy as np

from hebbax.analysis.equations._written import block, equations, linear, number
from hebbax.rules import Hebbian, LearningRate, UnsupervisedRule, Vsml
from hebbax.rules.unsupervised import PLANES, PULL, Parameters
from hebbax.rules.vsml import SharedCell


@equations.register
def hebbian(rule: Hebbian, theta: LearningRate) -> str:
    """Write out Hebb's rule or Oja's."""
    change = r"a_j a_i - a_j^2 w_{ji}" if rule.oja else "a_j a_i"
    rate = number(float(theta.learning_rate))
    return block(
        "a_i: activity of neuron i; w_{ji}: synapse from i to j; <.>: mean over the batch",
        [rf"w_{{ji}} &\leftarrow w_{{ji}} + {rate}\,\langle {change} \rangle"],
    )


def _sized(symbol: str, matrix: np.ndarray) -> str:
    shape = r" \times ".join(map(str, matrix.shape))
    return rf"{symbol} \in \mathbb{{R}}^{{{shape}}}"


@equations.register
def vsml(rule: Vsml, theta: SharedCell) -> str:
    """Write out the sub-RNN in every synapse (VSML eqs. 3, 5 and 14)."""
    symbols = {"W": theta.W, "C": theta.C, "U": theta.U, "E": theta.E, "P": theta.P}
    there = {s: np.asarray(m) for s, m in symbols.items() if m is not None}
    terms = ["W^\\top h_{ab}", r"C^\top m_a", r"U^\top n_b"]
    terms += [r"E^\top e_b"] if "E" in there else []
    terms += [r"P^\top p_{ab}"] if "P" in there else []
    z = " + ".join(terms)
    sigma = r"\operatorname{sigmoid}"
    if rule.cell == "lstm":
        offset = number(rule.gate_offset)
        forget = offset if rule.forget_offsets is None else "r"
        tick = [
            rf"(i, g, f, o) &= {z} + b",
            rf"c_{{ab}} &\leftarrow {sigma}(f + {forget})\,c_{{ab}} + "
            rf"{sigma}(i - {offset})\tanh g",
            rf"h_{{ab}} &\leftarrow {sigma}(o)\tanh c_{{ab}}",
        ]
        if rule.forget_offsets is not None:
            first, last = map(number, rule.forget_offsets)
            tick.append(rf"&\text{{with }} r \text{{ from }} {first} \text{{ to }} {last} "
                        r"\text{ evenly over the units}")  # fmt: skip
    else:
        tick = [rf"h_{{ab}} &\leftarrow \tanh\left({z} + b\right)"]
        if rule.cell == "multiplicative":
            tick += [
                r"&\text{in the first half of the units } "
                r"(W^\top h_{ab}) \odot (C^\top m_a) \text{ for their sum}"
            ]
    if rule.bundles != (1, 1):
        inputs, outputs = rule.bundles
        tick.append(rf"&\text{{with {inputs} inputs of the network at each }} a "
                    rf"\text{{ of the first layer, {outputs} outputs at each }} b "
                    r"\text{ of the last, each in a channel of its own}")  # fmt: skip
    if rule.state_clip is not None:
        limit = number(rule.state_clip)
        tick.append(rf"&\text{{all states are then clipped to }} \pm {limit}")
    over = {"mean": r"\frac{1}{A}\sum_a", "sum": r"\sum_a"}[rule.reduction]
    under = {"mean": r"\frac{1}{B}\sum_b", "sum": r"\sum_b"}[rule.reduction]
    up, down = "h_{ab}", "h_{ab}"
    if theta.forward_head is not None:
        up, down = r"(F^\top h_{ab} + b_F)", r"(G^\top h_{ab} + b_G)"
        if rule.layer_norm:
            up, down = rf"\operatorname{{norm}}{up}", rf"\operatorname{{norm}}{down}"
    gains = [("" if g == 1 else number(g) + r"\,") for g in rule.gains]
    messages = [
        rf"m_b &= {gains[0]}{over} {up} && \text{{to the layer above}}",
        rf"n_a &= {gains[1]}{under} {down} && \text{{to the layer below}}",
    ]
    sizes = r",\ ".join(_sized(symbol, matrix) for symbol, matrix in there.items())
    return "\n".join(
        (
            "% The sub-RNN of the synapse from a to b, with hidden state h and cell state c, reads "
            "the\n% message m_a from below and n_b from above.",
            block(f"one tick, {rule.ticks} in each pass", tick),
            block("messages", messages),
            block("learnt", [f"&{sizes}"]),
        )
    )


@equations.register
def unsupervised(rule: UnsupervisedRule, theta: Parameters) -> str:
    """Write out how weights change; the planes stay names, for small networks make them."""
    names = [rf"\text{{{name.replace('_', chr(92) + '_')}}}" for name in PLANES[rule.planes]]
    squashed = (rf"\operatorname{{squash}}({name})" for name in names)
    merged = linear(np.append(theta.merge.w, theta.merge.b), [*squashed, ""])
    keep, step = number(1 - rule.step_size), number(rule.step_size)
    lines = [
        rf"M &= \frac{{1}}{{{rule.planes}}}\bigl({merged}\bigr)",
        r"M_\perp &= M - \hat W \max(0, \operatorname{mean}(M \odot \hat W))",
        rf"\Delta &= \operatorname{{squash}}(M_\perp / \sqrt{{{rule.planes}}}) - "
        rf"{number(PULL)}\,\hat W",
        rf"W &\leftarrow {keep}\,W - {step}\,\Delta",
        rf"V &\leftarrow {keep}\,V - {step}\,\Delta",
    ]
    return "\n".join(
        (
            "% W hat: the weights W with columns of root mean square 1; squash(p): each column "
            "divided by\n% the root of 1 + its mean square. Planes are named as in "
            "hebbax.rules.unsupervised.PLANES.",
            block("change of the forward weights W and the backward weights V", lines),
        )
    )
