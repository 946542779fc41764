"""Does the flow of a rule's changes come back to where it was? (BLUR supplement, section 1)

Along a closed trajectory of w' = Δw(w) no loss can fall, under any metric, constant or not.
"""

from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from hebbax.papers.blur._xor import Subject, forward_synapses

CLOSE = 0.02
"""How near a trajectory must come to itself, as a part of how far it goes."""
AWAY = 0.5
"""How far from itself it must have been in between."""
STILL = 1e-3
"""What rests moves less than this, as a part of how far it went at first."""

Ending = Literal["rests", "closes", "goes on", "leaves"]


def follow(case: Subject, steps: int, size: float, every: int) -> Float[np.ndarray, "points n"]:
    """Integrate w' = Δw(w) on one batch by Euler's method, all of the network being the state.

    Returns the forward synapses at every so many steps of `size` updates.
    """

    @jax.jit
    def run(theta: Any, net: Any, x: Any, y: Any) -> Any:
        def step(net: Any, _: None) -> tuple[Any, None]:
            changed = case.rule.update(theta, net, x, y)[0]
            return jax.tree.map(
                lambda a, b: a + size * (b - a) if eqx.is_inexact_array(a) else b, net, changed
            ), None

        def stretch(net: Any, _: None) -> tuple[Any, Any]:
            net, _ = jax.lax.scan(step, net, length=every)
            return net, ravel_pytree(forward_synapses(net))[0]

        return jax.lax.scan(stretch, net, length=steps // every)[1]

    return np.asarray(run(case.theta, case.net, case.x, case.y))


def ending(points: Float[np.ndarray, "points n"]) -> Ending:
    """Tell what becomes of a trajectory, from what its second half does.

    It `rests` at a point, `closes`, `goes on` without coming near itself again, or `leaves` for
    where numbers are not finite.
    """
    if not np.isfinite(points).all():
        return "leaves"
    half = len(points) // 2
    went, late = _spread(points[:half]), points[half:]
    goes = _spread(late)
    if goes <= STILL * went:
        return "rests"
    lags = range(1, len(late) // 2)
    off = np.array([np.linalg.norm(late[lag:] - late[:-lag], axis=1).mean() for lag in lags]) / goes
    away = np.flatnonzero(off > AWAY)
    return "closes" if len(away) and off[away[0] :].min() < CLOSE else "goes on"


def _spread(points: Float[np.ndarray, "points n"]) -> float:
    """Return the largest distance from the mean."""
    return float(np.linalg.norm(points - points.mean(axis=0), axis=1).max())
