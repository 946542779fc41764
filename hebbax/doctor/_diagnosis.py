"""`diagnose`: whether the meta-gradient of a rule can be trusted, against the unroll length.

Reverse mode through a long unroll can explode, drown in its own variance, or need more memory
than there is (Metz et al. 2019, "Understanding and correcting pathologies in the training of
learned optimizers"); truncation is biased, and evolution strategies are noisy in many dimensions.
Which is the lesser evil depends on rule, θ, task and length: here it is measured.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import PRNGKeyArray, PyTree

from hebbax.doctor._advice import SHARE, Advice, Evidence, advise
from hebbax.doctor._memory import device_memory
from hebbax.doctor._probing import Factory, Probe, Prober, Sampling, episode_of
from hebbax.outer import MetaTraining, Problem, as_training
from hebbax.outer.methods import Gradient
from hebbax.rules import AbstractRule

PASSES = 4
"""Passes forward that one gradient through a rematerialised unroll costs.

One forward, one again, and a backward one that costs about two. An antithetic pair costs two.
"""

SPLITS = 64
"""Random choices of episodes that a cosine of halves is the mean of."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The meta-gradient of lifetimes of one length. What could not be measured is NaN.

    **Fields:**

    - `unroll`: updates in a lifetime.
    - `loss`: mean over the episodes.
    - `norm`: of the mean gradient; `rms_norm`: root mean square of the episodes' norms.
    - `variance`: of one episode's gradient, summed over θ.
    - `snr`: signal-to-noise ratio of one episode, the squared norm of the mean (less what noise
      adds to it) over the variance. Its inverse is how many episodes make noise equal to signal.
    - `half_cosines`: pairs (n, mean cosine between the mean gradients of n episodes and of n
      others), for n of 1, 2, 4, … up to half of the episodes. A direction is worth following from
      that n on at which this is well above 0; without more signal, n/(n + 1/`snr`) is expected.
    - `nonfinite`: share in [0, 1] of episodes whose loss or gradient is not finite; these are
      left out of all else.
    - `fd_cosine`, `fd_difference`: cosine between directional derivatives by reverse mode and by
      central differences on the same episodes, and the norm of their difference over that of the
      latter; both at the step where they agree best, `fd_step`.
    - `fd_error`: the same measure of the difference between central differences of two
      neighbouring steps, where it is least: how far these can be trusted at best.
    - `es_cosine`: as `fd_cosine`, but with the evolution strategy's pairs, whose steps are long:
      low where the loss is rough on the scale of its noise.
    - `es_variance`: of the evolution strategy's estimate at the cost of one gradient.
    - `truncation_cosine`: cosine between the gradients of the mean loss of all truncations of so
      many updates in a lifetime, cut at each of them and not cut: 1 means no bias.
    - `compile_seconds`, `seconds`: to compile what was not yet compiled, and to run it.
    """

    unroll: int
    loss: float
    norm: float
    rms_norm: float
    variance: float
    snr: float
    half_cosines: tuple[tuple[int, float], ...]
    nonfinite: float
    fd_cosine: float
    fd_difference: float
    fd_error: float
    fd_step: float
    es_cosine: float
    es_variance: float
    truncation_cosine: float
    compile_seconds: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found.

    **Fields:**

    - `measurements`: one for each unroll length, shortest first.
    - `lifetime`: updates in a lifetime of the objective.
    - `growth`: exponential rate of the gradient's norm, in nats per update; see `growth_rate`.
    - `advice`: what to use and why.
    - `sampling`: how much was sampled.
    - `numbers`: how many numbers θ holds.
    """

    measurements: tuple[Measurement, ...]
    lifetime: int
    growth: float
    advice: Advice
    sampling: Sampling
    numbers: int

    def at(self, unroll: int) -> Measurement:
        """Return the measurement at an unroll length. **Raises:** `KeyError` if there is none."""
        return {m.unroll: m for m in self.measurements}[unroll]


