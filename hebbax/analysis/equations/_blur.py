"""The equations of a BLUR genome (BLUR eqs. 5 to 8)."""

from collections.abc import Iterator

import jax
from jaxtyping import Array

from hebbax.analysis.equations._written import (
    SMALLEST,
    block,
    equations,
    linear,
    number,
    times,
    within,
)
from hebbax.rules import Blur
from hebbax.rules.blur import Genome, of_forward

_FUNCTIONS = {"none": "", "tanh": r"\tanh", "sin": r"\sin"}
_AND_DERIVATIVE = "_and_derivative"


@equations.register
def blur(rule: Blur, theta: Genome) -> str:
    """Write out a genome: i sends to j, upper indices count states from 0."""
    head = (
        "% a_i^c: state c of neuron i; w_{ji}^c: synapse from i to j. The input is (x, 0, ...);\n"
        "% i = 0 is a neuron whose states are all 1. <.> is a mean over the batch.\n"
        "% Coefficients below 0.0005 are left out."
    )
    if rule.persistent is not None:
        head += "\n% Before the forward pass, a_j are those that the last update left."
    if rule.supervised_every > 1:
        every = rule.supervised_every
        head += (
            f"\n% Updates whose number, from 0, {every} does not divide end before the feedback."
        )
    if rule.noise is not None:
        head += "\n% epsilon is standard normal, drawn anew for each neuron and update."
    if rule.layer_genomes is None:
        return "\n".join((head, *_blocks(rule, theta, "")))
    parts = [head]
    for layer in range(rule.layer_genomes):
        genome = jax.tree.map(lambda a, layer=layer: a[layer], theta)
        parts += _blocks(rule, genome, f", synapse layer {layer + 1} of {rule.layer_genomes}")
    return "\n".join(parts)


def _blocks(rule: Blur, genome: Genome, of: str) -> Iterator[str]:
    yield block(f"forward pass{of}", _forward(rule, genome))
    if rule.forward_update is not None:
        changed = _synapses(rule, of_forward(genome))
        yield block(f"change of the synapses in the forward pass{of}", changed)
    yield block(f"feedback to the last layer{of}", [_feedback(rule)])
    yield block(f"backward pass, from the layer below the last down{of}", _backward(rule, genome))
    yield block(f"change of the synapses{of}", _synapses(rule, genome))


def _states(rule: Blur, letter: str) -> list[str]:
    return [f"{letter}^{{{c}}}" for c in range(rule.states)]


def _weight(rule: Blur, c: int, letter: str = "w_{ji}") -> str:
    return letter if rule.single_state else f"{letter}^{{{c}}}"


def _activation(name: str, c: int, argument: str) -> str:
    derivative = name.endswith(_AND_DERIVATIVE) and c > 0
    base = name.removesuffix(_AND_DERIVATIVE)
    if base == "none":
        return "1" if derivative else argument
    symbol = _FUNCTIONS.get(base, rf"\operatorname{{{base.replace('_', ' ')}}}")
    prime = "'" if derivative else ""
    return rf"{symbol}{prime}\left({argument}\right)"


def _normalized(mean: Array | None, deviation: Array | None, c: int, where: str) -> Iterator[str]:
    """Say how state c of u becomes û; nothing if it stays as it is."""
    if mean is None or deviation is None:
        return
    u = f"u^{{{c}}}"
    unit = rf"\frac{{{u} - \operatorname{{mean}} {u}}}{{\operatorname{{std}} {u}}}"
    shift = number(mean[c]) + r" + " if abs(mean[c]) >= SMALLEST else ""
    yield rf"\hat {u} &= {shift}{times(deviation[c], unit)} && \text{{over the batch{where}}}"


def _rescaled(rule: Blur, g: Genome, norm: str) -> str:
    if rule.synapse_normalization is None or rule.normalizes_stored:
        return ""
    return rf"\frac{{{number(1.0 if g.rescale is None else float(g.rescale))}}}{{{norm}}}"


def _forward(rule: Blur, g: Genome) -> Iterator[str]:
    for c in range(rule.states):
        sent = linear(g.eta * g.nu[c], _states(rule, "a_i"))
        weight = _weight(rule, c)
        scale = _rescaled(rule, g, rf"\sqrt{{\sum_i ({weight})^2}}")
        yield rf"u_j^{{{c}}} &= {scale}\sum_i {weight} {within(sent)}"
    if rule.persistent is not None:
        for c in range(rule.states):
            u = f"u_j^{{{c}}}"
            yield rf"{u} &\leftarrow {times(g.f, f'a_j^{{{c}}}')} + {_gate(rule, g, c, 'j')}{u}"
    everywhere = rule.normalization is None or rule.normalization.last
    where = "" if everywhere else r"; in the last layer $\hat u = u$"
    for c in range(rule.states):
        yield from _normalized(g.forward_mean, g.forward_deviation, c, where)
    u = r"\hat u_j" if rule.normalizes_forward else "u_j"
    for c in range(rule.states):
        last = ""
        if rule.last_activation != rule.forward_activation:
            in_last = _activation(rule.last_activation, c, f"{u}^{{{c}}}")
            last = rf" && \text{{in the last layer }} {in_last}"
        elif g.noise is not None:
            last = r" && \text{in the last layer without } \varepsilon"
        argument = f"{u}^{{{c}}}"
        if g.noise is not None:
            argument += " + " + times(abs(g.noise[c]), rf"\varepsilon_j^{{{c}}}")
        yield rf"a_j^{{{c}}} &= {_activation(rule.forward_activation, c, argument)}{last}"


def _gate(rule: Blur, g: Genome, c: int, at: str) -> str:
    """Return the factor by which a neuron scales what arrives at its state c, if any."""
    own = "0" if g.regulation is None else linear(g.regulation[c], _states(rule, f"a_{at}"))
    return "" if own == "0" else rf"\frac{{2}}{{1 + e^{{-({own})}}}}\,"


