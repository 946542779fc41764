"""Theorem 1: shared sub-RNNs are one recurrent network with a sparse, shared weight matrix."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Float
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure

import hebbax as hx
from hebbax.papers._experiment import Experiment, Finding
from hebbax.papers._figures import headline, label, sheet
from hebbax.plots import INK, LEARNER_COLOURS
from hebbax.rules.vsml import theorem

WITHIN = 1e-5
SHOWN = 3
"""Side of the grid whose matrix is drawn."""
SHARED, MATRIX = "shared sub-RNNs", "one matrix"


class MatrixEquivalence(Experiment):
    """Random cells run both ways, and in double precision as the equation is written."""

    name: ClassVar = "vsml/equivalence"
    source: ClassVar = "VSML theorem 1, eq. 3, 4 and 19, app. A"
    claim: ClassVar = (
        "A grid of sub-RNNs that share weights and send each other their states equals one "
        "recurrent network whose weight matrix is sparse and has shared entries."
    )
    criterion: ClassVar = (
        f"for every grid, cell and tick, no state differs by more than {WITHIN:g} between the two "
        f"forms in single precision, nor either from eq. 3 written out in double precision; states "
        f"move, and the matrix has no other entries than those of W, of C, of their sums, and zero"
    )
    smoke: ClassVar = {"sides": (3,), "states": 2, "ticks": 3, "cells": 2}
    paper: ClassVar = {"sides": (2, 4, 8, 12)}

    sides: tuple[int, ...] = (2, 4, 8)
    states: int = 4
    ticks: int = 50
    cells: int = 10

    def run(self, work: Path, seed: int) -> Finding:
        """Run cells with both forms and compare all states after every tick."""
        differences: dict[int, dict[str, np.ndarray]] = {}
        numbers: dict[str, Any] = {"within": WITHIN, "grids": {}}
        rows = []
        as_said = True
        for side in self.sides:
            runs = [self._run(side, seed, cell) for cell in range(self.cells)]
            found = {name: np.stack([run[name] for run in runs]) for name in runs[0]}
            differences[side] = found
            entries = [self._entries(side, seed, cell) for cell in range(self.cells)]
            as_said &= all(e["no_others"] for e in entries) and bool((found["moved"] > 0.01).all())
            numbers["grids"][str(side)] = {
                "sub_rnns": side * side,
                "between_forms": float(found["between"].max()),
                "shared_from_double_precision": float(found[SHARED].max()),
                "matrix_from_double_precision": float(found[MATRIX].max()),
                "least_movement": float(found["moved"].min()),
                "share_of_zeros": entries[0]["zeros"],
                "entries": (side * side * self.states) ** 2,
                "different_entries": max(e["different"] for e in entries),
            }
            rows += [
                {"side": side, "cell": cell, "tick": tick + 1}
                | {key.replace(" ", "_"): float(run[key][tick]) for key in run}
                for cell, run in enumerate(runs)
                for tick in range(self.ticks)
            ]
        forms = ("between_forms", "shared_from_double_precision", "matrix_from_double_precision")
        largest = max(grid[form] for grid in numbers["grids"].values() for form in forms)
        last = numbers["grids"][str(self.sides[-1])]
        shows = (
            f"No state differs by more than {largest:.1e} in {self.ticks} ticks of {self.cells} "
            f"random cells in grids of side {', '.join(map(str, self.sides))}; at side "
            f"{self.sides[-1]} the matrix has {last['entries']:,} entries, "
            f"{last['share_of_zeros']:.0%} of them zero and the rest {last['different_entries']} "
            f"different numbers at most."
        )
        holds = largest <= WITHIN and as_said
        return Finding(rows, numbers, holds, shows, self._draw(differences, seed))

    def _cell(self, side: int, seed: int, cell: int) -> tuple[Any, Any]:
        """Draw a vanilla cell without backward messages, and initial states of a grid."""
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), side), cell)
        k_theta, k_bias, k_states = jax.random.split(key, 3)
        rule = hx.Vsml(cell="vanilla", state_size=self.states)
        theta = rule.init(k_theta)
        bias = 0.1 * jax.random.normal(k_bias, theta.b.shape)
        # Messages are sums: without this, states of larger grids would be ±1 at once.
        theta = dataclasses.replace(theta, U=0 * theta.U, C=theta.C / side, b=bias)
        return theta, jax.random.normal(k_states, (side, side, self.states))

    def _run(self, side: int, seed: int, cell: int) -> dict[str, np.ndarray]:
        theta, begin = self._cell(side, seed, cell)
        matrix = theorem.shared_matrix(theta.W, theta.C, side, side)

        def both(states: Any, _: None) -> tuple[Any, Any]:
            shared, one = states
            states = theorem.tick(theta, shared), theorem.matrix_tick(matrix, theta.b, one)
            return states, states

        _, (shared, one) = jax.jit(
            lambda begin: jax.lax.scan(both, (begin, begin), length=self.ticks)
        )(begin)
        exact = _as_written(theta, np.asarray(begin, float), self.ticks)
        before = np.concatenate([np.asarray(begin)[None], exact[:-1]])
        return {
            "between": _largest(shared - one),
            SHARED: _largest(shared - exact),
            MATRIX: _largest(one - exact),
            "moved": _largest(np.asarray(exact - before))[:1].repeat(self.ticks),
        }

    def _entries(self, side: int, seed: int, cell: int) -> dict[str, Any]:
        theta, _ = self._cell(side, seed, cell)
        matrix = np.asarray(theorem.shared_matrix(theta.W, theta.C, side, side))
        allowed = {0.0}
        for numbers in (theta.W, theta.C, theta.W + theta.C):
            allowed |= set(np.asarray(numbers).ravel().tolist())
        values = set(matrix.ravel().tolist())
        return {
            "no_others": values <= allowed,
            "zeros": float((matrix == 0).mean()),
            "different": len(values - {0.0}),
        }

    def _draw(self, differences: dict[int, dict[str, np.ndarray]], seed: int) -> Figure:
        figure, [[left, right]] = sheet(10, 4.4, columns=2)
        theta, _ = self._cell(SHOWN, seed, 0)
        size = SHOWN * SHOWN * self.states
        matrix = theorem.shared_matrix(theta.W, theta.C, SHOWN, SHOWN).reshape(size, size)
        image = left.imshow(
            np.ma.masked_equal(matrix, 0), cmap="RdBu_r", norm=CenteredNorm(), interpolation="none"
        )
        figure.colorbar(image, ax=left, label="weight (white: none)")
        label(
            left,
            "to state",
            "from state",
            f"matrix of a grid of {SHOWN} by {SHOWN} sub-RNNs, {self.states} states each",
        )
        for colour, (side, found) in zip(LEARNER_COLOURS, differences.items(), strict=False):
            ticks = np.arange(1, self.ticks + 1)
            # Zero has no place on a logarithmic axis.
            line = np.maximum(found["between"].max(axis=0), 1e-9)
            right.plot(ticks, line, color=colour, label=f"{side} by {side}")
        right.axhline(WITHIN, color=INK, linestyle=":", linewidth=1, label="allowed")
        right.set_yscale("log")
        label(
            right,
            "tick",
            "largest difference of a state",
            f"shared sub-RNNs against the matrix, {self.cells} cells",
        )
        right.legend(frameon=False)
        return headline(figure, "Theorem 1 of VSML in single precision")


def _as_written(
    theta: Any, states: Float[np.ndarray, "a b n"], ticks: int
) -> Float[np.ndarray, "ticks a b n"]:
    """Return the states after every tick of eq. 3, sub-RNN by sub-RNN."""
    W, C, b = (np.asarray(a, float) for a in (theta.W, theta.C, theta.b))
    lives = []
    for _ in range(ticks):
        new = np.empty_like(states)
        for row, column in np.ndindex(states.shape[:2]):
            # What ends at this sub-RNN's input: eq. 3's sum over c of s_cai.
            forward = sum(states[c, row] for c in range(len(states)))
            new[row, column] = np.tanh(states[row, column] @ W + forward @ C + b)
        states = new
        lives.append(states)
    return np.stack(lives)


def _largest(difference: Any) -> np.ndarray:
    return np.abs(np.asarray(difference, float)).max(axis=(1, 2, 3))
