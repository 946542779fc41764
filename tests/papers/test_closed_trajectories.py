"""Whether trajectories of a rule's changes close."""

import jax
import numpy as np
import pytest

import hebbax as hx
from hebbax.papers.blur._closed import ending, follow
from hebbax.papers.blur._xor import BACKPROP, forward_synapses, subject

TURNS = np.linspace(0, 40 * np.pi, 2000)
CIRCLE = np.stack([np.cos(TURNS), np.sin(TURNS)], axis=1)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (CIRCLE, "closes"),
        # Into a circle, from outside it.
        (CIRCLE * (1 + 5 * np.exp(-TURNS))[:, None], "closes"),
        (CIRCLE * np.exp(-TURNS)[:, None], "rests"),
        (CIRCLE * TURNS[:, None] ** 2, "goes on"),
        (np.stack([TURNS, TURNS**2], axis=1), "goes on"),
        (np.where(TURNS[:, None] > 100, np.inf, CIRCLE), "leaves"),
    ],
)
def test_what_becomes_of_a_trajectory(points, expected):
    assert ending(points) == expected


def test_small_steps_follow_gradient_descent_downhill():
    case = subject(BACKPROP, BACKPROP.init(jax.random.key(0)), 3, 0, 32, 0)
    points = follow(case, 40, 0.1, 10)
    start = np.concatenate([np.ravel(a) for a in forward_synapses(case.net)])
    assert points.shape == (4, len(start))
    net = case.net
    for _ in range(4):
        net, _ = case.rule.update(case.theta, net, case.x, case.y)
    whole = np.concatenate([np.ravel(a) for a in forward_synapses(net)])
    # Four whole updates come to nearly the same place.
    assert np.linalg.norm(points[-1] - whole) < 0.1 * np.linalg.norm(whole - start)
    loss = hx.losses.cross_entropy
    assert loss(case.rule.predict(case.theta, net, case.x), case.y) < loss(
        case.rule.predict(case.theta, case.net, case.x), case.y
    )
