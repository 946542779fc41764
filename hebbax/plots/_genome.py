"""Pictures of what was found: a genome of BLUR as a labelled diagram."""

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from hebbax.plots._curves import GRID, INK, Picture
from hebbax.rules import AbstractRule, Blur
from hebbax.rules.blur import Genome

# Okabe and Ito's blue and vermilion.
POSITIVE, NEGATIVE = "#0072B2", "#D55E00"
PALE = "#F5F5F5"
MOST_LABELLED = 3
"""States up to which every arrow has room for its number."""
WIDEST = 4.0
"""Width in points of the arrow of the largest number of a matrix."""

Matrix = Float[np.ndarray, "to from_"]


def genome_diagram(
    rule: Blur, theta: Genome, *, layer: int | None = None, title: str | None = None
) -> Figure:
    """Draw the states, transforms and gates of a genome.

    Three panels: how the states of a sending neuron mix into those of a receiving one in the
    forward pass (ν, BLUR eq. 5), how they mix on the way back (μ, eq. 6), and how the states of the
    two neurons at a synapse change its states (ν̃ and μ̃, eq. 7). An arrow is as wide as its number
    is large beside the largest of its matrix; blue is positive, red negative, and what is exactly
    zero has no arrow. Under each panel stand the gates and what else takes part.

    **Arguments:**

    - `rule`, `theta`: a `Blur` and its genome.
    - `layer`: which synapse layer's genome, counted from 0 at the input, where each has its own;
      None where all share one.

    **Raises:** `ValueError` for a rule of another family, or a layer that there is not.
    """
    if not isinstance(rule, Blur):
        raise ValueError(f"rule must be a Blur, whose θ is a genome; got {_kind(rule)}.")
    numbers = _numbers(rule, theta, layer)
    k = rule.states
    height = 1.7 + 0.75 * k
    figure = Picture(figsize=(11.5, height + 1.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15)  # pyright: ignore
    panels = figure.subplots(1, 3, width_ratios=(1, 1, 1.4))
    forward, backward, synapse = panels
    words = ["activity", "feedback", *(f"state {i}" for i in range(2, k))]
    upwards, downwards = numbers["nu"], numbers["mu"]

    _frame(forward, "Forward pass: ν", k)
    _neuron(forward, 0.0, "sender (below)", k, words)
    _neuron(forward, 1.0, "receiver (above)", k)
    _arrows(forward, upwards, 0.0, 1.0)
    _caption(forward, *_forward_words(rule, numbers))

    _frame(backward, "Backward pass: μ", k)
    _neuron(backward, 0.0, "receiver (below)", k)
    _neuron(backward, 1.0, "sender (above)", k)
    _arrows(backward, downwards, 1.0, 0.0)
    _caption(backward, *_backward_words(rule, numbers))

    used = 1 if rule.single_state else k
    _frame(synapse, "Change of a synapse: ν̃ (left) times μ̃ (right)", k, width=2.0)
    _neuron(synapse, 0.0, "presynaptic neuron", k)
    _synapse(synapse, 1.0, used, k)
    _neuron(synapse, 2.0, "postsynaptic neuron", k)
    _arrows(synapse, numbers["nu_tilde"].T[:used], 0.0, 1.0, rows=k)
    _arrows(synapse, numbers["mu_tilde"][:used], 2.0, 1.0, rows=k)
    _caption(synapse, *_synapse_words(rule, numbers))
    figure.suptitle(title or "A genome", fontsize=12, color=INK)
    return figure


def _kind(rule: AbstractRule) -> str:
    return type(rule).__name__


def _numbers(rule: Blur, theta: Genome, layer: int | None) -> dict[str, Any]:
    """Return the arrays of one layer's genome by name; None for what the options do not use."""
    layers = rule.layer_genomes
    if layers is None and layer is not None:
        raise ValueError(f"layer must be None, for all layers share one genome; got {layer}.")
    if layers is not None and (layer is None or not 0 <= layer < layers):
        raise ValueError(f"layer must be from 0 to {layers - 1}; got {layer}.")
    fields = {name: getattr(theta, name) for name in theta.__dataclass_fields__}
    return {
        name: None if array is None else np.asarray(array if layer is None else array[layer])
        for name, array in fields.items()
    }


def _frame(axes: Axes, title: str, k: int, width: float = 1.0) -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.set(xlim=(-0.32, width + 0.32), ylim=(0.55 - k, 0.75), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _neuron(axes: Axes, x: float, name: str, k: int, words: list[str] | None = None) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - 0.14, 0.62 - k), 0.28, k - 0.24, boxstyle="round,pad=0.02,rounding_size=0.08",
            facecolor=PALE, edgecolor=GRID, linewidth=1.0, zorder=1,
        )
    )  # fmt: skip
    axes.text(x, 0.5, name, ha="center", va="bottom", fontsize=9, color=INK)
    for state in range(k):
        _node(axes, x, state)
        if words is not None:
            axes.text(
                x - 0.17, -state, words[state], ha="right", va="center", fontsize=8, color=INK
            )


def _synapse(axes: Axes, x: float, used: int, k: int) -> None:
    axes.text(x, 0.5, "synapse", ha="center", va="bottom", fontsize=9, color=INK)
    for state in range(used):
        y = _row(state, used, k)
        axes.add_patch(
            FancyBboxPatch(
                (x - 0.08, y - 0.16), 0.16, 0.32, boxstyle="round,pad=0.01,rounding_size=0.02",
                facecolor="white", edgecolor=INK, linewidth=1.2, zorder=4,
            )
        )  # fmt: skip
        axes.text(x, y, f"w{state}" if used > 1 else "w", ha="center", va="center", fontsize=9,
                  color=INK, zorder=5)  # fmt: skip


