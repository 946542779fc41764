"""`advise`: which method suits a meta-gradient, by rules that are stated here."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

from hebbax.doctor._memory import spelt_bytes

EXPLODES = 1000.0
"""A gradient whose norm grows by more than this factor over a lifetime explodes.

It still grows by ten or so in a rule that merely learns for longer.
"""
LOST = 0.1
"""Share of episodes without a finite gradient, above which the rest misrepresent the whole."""
NOISIER = 2.0
"""How many times the variance of reverse mode must exceed the evolution strategy's.

Both are estimates of a few dozen samples.
"""
SHARE = 0.5
"""Share of the memory there is that the temporaries of a meta-step may take."""
FAITHFUL = 0.9
"""Cosine with the gradient not cut, from which on truncations follow it well enough."""
TRUSTED = 0.1
"""Finite differences that agree no better with each other say nothing of the gradient."""
WRONG = 0.25
"""Relative difference from trusted finite differences, above which a gradient is wrong."""
LONG = 20
"""Lifetimes longer than this are cut for an evolution strategy too, which then is PES."""

Method = Literal["Gradient", "TruncatedGradient", "EvolutionStrategy", "PersistentES"]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The numbers that a decision is made from; NaN where one could not be measured.

    **Fields:**

    - `lifetime`: updates in a lifetime.
    - `growth`: of the gradient's norm, in nats per update.
    - `nonfinite`, `snr`: at the lifetime, as in `Measurement`.
    - `flat`: whether the mean gradient is exactly zero.
    - `es_ratio`: the evolution strategy's variance at the same cost over reverse mode's.
    - `fd`: relative difference from finite differences and the latter's own relative error, for
      each length up to the lifetime.
    - `truncation`: cosine of truncated gradients with those not cut, by their length.
    - `memory`, `limit`: bytes of temporaries of a meta-step, at most, and bytes that there are.
    - `segments`: whether memory is as little as rematerialisation can make it.
    """

    lifetime: int
    growth: float
    nonfinite: float
    snr: float
    flat: bool
    es_ratio: float
    fd: tuple[tuple[float, float], ...]
    truncation: Mapping[int, float]
    memory: int
    limit: int | None
    segments: bool

    @property
    def factor(self) -> float:
        """By how much the gradient's norm grows over a lifetime."""
        return math.exp(min(self.growth * self.lifetime, 700.0))


