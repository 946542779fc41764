"""What `PlasticClassifier` and `PlasticRegressor` share: how long to learn, and from what."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree
from sklearn.utils.validation import check_is_fitted

from hebbax._options import check_option
from hebbax._programs import BRIEF
from hebbax.estimators import _learning
from hebbax.estimators._base import PlasticEstimator, check_counts
from hebbax.estimators._inputs import Scaling, measure
from hebbax.estimators._rows import Rows, deal, endless, spread
from hebbax.losses import AbstractGoal
from hebbax.networks import Units, as_units, between, numbers
from hebbax.rules import AbstractRule

PARTS = 5
"""Parts of the rows, one of which each network does not learn from but is judged by."""
JUDGED = 2048
"""Rows of a part at most that a network is judged by."""
FEWEST = 20
"""Rows at least for some of them to be held out."""
FEW_UPDATES = 50
"""Updates where there are fewer."""
LEAST, EACH, MOST = 300, 30, 10_000
"""Updates at most: some, so many for each time that all rows are seen, but no more than these."""
PATIENCE = 1.6
"""How much longer to go on learning, after the best, in the hope of better."""
FIRST_LOOKS = (1, 2, 3, 5, 7, 10)
"""Updates after which to look first, for where there is much noise few are best."""
SMALL_CHUNK = 32
"""Rows that a smaller chunk of a stream is brought to, so that there are two sizes in all."""
TOGETHER = 64
"""Rows of a stream that one call learns from, in batches one after the other."""


class Judged(NamedTuple):
    """Networks, what they were worth on what they had not seen, and what made that best.

    **Fields:** `loss`; `temperature` that predictions are divided by; `updates`; `nets`.
    """

    loss: float
    temperature: float
    updates: int
    nets: PyTree


class SupervisedEstimator(PlasticEstimator):
    """Networks side by side that learn from targets; see the estimators themselves."""

    n_networks: int
    warm_start: bool

    networks_: PyTree
    temperature_: float
    updates_: int
    n_updates_: int
    _goal: AbstractGoal
    _brief = False  # whether networks and data are so small that programs are compiled in haste
    _drawn: tuple[AbstractRule, Units, int]

    @property
    def network_(self) -> PyTree:
        """The state φ of the first network."""
        check_is_fitted(self, "networks_")
        return jax.tree.map(lambda a: a[0], self.networks_)

    def _before(self) -> PyTree | None:
        """Return the networks to go on with, if there are any and `warm_start` says so."""
        check_option("warm_start", self.warm_start, bool)
        return self.__dict__.get("networks_") if self.warm_start else None

    def _begin_supervised(self, rule: Any, before: PyTree | None = None) -> np.random.RandomState:
        """Check parameters and rule, and that networks there are `before` are such as they say.

        From here on the estimator is not fitted.
        """
        for name in ("networks_", "temperature_", "updates_", "n_updates_"):
            self.__dict__.pop(name, None)
        check_counts(n_networks=self.n_networks)
        if self.n_networks is None:
            raise ValueError("n_networks must be a positive whole number; got None.")
        random = self._begin(rule)
        kind = type(self.rule_).__name__
        if not self.rule_.learns_from_labels:
            raise ValueError(
                f"rule must learn from labels, which {kind} does not; PlasticFeatures takes it."
            )
        if not self.rule_.predicts_alone:
            raise ValueError(f"rule must predict each row by itself, which {kind} does not.")
        if before is not None and self._drawn != self._settings():
            raise ValueError(
                "rule, hidden and n_networks must stay those of the first fit, whose networks "
                "warm_start goes on with."
            )
        return random

    def _settings(self) -> tuple[AbstractRule, Units, int]:
        """Return what decides the arrays of networks."""
        return self.rule_, as_units(self.hidden), int(self.n_networks)

    def _draw(self, random: np.random.RandomState, inputs: int, outputs: int) -> PyTree:
        """Draw networks."""
        seeds = random.randint(2**31 - 1, size=int(self.n_networks)).tolist()
        sizes = between(self.hidden, inputs, outputs)
        self._drawn = self._settings()
        return _learning.draw_many(self.rule_, self.theta_, seeds, sizes)

    def _judge(self, said: np.ndarray, rows: Rows) -> tuple[float, float]:
        """Return the loss of predictions `[rows, out]` and the temperature that makes it least."""
        raise NotImplementedError(f"{type(self).__name__} must define _judge.")

    def _targets(self, rows: Rows) -> np.ndarray:
        """Return the targets `[rows, out]` that networks are told of, float32."""
        raise NotImplementedError(f"{type(self).__name__} must define _targets.")

    # Learning from a table

    def _learn_table(
        self, nets: PyTree | None, rows: Rows, strata: np.ndarray, random: np.random.RandomState
    ) -> None:
        """Learn until rows that are held out say that it is enough; keep what was best."""
        scaling = Scaling(measure(rows.x, rows.weight), self.standardize)
        x, y = scaling.apply(rows.x), self._targets(rows)
        if nets is None:
            nets = self._draw(random, x.shape[1], y.shape[1])
        count, number = int(self.n_networks), len(x)
        held = self.steps is None and number >= FEWEST
        parts = deal(strata, max(PARTS, count), random) if held else np.full(number, -1)
        every = np.arange(number)
        draws = [
            endless(every[parts != net], rows.weight[parts != net], random) for net in range(count)
        ]
        seen = [every[parts == net][:JUDGED] for net in range(count)]
        if held:
            limit = LEAST + EACH * number // self.batch_size
            limit = min(limit, MOST)
        else:
            limit = FEW_UPDATES if self.steps is None else int(self.steps)
        sizes = between(self.hidden, x.shape[1], y.shape[1])
        self._brief = limit * count * self.batch_size * numbers(sizes) <= BRIEF
        best, updates, means = Judged(math.inf, 1.0, 0, nets), 0, nets
        order = np.concatenate(seen)
        judged = Rows(rows.x[order], rows.y[order], rows.weight[order])
        while updates < limit and (not held or updates < PATIENCE * best.updates + 50):
            wanted = _next_look(updates, limit) if held else limit
            while updates < wanted:
                taken = min(_learning.IN_A_ROW, wanted - updates)
                chosen = [draw(taken * self.batch_size) for draw in draws]
                nets, means = self._learn(nets, means, updates, x, y, chosen)
                updates += taken
            if held:
                for state in (nets, means):
                    if _learning.is_finite(state):
                        loss, temperature = self._judge(self._held_out(state, x, seen), judged)
                        if loss < best.loss:
                            best = Judged(loss, temperature, updates, state)
                if not _learning.is_finite(nets):
                    break
        if not held or not best.updates:
            best = Judged(math.nan, 1.0, updates, nets)
        self._keep(best.nets, best.updates, scaling, best.temperature)

    def _learn(
        self,
        nets: PyTree,
        means: PyTree,
        done: int,
        x: np.ndarray,
        y: np.ndarray,
        rows: list[np.ndarray],
    ) -> tuple[PyTree, PyTree]:
        """Let each network learn from batches of its own rows, at most `IN_A_ROW` of them."""
        size = self.batch_size
        taken = len(rows[0]) // size
        index = np.zeros((_learning.IN_A_ROW, len(rows), size), int)
        for net, chosen in enumerate(rows):
            index[:taken, net] = chosen.reshape(taken, size)
        return self._update(nets, means, done, x[index], y[index], taken)

    def _update(
        self,
        nets: PyTree,
        means: PyTree,
        done: int,
        xs: np.ndarray,
        ys: np.ndarray,
        taken: int = 1,
    ) -> tuple[PyTree, PyTree]:
        # Arrays of NumPy: making JAX's own of them takes longer than the update of a small network.
        return _learning.learn(
            self._brief, self.rule_, self.theta_, self._goal, nets, means,
            np.asarray(done, np.int32), np.asarray(xs), np.asarray(ys), np.asarray(taken, np.int32),
        )  # fmt: skip

    def _held_out(self, nets: PyTree, x: np.ndarray, seen: list[np.ndarray]) -> np.ndarray:
        """Return what each network says of its own rows, of one network after the other."""
        most = max(map(len, seen))
        # Shorter ones are filled up with the first row of all.
        index = np.stack([np.pad(rows, (0, most - len(rows))) for rows in seen])
        said = self._said(nets, x[index])
        return np.concatenate([s[: len(rows)] for s, rows in zip(said, seen, strict=True)])

    def _said(self, nets: PyTree, x: np.ndarray) -> np.ndarray:
        """Return what networks say of rows `[networks, rows, in]`, float64."""

        def say(piece: Any) -> Any:
            return _learning.predict(self._brief, self.rule_, self.theta_, nets, piece)

        return _learning.in_pieces(say, x, axis=1).astype(np.float64)

    def _mean(self, X: Any) -> np.ndarray:
        """Return the mean of what all networks say, `[n, out]`."""
        check_is_fitted(self, "networks_")
        x = self._standardized(X)
        everywhere = np.broadcast_to(x, (self._count(), *x.shape))
        return self._said(self.networks_, everywhere).mean(axis=0) / self.temperature_

    def _count(self) -> int:
        return len(jax.tree.leaves(self.networks_)[0])

    def _keep(
        self, nets: PyTree, updates: int, scaling: Scaling, temperature: float, before: int = 0
    ) -> None:
        """Keep what was learned if it is finite, of networks that had had `before` updates."""
        _learning.check_finite(nets, updates, self._found)
        self.networks_, self.temperature_, self._scaling = nets, temperature, scaling
        self.updates_ = self.n_updates_ = updates
        self._warn_of_length(before, updates)

    # Learning from a stream

    def _check_chunk(self, weight: np.ndarray) -> None:
        """Refuse rows of so few that count anything; none at all are taken, and nothing learnt."""
        least, count = self.rule_.least_batch, int((weight > 0).sum())
        if 0 < count < least:
            raise ValueError(
                f"X must hold at least {least} rows for each call of partial_fit, for this "
                f"{type(self.rule_).__name__} learns nothing from fewer; got {count} sample(s)"
                f"{'' if count == len(weight) else ' with a weight above 0'}."
            )

    def _learn_chunk(
        self, random: np.random.RandomState | None, X: np.ndarray, y: np.ndarray, weight: np.ndarray
    ) -> None:
        """Learn from the next rows of a stream: new networks, with random numbers, or those there.

        Rows are brought to a number of which there are only two, so that there are two programs at
        most: some of them are taken twice, or all of them equally often.
        """
        if random is not None:
            scaling = Scaling(measure(X), self.standardize)
            nets, updates, temperature = self._draw(random, X.shape[1], y.shape[1]), 0, 1.0
        else:
            scaling = self._scaling.after(X)
            nets, updates, temperature = self.networks_, self.updates_, self.temperature_
        before, x = updates, scaling.apply(X)
        self._brief = False  # nobody knows how long a stream is
        for size, taken in self._shares(np.flatnonzero(weight > 0), weight):
            most = max(1, TOGETHER // size)
            for start in range(0, len(taken), most):
                rows = np.stack(taken[start : start + most])
                nets = self._learn_in_a_row(nets, updates, x[rows], y[rows], most)
                updates += len(rows)
        self._keep(nets, updates, scaling, temperature, before)

    def _shares(
        self, kept: np.ndarray, weight: np.ndarray
    ) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Yield the sizes of the batches that rows are learnt from, and which rows are in each.

        There are two sizes at most, and the order is that of the rows.
        """
        if not len(kept):
            return
        turn = self.rule_.most_batch
        if turn is not None and weight[kept].min() == weight[kept].max():
            # Rows that are learnt from in turn need not be taken twice for turns to be as long.
            turn = min(turn, self.batch_size)
            whole = len(kept) // turn * turn
            yield turn, list(kept[:whole].reshape(-1, turn))
            if whole < len(kept):
                yield 1, list(kept[whole:, None])
            return
        # Even shares rather than a last one of a few rows, from which some rules learn badly.
        shares = np.array_split(kept, -(-len(kept) // self.batch_size))
        small = min(SMALL_CHUNK, self.batch_size)
        sizes = [small if len(rows) <= small else self.batch_size for rows in shares]
        # Larger shares come first.
        for size in dict.fromkeys(sizes):
            of_size = (rows for rows, its in zip(shares, sizes, strict=True) if its == size)
            yield size, [rows[spread(weight[rows], size)] for rows in of_size]

    def _learn_in_a_row(
        self, nets: PyTree, done: int, xs: np.ndarray, ys: np.ndarray, most: int
    ) -> PyTree:
        """Let all networks learn from batches `[updates, batch, ..]`, at most `most` of them."""
        missing = ((0, most - len(xs)), (0, 0), (0, 0))

        def for_each(a: np.ndarray) -> np.ndarray:
            a = np.pad(a, missing)[:, None]
            return np.broadcast_to(a, (most, self._networks_of(nets), *a.shape[2:]))

        # What drifts has no use for averages of what was.
        return self._update(nets, nets, done, for_each(xs), for_each(ys), len(xs))[0]

    def _networks_of(self, nets: PyTree) -> int:
        return len(jax.tree.leaves(nets)[0])


def _next_look(updates: int, limit: int) -> int:
    """Return after how many updates to look next: later ones farther apart."""
    first = [look for look in FIRST_LOOKS if look > updates]
    return min(limit, first[0] if first else updates + 10 * max(1, updates // 50))