def diagnose(
    rule: AbstractRule | MetaTraining,
    theta: PyTree,
    *others: Any,
    unrolls: Sequence[int] | None = None,
    sampling: Sampling | None = None,
    key: PRNGKeyArray | None = None,
    listener: Callable[[Measurement], None] | None = None,
    **settings: Any,
) -> Diagnosis:
    """Measure the meta-gradient at θ against unroll length, and say which method suits it.

    **Arguments:**

    - `rule`, `family`, `objective`, `hidden`, `tasks`, `runs`: as in `hebbax.meta_train`, as in
      `diagnose(rule, theta, family, objective, hidden=…)`; or a `MetaTraining` in the place of
      `rule` and of them all, whose other settings do not matter. Of a `Curriculum` the longest
      stage is taken. The objective's `steps` are replaced by each length.
    - `theta`: meta-parameters.
    - `unrolls`: lengths to measure; `series(objective.steps)` by default. The objective's own is
      always among them, for the advice is about it.
    - `sampling`: how much is sampled at each.
    - `key`: decides episodes and directions; that of seed 0 by default.
    - `listener`: is told of every measurement as soon as it is there.

    One program is compiled for all lengths and one for each truncation of the lifetime, which is
    most of the time for small networks. An objective that cannot pass over updates needs one for
    each length too.

    **Raises:** `ValueError` for settings out of range.
    """
    if not isinstance(rule, MetaTraining):
        # Nothing takes meta-steps here, whatever the method.
        still = {"method": Gradient(optax.identity()), "steps": 1, "key": jax.random.key(0)}
        settings = {**settings, **still}
    training = as_training(rule, *others, **settings)
    training.check_alone()
    objective = training.course.at(int(np.argmax(training.course.unrolls)))

    def make(families: Any, unroll: int) -> Problem:
        judged = dataclasses.replace(objective, steps=unroll)
        return Problem(training.rule, families, judged, training.units, training.tasks)

    return diagnose_problem(
        make, training.all_families, theta, objective.steps, runs=training.runs, unrolls=unrolls,
        sampling=sampling, key=key, listener=listener, segments=objective.remat == "segments",
        together=objective.skips,
    )  # fmt: skip


def diagnose_problem(
    make: Factory,
    data: PyTree,
    theta: PyTree,
    lifetime: int,
    *,
    runs: int = 1,
    unrolls: Sequence[int] | None = None,
    sampling: Sampling | None = None,
    key: PRNGKeyArray | None = None,
    listener: Callable[[Measurement], None] | None = None,
    segments: bool = False,
    together: bool = True,
) -> Diagnosis:
    """`diagnose` for any problem.

    **Arguments** beside those of `diagnose`:

    - `make`, `data`: `make(data, unroll)`, called inside a compiled function, is the problem with
      lifetimes of so many updates.
    - `lifetime`: the length that the advice is about.
    - `segments`: whether its unrolls keep as little as can be already.
    - `together`: whether it can pass over updates, the argument `taken` of `advance`.
    """
    sampling = Sampling() if sampling is None else sampling
    lengths = series(lifetime) if unrolls is None else tuple(sorted({*unrolls, lifetime}))
    if lengths[0] < 1:
        raise ValueError(f"unrolls must be at least 1; got {lengths[0]}.")
    key = jax.random.key(0) if key is None else key
    longest = lengths[-1] if together else 0
    prober = Prober(make, data, theta, longest, sampling, key)
    # Unless asked for, truncations shorter than a tenth are not measured: each is compiled for.
    shortest = 1 if unrolls is not None else lifetime / 10
    measurements = []
    for length in lengths:
        cosine = math.nan
        if shortest <= length < lifetime and lifetime % length == 0:
            cosine = _mean_cosine(*prober.truncations(length, lifetime))
        measurements.append(summarise(length, prober.probe(length), sampling, cosine))
        if listener is not None:
            listener(measurements[-1])
    growth = growth_rate([m.unroll for m in measurements], [m.rms_norm for m in measurements])
    own = next(m for m in measurements if m.unroll == lifetime)
    each = device_memory()
    limit = None if each is None else each * jax.local_device_count()
    enough = math.inf if limit is None else SHARE * limit / runs
    evidence = Evidence(
        lifetime=lifetime,
        growth=growth,
        nonfinite=own.nonfinite,
        snr=own.snr,
        flat=own.norm == 0,
        es_ratio=own.es_variance / own.variance if own.variance > 0 else math.nan,
        fd=tuple((m.fd_difference, m.fd_error) for m in measurements if m.unroll <= lifetime),
        truncation={
            m.unroll: m.truncation_cosine
            for m in measurements
            if math.isfinite(m.truncation_cosine)
        },
        memory=runs * prober.memory(lifetime, enough).temporaries,
        limit=limit,
        segments=segments,
    )
    numbers = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(theta))
    return Diagnosis(tuple(measurements), lifetime, growth, advise(evidence), sampling, numbers)


def series(lifetime: int) -> tuple[int, ...]:
    """Return 1, 2, 5, 10, 20, … below a lifetime, itself, and two lengths beyond it."""
    lengths, beyond, scale = {lifetime}, 0, 1
    while beyond < 2:
        for digit in (1, 2, 5):
            if beyond < 2:
                lengths.add(scale * digit)
                beyond += scale * digit > lifetime
        scale *= 10
    return tuple(sorted(lengths))


def growth_rate(unrolls: Sequence[int], norms: Sequence[float]) -> float:
    """Return by how many nats the gradient's norm grows with every update.

    The slope of a line through the norms' logarithms, by least squares over the longer unrolls:
    from a quarter of the longest on, and three at least, for short ones grow in their own way.
    NaN if fewer than two norms are positive and finite.
    """
    points = sorted(
        (u, math.log(n)) for u, n in zip(unrolls, norms, strict=True) if 0 < n < math.inf
    )
    if len(points) < 2:
        return math.nan
    longer = [p for p in points if 4 * p[0] >= points[-1][0]]
    x, y = np.asarray(longer if len(longer) >= 3 else points[-3:]).T
    return float(np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2))


