"""Gradients through lifetimes of Vsml."""

import jax
import numpy as np
import pytest
from tiny_vsml import SIZES, SMALL, begin, close

import hebbax as hx


def lifetime_loss(rule, net, x, y, remat=False):
    def loss(theta):
        xs, ys = x[:, None], y[:, None]
        _, predictions = hx.unroll(rule, theta, net, xs, ys, remat=remat)
        return hx.losses.cross_entropy(predictions, ys)

    return loss


# Recorded gradients are for other options.
GRADIENTS = {
    "in order": {"coordinates": ("layer", "input", "time", "output"), "feed_label": True},
    "averaged": {"batch": "averaged", "reduction": "sum", "feed_label": True, "ticks": 2},
}


@pytest.mark.parametrize("options", GRADIENTS.values(), ids=GRADIENTS)
def test_meta_gradient_equals_finite_differences(options, key):
    """Along one random direction, in double precision; all meta-parameters at once."""
    with jax.enable_x64(True):
        rule = hx.Vsml(**SMALL, **options)
        theta, net, x, y = begin(rule, SIZES)
        xs, ys = x.reshape(3, 2, -1), y.reshape(3, 2, -1)

        @jax.jit
        def loss(theta):
            _, predictions = hx.unroll(rule, theta, net, xs, ys, remat=True)
            return hx.losses.cross_entropy(predictions, ys)

        leaves, structure = jax.tree.flatten(theta)
        rng = np.random.default_rng(0)
        direction = structure.unflatten([rng.normal(size=a.shape) for a in leaves])
        gradient = jax.jit(jax.grad(loss))(theta)
        slope = sum(
            np.sum(g * d) for g, d in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True)
        )
        step = 1e-5
        ends = [
            float(loss(jax.tree.map(lambda a, d, s=s: np.asarray(a) + s * d, theta, direction)))
            for s in (step, -step)
        ]
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)
        live = [name for name in "WCUbEP" if getattr(gradient, name) is not None]
        assert all(np.any(getattr(gradient, name)) for name in live)


def test_rematerialised_gradient_is_the_same():
    rule = hx.Vsml(**SMALL)
    theta, net, x, y = begin(rule, (3, 2))
    plain, again = (
        jax.jit(jax.grad(lifetime_loss(rule, net, x, y, remat=r)))(theta) for r in (False, True)
    )
    close(again, plain, 1e-6)


def test_dead_parameters_of_a_single_layer(key):
    """One layer sends nothing down, and reads one channel of each message: 1,233 of 2,384 live."""
    rule = hx.Vsml(
        message_size=8, error_as="message", output_channel=1, feedback="next_datum", ticks=2
    )
    theta, net, x, y = begin(rule, (3, 2))
    gradient = jax.jit(jax.grad(lifetime_loss(rule, net, x[:3], y[:3])))(theta)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient.backward_head))
    assert not np.any(gradient.C[1:])
    assert not np.any(gradient.U[1:])
    live = [np.count_nonzero(leaf) for leaf in jax.tree.leaves(gradient)]
    assert sum(live) == 1233