@dataclasses.dataclass(frozen=True)
class Advice:
    """Which method to use.

    **Fields:**

    - `method`: its name in `hebbax.methods`.
    - `truncation`: updates in each of its truncations, or None if it has none.
    - `decision`: the finding that decided.
    - `findings`: all others, for and against.
    """

    method: Method
    truncation: int | None
    decision: str
    findings: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What to do, in a sentence."""
        name = f"hebbax.methods.{self.method}"
        if self.method == "Gradient":
            return f"Take the plain gradient through the whole unroll: {name}."
        if self.method == "TruncatedGradient":
            return f"Take truncation: {name} with truncation={self.truncation}."
        if self.method == "EvolutionStrategy":
            return f"Take an evolution strategy: {name}."
        return f"Take a persistent evolution strategy: {name} with truncation={self.truncation}."


def advise(evidence: Evidence) -> Advice:
    """Choose a method. The first of these rules that applies decides.

    1. The gradient is zero, or wrong, for it differs by more than `WRONG` from finite differences
       that agree with each other to `TRUSTED`: an evolution strategy, which needs none.
    2. More than `LOST` of the episodes have no finite gradient, or its norm grows by more than
       `EXPLODES` over a lifetime: an evolution strategy.
    3. It has more than `NOISIER` times the variance of an evolution strategy at the same cost: an
       evolution strategy.
    4. A meta-step needs more than `SHARE` of the memory: truncation, at the shortest length whose
       cosine with the gradient not cut is `FAITHFUL`; if there is none, an evolution strategy.
    5. Otherwise: the plain gradient through the whole unroll.

    The evolution strategy is persistent (PES) where lifetimes are longer than `LONG`, so that
    meta-steps stay short.
    """
    checks = [_wrong, _explodes, _noisy, _too_large]
    findings = [check(evidence) for check in checks]
    decisive = next((i for i, (against, _) in enumerate(findings) if against), None)
    texts = [text for _, text in findings if text] + [_truncation(evidence)]
    if decisive is None:
        return Advice("Gradient", None, "Nothing measured speaks against it.", tuple(texts))
    decision = findings[decisive][1]
    others = tuple(text for text in texts if text != decision)
    faithful = [k for k, cosine in sorted(evidence.truncation.items()) if cosine >= FAITHFUL]
    if checks[decisive] is _too_large and faithful:
        return Advice("TruncatedGradient", faithful[0], decision, others)
    if evidence.lifetime <= LONG:
        return Advice("EvolutionStrategy", None, decision, others)
    return Advice("PersistentES", _tenth(evidence.lifetime), decision, others)


def _wrong(evidence: Evidence) -> tuple[bool, str]:
    trusted = [apart for apart, error in evidence.fd if error <= TRUSTED]
    if evidence.flat:
        return True, (
            "The gradient is exactly zero: this objective, or the rule, has none to follow."
        )
    if not trusted:
        return False, (
            "Finite differences are too rough to check the gradient: the loss is rugged or "
            "hardly changes with θ."
        )
    worst = max(trusted)
    if not worst <= WRONG:
        return True, (
            f"The gradient is wrong: it differs by {worst:.0%} from finite differences that agree "
            f"with each other to {TRUSTED:.0%}. A rule or objective with a derivative of its own "
            f"would explain it, or a part that has none, or a loss too rugged to differentiate."
        )
    to = f"{worst:.1%}" if worst >= 0.001 else "0.1% or better"
    return False, f"The gradient agrees with finite differences to {to}."


def _explodes(evidence: Evidence) -> tuple[bool, str]:
    over = f"over a lifetime of {evidence.lifetime} updates"
    if evidence.nonfinite > LOST:
        return True, (
            f"{evidence.nonfinite:.0%} of the episodes have no finite gradient {over} "
            f"(more than {LOST:.0%} misrepresent the rest)."
        )
    if math.isnan(evidence.growth):
        return False, ""
    each = math.exp(min(evidence.growth, 700.0))
    grows = (
        f"The gradient's norm changes by a factor of {_factor(each)} "
        f"per update, {_factor(evidence.factor)} {over}"
    )
    if evidence.factor > EXPLODES:
        return True, f"{grows}: it explodes (bound: {EXPLODES:,.0f})."
    return False, f"{grows}: it does not explode (bound: {EXPLODES:,.0f})."


def _noisy(evidence: Evidence) -> tuple[bool, str]:
    if math.isnan(evidence.es_ratio):
        return False, ""
    if math.isnan(evidence.snr):
        signal = ""
    elif evidence.snr > 0:
        signal = f" One episode's signal-to-noise ratio is {evidence.snr:.2g}."
    else:
        signal = " One episode's signal-to-noise ratio is too low for these episodes to tell."
    if evidence.es_ratio * NOISIER < 1:
        return True, (
            f"The gradient is noisy: an evolution strategy at the same cost has "
            f"{_factor(evidence.es_ratio)} times its variance (bound: {1 / NOISIER:.2g}).{signal}"
        )
    return False, (
        f"An evolution strategy at the same cost has {_factor(evidence.es_ratio)} times the "
        f"variance (it would be the better one below {1 / NOISIER:.2g}).{signal}"
    )


def _too_large(evidence: Evidence) -> tuple[bool, str]:
    need = (
        f"A meta-step needs at most {spelt_bytes(evidence.memory)} for what it computes on the way"
    )
    if evidence.limit is None:
        return False, f"{need}; how much memory there is is not known here."
    there = f"of {spelt_bytes(evidence.limit)}"
    if evidence.memory <= SHARE * evidence.limit:
        return False, f"{need}, {there}."
    remedy = "" if evidence.segments else " Try the objective's remat='segments' first."
    return True, f"{need}, {there}: more than {SHARE:.0%}.{remedy}"


def _truncation(evidence: Evidence) -> str:
    if not evidence.truncation:
        return "No length was examined that divides the lifetime: nothing is known of truncation."
    k, cosine = max(evidence.truncation.items(), key=lambda item: item[1])
    faithful = [n for n, c in sorted(evidence.truncation.items()) if c >= FAITHFUL]
    if faithful:
        return (
            f"Truncations of {faithful[0]} updates follow the gradient that is not cut with a "
            f"cosine of {evidence.truncation[faithful[0]]:.2f} (enough: {FAITHFUL}); they would "
            f"make {evidence.lifetime / faithful[0]:.2g} times the meta-steps of the same work."
        )
    return (
        f"Truncation is biased: the best, of {k} updates, has a cosine of {cosine:.2f} with the "
        f"gradient that is not cut (enough: {FAITHFUL})."
    )


def _tenth(lifetime: int) -> int:
    """Return the longest truncation of at most a tenth of a lifetime that divides it."""
    return max(n for n in range(1, max(lifetime // 10, 1) + 1) if lifetime % n == 0)


def _factor(value: float) -> str:
    if value < 10:
        return f"{value:.4g}"
    return f"{value:,.0f}" if value < 1e6 else f"{value:.2g}"