def _feedback(rule: Blur) -> str:
    what = {
        "target": "2 y_j - 1",
        "residual": "2 y_j - 1 - a_j^0",
        "error": r"y_j - \operatorname{softmax}(a^0)_j",
    }[rule.feedback]
    rest = r",\quad a_j^{c} \leftarrow 0 \text{ for } c > 1" if rule.states > 2 else ""
    return rf"a_j^{{1}} &\leftarrow {what}{rest}"


def _backward(rule: Blur, g: Genome) -> Iterator[str]:
    additive = rule.backward_update == "additive"
    mu = g.eta * g.mu if additive else g.mu
    own = "" if rule.tied else r"\overleftarrow{w}_{ij}"
    for c in range(rule.states):
        weight = _weight(rule, c, own or "w_{ji}")
        scale = _rescaled(rule, g, rf"\sqrt{{\sum_j ({weight})^2}}")
        sent = linear(mu[c], _states(rule, "a_j"))
        yield rf"v_i^{{{c}}} &= {_gate(rule, g, c, 'i')}{scale}\sum_j {weight} {within(sent)}"
    for c in range(rule.states):
        a, v = f"a_i^{{{c}}}", f"v_i^{{{c}}}"
        keep = number(float(g.f))
        if additive:
            drive = f"{times(g.f, a)} + {v}"
        elif rule.backward_update == "multiplicative" or c > 0:
            drive = rf"{keep}\,{a}\,{v}"
        else:
            drive = rf"{keep}\,{a}"
        yield rf"u_i^{{{c}}} &= {drive}"
    for c in range(rule.states):
        yield from _normalized(g.backward_mean, g.backward_deviation, c, "")
    u = r"\hat u_i" if rule.normalizes_backward else "u_i"
    for c in range(rule.states):
        argument = f"{u}^{{{c}}}"
        yield rf"a_i^{{{c}}} &\leftarrow {_activation(rule.backward_activation, c, argument)}"


def _synapses(rule: Blur, g: Genome) -> Iterator[str]:
    count = 1 if rule.single_state else rule.states
    symmetric = rule.symmetric
    mean = r"\Bigl\langle" if rule.reduction == "mean" else r"\sum_{\text{batch}}"
    end = r"\Bigr\rangle" if rule.reduction == "mean" else ""
    before = r" && \text{with } a_i \text{ of the forward pass}" if rule.forward_presynaptic else ""
    for c in range(count):
        pre = within(linear(g.nu_tilde[:, c], _states(rule, "a_i")))
        post = within(linear(g.eta_tilde * g.mu_tilde[c], _states(rule, "a_j")))
        yield rf"\varphi_{{ji}}^{{{c}}} &= {mean} {pre} {post} {end}{before}"
    if not symmetric:
        for c in range(count):
            pre = within(linear(g.nu_tilde[:, c], _states(rule, "a_j")))
            post = within(linear(g.eta_tilde * g.mu_tilde[c], _states(rule, "a_i")))
            yield rf"\psi_{{ij}}^{{{c}}} &= {mean} {pre} {post} {end}"
    keep = 1.0 if g.f_tilde is None else float(g.f_tilde)
    separate = not rule.tied
    for c in range(count):
        yield _next(rule, g, keep, _weight(rule, c), rf"\varphi_{{ji}}^{{{c}}}", "i", "j")
        if separate:
            change = rf"\varphi_{{ji}}^{{{c}}}" if symmetric else rf"\psi_{{ij}}^{{{c}}}"
            backward = _weight(rule, c, r"\overleftarrow{w}_{ij}")
            yield _next(rule, g, keep, backward, change, "j", "i")


def _next(rule: Blur, g: Genome, keep: float, w: str, change: str, sender: str, at: str) -> str:
    """Return a synapse's next value; Oja's sums run over the senders, its activity is `at` one."""
    text = f"{times(keep, w)} + {change}"
    multiplier = 1.0 if g.oja_multiplier is None else float(g.oja_multiplier)
    squares = rf"\sum_{{{sender}}} ({w})^2"
    along = rf"\sum_{{{sender}}} {w} {change}"
    if rule.oja is not None:
        form, extra = rule.oja.form, rule.oja.extra
        if form == "relative":
            text += " - " + times(extra, rf"{w} \frac{{{along}}}{{{squares}}}")
        elif form == "full":
            text += f" - {times(extra * (keep - 1), f'{w} {squares}')}"
            text += f" - {times(extra, f'{w} {along}')}"
        elif form == "first":
            text += f" - {times(extra * (keep - 1) * multiplier, f'{w} {squares}')}"
        else:
            rate = extra * abs(float(g.eta_tilde)) * abs(multiplier)
            mixed = rf"\bigl(\sum_d \tilde\mu^{{cd}} a_{at}^d\bigr)^2"
            mean = rf"\langle {mixed} \rangle" if rule.reduction == "mean" else rf"\sum {mixed}"
            text += f" - {times(rate, f'{w} ' + (squares if form == 'weights' else mean))}"
    if rule.saturation is not None:
        assert g.saturation is not None
        rate = number(rule.saturation.epsilon + abs(float(g.saturation)))
        if rule.saturation.form == "tanh":
            text = rf"{rate} \tanh\left(\frac{{{text}}}{{{rate}}}\right)"
        else:
            step = text if keep != 1.0 else text.removeprefix(f"{w} + ")
            step = step if keep == 1.0 else f"{step} - {w}"
            text = rf"{w} + e^{{-{rate} |{w}|}} \left({step}\right)"
    return rf"{w} &\leftarrow {text}"
