"""Lives far beyond meta-training: what is measured of them."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.papers.blur._long import live, spaced


def life(key, keep=1.0, update=0.1, **settings):
    rule = hx.Blur(bias=False)
    theta = dataclasses.replace(
        rule.init(key), f_tilde=jnp.asarray(keep), eta_tilde=jnp.asarray(update)
    )
    settings = {"points": (1, 3, 140), "batch": 8, "seeds": 2, "hidden": (), **settings}
    return live(rule, theta, hx.tasks.iris(), key=key, **settings)


def test_amplitude_follows_the_keep_gate_until_it_overflows(key):
    found = life(key, keep=2.0, update=0.0)
    assert found.steps.tolist() == [1, 3, 140]
    assert found.accuracy.shape == found.amplitude.shape == (2, 3)
    np.testing.assert_allclose(found.amplitude[:, 1], 4 * found.amplitude[:, 0], rtol=1e-6)
    assert (found.amplitude[:, 0] > 0.1).all()
    assert not np.isfinite(found.amplitude[:, 2]).any()
    first, _, last = found.rows("rule", ("amplitude", "accuracy"))[:3]
    assert list(first) == ["rule", "network", "updates", "amplitude", "accuracy"]
    assert float(first["amplitude"]) == pytest.approx(found.amplitude[0, 0], rel=1e-3)
    assert last["amplitude"] == ""
    told = found.before_overflow()
    assert told["last_update_without_overflow"] == 3
    assert told["amplitude_then"] == pytest.approx(found.amplitude[:, 1].mean())


def test_shuffled_labels_take_back_what_was_learnt(key):
    settings = {"points": (30, 60), "batch": 64}
    plain, shuffled = (life(key, shuffle_after=n, **settings) for n in (None, 30))
    np.testing.assert_array_equal(plain.accuracy[:, 0], shuffled.accuracy[:, 0])
    assert (plain.accuracy[:, 1] > 0.75).all()
    assert (shuffled.accuracy[:, 1] < plain.accuracy[:, 1]).all()


def test_points_are_spread_on_a_logarithmic_scale():
    points = spaced(1000, (7, 333), 10)
    assert points == sorted({*points, 1, 7, 333, 1000})
    assert len(points) <= 13
    assert points[-1] - points[-2] > 100 * (points[1] - points[0])