def _row(state: int, used: int, k: int) -> float:
    """Return the height of a state; a single one of a synapse lies in the middle."""
    return float(-state) if used == k else -(k - 1) / 2


def _node(axes: Axes, x: float, state: int) -> None:
    # A marker is round whatever the panel's size.
    axes.plot(
        x, -state, "o", markersize=15, markerfacecolor="white", markeredgecolor=INK,
        markeredgewidth=1.2, zorder=4,
    )  # fmt: skip
    axes.text(x, -state, str(state), ha="center", va="center", fontsize=9, color=INK, zorder=5)


def _arrows(axes: Axes, matrix: Matrix, start: float, end: float, rows: int | None = None) -> None:
    """Draw `matrix[to, from]` as arrows between two columns of states."""
    receivers, senders = matrix.shape
    k = senders if rows is None else rows
    largest = np.abs(matrix).max()
    if not largest:
        return
    reach = 0.12 if end > start else -0.12
    for to in range(receivers):
        for sender in range(senders):
            value = float(matrix[to, sender])
            if value == 0:
                continue
            share = abs(value) / largest
            a = np.array([start + reach, -sender])
            b = np.array([end - reach, _row(to, receivers, k)])
            colour = POSITIVE if value > 0 else NEGATIVE
            axes.add_patch(
                FancyArrowPatch(
                    tuple(a), tuple(b), arrowstyle="-|>", mutation_scale=7 + 5 * share,
                    linewidth=0.6 + (WIDEST - 0.6) * share, color=colour,
                    alpha=0.35 + 0.6 * share, shrinkA=0, shrinkB=2, zorder=2,
                )
            )  # fmt: skip
            if k <= MOST_LABELLED:
                # A third of the way: arrows have not crossed yet.
                place = a + (0.3 if k == 2 else 0.24) * (b - a)
                axes.text(
                    place[0], place[1], f"{value:+.2f}", fontsize=7.5, color=colour, ha="center",
                    va="center", zorder=6,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
                )  # fmt: skip


def _caption(axes: Axes, *lines: str) -> None:
    axes.set_xlabel("\n".join(lines), fontsize=8.5, color=INK, linespacing=1.5, labelpad=8)


def _forward_words(rule: Blur, numbers: dict[str, Any]) -> list[str]:
    lines = [
        f"a ← σ(η Σ w ν a),   η = {_one(numbers['eta'])}",
        f"σ: {_spelt(rule.forward_activation)}",
        f"σ of the last layer: {_spelt(rule.last_activation)}",
    ]
    if rule.persistent is not None:
        lines.append(f"neurons keep f a of the update before,   f = {_one(numbers['f'])}")
    if numbers["noise"] is not None:
        lines.append(f"noise {', '.join(_one(abs(s)) for s in numbers['noise'])}")
    return lines + _normal(numbers, "forward")


def _backward_words(rule: Blur, numbers: dict[str, Any]) -> list[str]:
    f, eta = _one(numbers["f"]), _one(numbers["eta"])
    first = {
        "additive": f"a ← σ(f a + η Σ w μ a),   f = {f},   η = {eta}",
        "multiplicative": f"a ← σ(f a · Σ w μ a),   f = {f}",
        "multiplicative_second_state": f"a ← σ(f a · Σ w μ a), state 0 ← σ(f a),   f = {f}",
    }[rule.backward_update]
    lines = [first, f"σ: {_spelt(rule.backward_activation)}", f"feedback: {rule.feedback}"]
    if numbers["regulation"] is not None:
        lines.append("neurons gate what arrives by their own states")
    return lines + _normal(numbers, "backward")


def _synapse_words(rule: Blur, numbers: dict[str, Any]) -> list[str]:
    keep = "1, fixed" if numbers["f_tilde"] is None else _one(numbers["f_tilde"])
    over = "mean" if rule.reduction == "mean" else "sum"
    lines = [
        f"w ← f̃ w + η̃ · {over} of (ν̃ a)(μ̃ a),   f̃ = {keep},   η̃ = {_one(numbers['eta_tilde'])}"
    ]
    oja = "" if rule.oja is None else rule.oja.form
    saturation = "" if rule.saturation is None else rule.saturation.form
    further = {
        "oja_multiplier": f"Oja ({oja})",
        "saturation": f"saturation ({saturation})",
        "rescale": "norm of a unit's synapses",
        "synapse_gain": "factor on initial synapses",
    }
    found = [f"{word} {_one(numbers[n])}" for n, word in further.items() if numbers[n] is not None]
    if rule.oja is not None and numbers["oja_multiplier"] is None:
        found.insert(0, f"Oja's term ({oja})")
    if rule.symmetric:
        found.append("the backward pass reads the same synapses")
    if numbers["forward_eta_tilde"] is not None:
        found.append(f"in the forward pass too, η̃ = {_one(numbers['forward_eta_tilde'])}")
    return lines + found


def _normal(numbers: dict[str, Any], name: str) -> list[str]:
    mean, deviation = numbers[f"{name}_mean"], numbers[f"{name}_deviation"]
    if mean is None:
        return []
    return [f"normalised to means {_many(mean)}", f"and deviations {_many(deviation)}"]


def _spelt(activation: str) -> str:
    return activation.replace("_and_derivative", " and its derivative").replace("_", " ")


def _one(value: Any) -> str:
    value = float(value)
    return f"{value:+.2f}" if value == 0 or abs(value) >= 0.1 else f"{value:+.2g}"


def _many(values: np.ndarray) -> str:
    return "(" + ", ".join(f"{float(v):.2f}" for v in values) + ")"
