"""Figure 4: one sub-LSTM, a clone of y = tanh(x) w."""

from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from hebbax.papers._experiment import Finding
from hebbax.papers._figures import headline, label, sheet
from hebbax.papers.vsml._clones import Clones
from hebbax.plots import INK
from hebbax.recipes import VsmlBackprop
from hebbax.rules.vsml import Layer, SharedCell

GAIN = 20.0
"""Of weights and outputs in the figure, as in app. C; states hold w / 20."""
SMALL = 0.1


class Forward(Clones):
    """What the sub-LSTM of the clone sends up, for inputs x and the weights w that it holds."""

    name: ClassVar = "vsml/forward"
    source: ClassVar = "VSML sec. 3.2, eq. 13, fig. 4"
    claim: ClassVar = (
        "A sub-LSTM can be taught to multiply: its output follows tanh(x) w for all inputs x and "
        "weights w, with small errors."
    )
    criterion: ClassVar = (
        f"over a grid of x in ±3 and w within two deviations of those it was taught with, the root "
        f"mean square of the error is at most {SMALL:.0%} of that of tanh(x) w"
    )
    smoke: ClassVar = {**Clones.smoke, "points": 21}
    paper: ClassVar = Clones.paper

    points: int = 121

    def run(self, work: Path, seed: int) -> Finding:
        """Clone all of backpropagation at once, and look at its forward part."""
        recipe = self.recipe(seed)
        theta, most = recipe.meta_train(work / "clone").theta, recipe.objective().most_weight
        x = np.linspace(-3, 3, self.points)
        w = np.linspace(-most, most, self.points)
        y = self._sent(recipe, theta, x, w)
        target = np.tanh(x)[None] * w[:, None]
        off = y - target
        within = np.abs(w) <= 2 * 0.3
        cloned, whole = (
            float(np.sqrt(np.mean(off[rows] ** 2) / np.mean(target[rows] ** 2)))
            for rows in (within, np.ones_like(within))
        )
        numbers: dict[str, Any] = {
            "relative_error": cloned,
            "relative_error_of_all": whole,
            "largest_error_of_all": float(GAIN * np.abs(off).max()),
            "gain": GAIN,
        }
        rows = [
            {"x": f"{x[j]:.3f}", "w": f"{GAIN * w[i]:.3f}", "y": f"{GAIN * y[i, j]:.4f}",
             "target": f"{GAIN * target[i, j]:.4f}"}
            for i in range(0, self.points, max(1, self.points // 12))
            for j in range(0, self.points, max(1, self.points // 30))
        ]  # fmt: skip
        shows = (
            f"The error is {cloned:.1%} of tanh(x) w for weights up to {GAIN * 0.6:g}, and "
            f"{whole:.1%} up to {GAIN * most:g}, where the state that holds them saturates."
        )
        return Finding(rows, numbers, cloned <= SMALL, shows, self._draw(x, w, y, target))

    def _sent(
        self, recipe: VsmlBackprop, theta: SharedCell, x: np.ndarray, w: np.ndarray
    ) -> np.ndarray:
        """Return the messages up [w, x] of a grid of sub-RNNs with no error and no bias."""
        c = jnp.zeros((self.states, 1, len(w), len(x)))
        c = c.at[:2, 0].set(jnp.asarray(w, c.dtype)[None, :, None])
        sent = recipe.objective().answer(
            theta,
            Layer(jnp.zeros_like(c), c),
            jnp.asarray(x, c.dtype)[None],
            jnp.zeros((1, len(w)), c.dtype),
        )
        return np.asarray(sent.y[0])

    def _draw(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, target: np.ndarray) -> Figure:
        figure, [[lines, heat]] = sheet(9.5, 4.0, columns=2)
        chosen = np.linspace(0, len(w) - 1, 7).round().astype(int)
        for place, i in enumerate(chosen):
            colour = f"C{place}"
            lines.plot(x, GAIN * y[i], color=colour, linewidth=1.8)
            lines.text(
                x[-1] + 0.15, GAIN * y[i, -1], f"w = {GAIN * w[i]:.0f}", color=colour, va="center"
            )
            lines.plot(x, GAIN * target[i], color=colour, linewidth=1, linestyle=":")
        label(lines, "input x", "output y (dotted: tanh(x) w)")
        lines.set_xlim(x[0], x[-1] + 1.6)
        lines.set_xticks(range(-3, 4))
        limits = (x[0], x[-1], GAIN * w[0], GAIN * w[-1])
        error = GAIN * (y - target)
        most = float(np.abs(error).max())
        image = heat.imshow(
            error, origin="lower", aspect="auto", extent=limits, cmap="RdBu_r", vmin=-most,
            vmax=most,
        )  # fmt: skip
        for edge in (-0.6, 0.6):
            heat.axhline(GAIN * edge, color=INK, linestyle="--", linewidth=1)
        label(heat, "input x", "weight w")
        figure.colorbar(image, ax=heat, label="y - tanh(x) w")
        return headline(
            figure,
            f"A sub-LSTM cloned from a product; states hold w / {GAIN:g}; dashed: two deviations "
            f"of the weights of cloning",
        )