def summarise(
    unroll: int, raw: Probe, sampling: Sampling, truncation_cosine: float = math.nan
) -> Measurement:
    """Return the statistics of what was measured at one length."""
    good = np.isfinite(raw.losses) & np.isfinite(raw.gradients).all(axis=1)
    checked = episode_of(np.arange(sampling.checks), sampling)
    paired = episode_of(np.arange(sampling.pairs), sampling)
    along = raw.directions[: sampling.checks], raw.directions[sampling.checks :]
    gradients = np.where(good[:, None], raw.gradients, 0.0)
    # Where reverse mode finds no gradient, there is nothing to compare.
    analytic = np.sum(gradients[checked] * along[0], axis=1)[good[checked]]
    smooth = np.sum(gradients[paired] * along[1], axis=1)
    lived = np.isfinite(raw.pair_slopes)
    both = good[paired] & lived
    mean, variance = _moments(raw.gradients[good])
    pair_variance = _moments(raw.pair_slopes[lived, None] * along[1][lived])[1]
    signal = float(np.sum(mean**2)) - variance / max(int(good.sum()), 1)
    cosine, difference, error, step = _finite_differences(
        analytic, raw.check_slopes[:, good[checked]], raw.spacings
    )
    return Measurement(
        unroll=unroll,
        loss=float(np.mean(raw.losses[good])) if good.any() else math.nan,
        norm=float(np.linalg.norm(mean)),
        rms_norm=float(np.sqrt(np.mean(np.sum(raw.gradients[good] ** 2, axis=1))))
        if good.any()
        else math.nan,
        variance=variance,
        snr=max(signal, 0.0) / variance if variance > 0 else math.inf if signal > 0 else math.nan,
        half_cosines=split_halves(raw.gradients[good]),
        nonfinite=1 - float(good.mean()),
        fd_cosine=cosine,
        fd_difference=difference,
        fd_error=error,
        fd_step=step,
        es_cosine=_cosine(smooth[both], raw.pair_slopes[both]),
        es_variance=pair_variance * 2 / PASSES,
        truncation_cosine=truncation_cosine,
        compile_seconds=raw.compile_seconds,
        seconds=raw.seconds,
    )


def _moments(rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean of rows, and their unbiased variance summed over the columns."""
    if len(rows) < 2:
        return np.full(rows.shape[1], math.nan), math.nan
    return rows.mean(axis=0), float(np.sum(rows.var(axis=0, ddof=1)))


def split_halves(rows: np.ndarray) -> tuple[tuple[int, float], ...]:
    """Return for n of 1, 2, 4, … the mean cosine between means of n rows and of n others.

    Each is the mean over `SPLITS` random choices of rows, the same in every call.
    """
    random = np.random.default_rng(0)
    found, count = [], 1
    while 2 * count <= len(rows):
        cosines = []
        for _ in range(SPLITS):
            order = random.permutation(len(rows))
            halves = rows[order[:count]], rows[order[count : 2 * count]]
            cosines.append(_cosine(*(half.mean(axis=0) for half in halves)))
        found.append((count, float(np.mean(cosines))))
        count *= 2
    return tuple(found)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cosine of two vectors; 0 if one of them is zero, NaN if both are or are empty."""
    norms = np.linalg.norm(a), np.linalg.norm(b)
    if not all(map(math.isfinite, norms)) or norms == (0, 0):
        return math.nan
    return float(np.sum(a / norms[0] * (b / norms[1]))) if min(norms) > 0 else 0.0


def _mean_cosine(cut: np.ndarray, through: np.ndarray) -> float:
    good = np.isfinite(cut).all(axis=1) & np.isfinite(through).all(axis=1)
    return _cosine(cut[good].mean(axis=0), through[good].mean(axis=0)) if good.any() else math.nan


def _finite_differences(
    analytic: np.ndarray, slopes: np.ndarray, spacings: np.ndarray
) -> tuple[float, float, float, float]:
    """Return cosine and relative difference at the step of best agreement, own error, that step.

    A right gradient agrees at some step: a longer one meets the curvature, or the ripples of a
    rugged loss, a shorter one the rounding. A wrong gradient agrees at none.
    """
    cosine, least, error, best = math.nan, math.inf, math.inf, math.nan
    sizes = [float(np.linalg.norm(row)) for row in slopes]
    for index, (row, size, step) in enumerate(zip(slopes, sizes, spacings, strict=True)):
        if not 0 < size < math.inf:
            continue
        difference = float(np.linalg.norm(analytic - row)) / size
        if difference < least:
            cosine, least, best = _cosine(analytic, row), difference, float(step)
        if index and math.isfinite(sizes[index - 1]):
            error = min(error, float(np.linalg.norm(slopes[index - 1] - row)) / size)
    missing = math.nan
    return (
        cosine,
        least if math.isfinite(least) else missing,
        error if math.isfinite(error) else missing,
        best,
    )
