"""How synapses of Blur stay bounded: Oja's rule and bounds."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_blur import close, update

import hebbax as hx
from hebbax.rules.blur import (
    Oja,
)


def test_relative_oja_grows_slowly_and_keep_gates_can_stay_open(key):
    """What is added is orthogonal to what is there, so norms grow with the root of time."""
    norms = {}
    for form in (None, "relative"):
        rule = hx.Blur(oja=form, learn_keep=False, synapse_update=1.0)
        theta = rule.init(key)
        assert theta.f_tilde is None
        net = rule.init_network(theta, key, (4, 5, 3))
        x, y = eqx.filter_jit(hx.tasks.iris().stream)(key, 1, 64)
        after, _ = update(rule, theta, net, x[0], y[0])

        def columns(net):
            return [jnp.sum(s.weight**2, axis=2) + s.bias**2 for s in net.layers]

        change = jax.tree.map(jnp.subtract, after, net)
        norms[form] = [
            np.asarray(new - old - size)
            for new, old, size in zip(columns(after), columns(net), columns(change), strict=True)
        ]
    # By Pythagoras.
    assert max(abs(a).max() for a in norms["relative"]) < 1e-4
    assert max(abs(a).max() for a in norms[None]) > 1e-2


@pytest.mark.parametrize("form", ["full", "relative", "first", "weights", "activations"])
def test_oja_equals_a_plain_loop(key, form):
    """Equation 8 and its relatives, synapse by synapse."""
    options = {
        "normalization": None,
        "synapse_normalization": None,
        "init_scale": 0.3,
        "reduction": "sum",
    }
    plain, rule = hx.Blur(**options), hx.Blur(oja=Oja(form, extra=0.7), **options)
    theta = rule.init(key)
    bare = plain.init(key)
    f_tilde, eta_tilde = 0.9, -0.05

    def gates(t):
        values = (jnp.asarray(f_tilde), jnp.asarray(eta_tilde))
        return eqx.tree_at(lambda t: (t.f_tilde, t.eta_tilde), t, values)

    theta, bare = gates(theta), gates(bare)
    multiplier = 1.0 if theta.oja_multiplier is None else 1.3
    if theta.oja_multiplier is not None:
        theta = eqx.tree_at(lambda t: t.oja_multiplier, theta, jnp.asarray(multiplier))
    net = rule.init_network(theta, key, (4, 5, 3))
    x = jax.random.normal(jax.random.key(2), (6, 4))
    y = jax.nn.one_hot(jnp.arange(6) % 3, 3)
    without, _ = update(plain, bare, net, x, y)
    with_oja, _ = update(rule, theta, net, x, y)
    final = jax.jit(lambda: rule.backward(theta, net, rule.forward(theta, net, x), y))()
    mu_tilde = np.asarray(theta.mu_tilde)

    def expected(w, w_without, receivers):
        # w: senders (bias last, if any) by receivers, one synapse state after another.
        hebb = (w_without - f_tilde * w) / eta_tilde
        out = w_without.copy()
        for c, r, j in np.ndindex(w.shape):
            squares = sum(w[c, i, j] ** 2 for i in range(w.shape[1]))
            drive = sum(w[c, i, j] * hebb[c, i, j] for i in range(w.shape[1]))
            post = sum(
                float(mu_tilde[c] @ np.asarray(receivers[:, j, b])) ** 2 for b in range(len(x))
            )
            term = {
                "full": -(f_tilde - 1) * w[c, r, j] * squares - eta_tilde * w[c, r, j] * drive,
                "relative": -eta_tilde * w[c, r, j] * drive / squares,
                "first": -(f_tilde - 1) * multiplier * w[c, r, j] * squares,
                "weights": -abs(eta_tilde) * multiplier * w[c, r, j] * squares,
                "activations": -abs(eta_tilde) * multiplier * w[c, r, j] * post,
            }[form]
            out[c, r, j] += 0.7 * term
        return out

    def whole(synapses):
        return np.concatenate([synapses.weight, synapses.bias[:, :, None]], axis=2).swapaxes(1, 2)

    for index, before in enumerate(net.layers):
        close(
            whole(with_oja.layers[index]),
            expected(whole(before), whole(without.layers[index]), final[index]),
        )
    close(
        np.asarray(with_oja.layers[1].backward).swapaxes(1, 2),
        expected(
            np.asarray(net.layers[1].backward).swapaxes(1, 2),
            np.asarray(without.layers[1].backward).swapaxes(1, 2),
            final[0],
        ),
    )


GROWING = 16.0
"""A keep gate with which synapses overflow after 32 updates."""


def grown(rule, steps, keep, sizes=(3, 4, 2)):
    """Return a network after some updates with a keep gate above 1, and its predictions."""
    theta = eqx.tree_at(lambda t: t.f_tilde, rule.init(jax.random.key(0)), jnp.float32(keep))
    net = rule.init_network(theta, jax.random.key(1), sizes)
    xs = jax.random.normal(jax.random.key(2), (steps, 8, 3))
    ys = jax.nn.one_hot((xs[..., 0] > 0).astype(int), 2)

    def update(net, batch):
        return rule.update(theta, net, *batch)

    return jax.jit(lambda net: jax.lax.scan(update, net, (xs, ys)))(net)


BOUNDED = {"synapse_normalization": {"bounded": True}}


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"single_state": True}])
def test_bounded_synapses_do_not_overflow(options):
    net, predictions = grown(hx.Blur(**options, **BOUNDED), 200, GROWING)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((net, predictions)))
    net, _ = grown(hx.Blur(**options), 200, GROWING)
    assert not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(net))


def test_bounds_change_no_prediction(monkeypatch):
    net, predictions = grown(hx.Blur(init_scale=0.1), 60, 2.0)
    monkeypatch.setattr("hebbax.rules.blur._changes.LARGE", 2.0**50)
    monkeypatch.setattr("hebbax.rules.blur._changes.SMALLER", 2.0**-10)
    smaller, same = grown(hx.Blur(init_scale=0.1, **BOUNDED), 60, 2.0)
    assert max(np.abs(a.weight).max() for a in net.layers) > 2.0**55
    assert max(np.abs(a.weight).max() for a in smaller.layers) <= 2.0**51
    np.testing.assert_array_equal(predictions, same)


@pytest.mark.parametrize(
    "options",
    [
        {"synapse_normalization": {"form": "stored", "bounded": True}}, {"symmetric": True},
        {"oja": "full"}, {"oja": "relative"}, {"saturation": "tanh"},
    ],
)  # fmt: skip
def test_no_bounds_where_the_size_of_synapses_matters(options):
    with pytest.raises(ValueError, match="bounded only where the size of synapses does not matter"):
        hx.Blur(**{**BOUNDED, **options})


def test_oja_s_term_need_not_pull_both_directions_asunder(key):
    options = {"symmetric": True, "feedback": "error", "synapse_update": 1.0, "normalization": None}
    apart = hx.Blur(oja="relative", **options)
    same = hx.Blur(oja={"form": "relative", "apart": False}, **options)
    theta = apart.init(key)
    x, y = jax.random.normal(key, (6, 3)), jnp.eye(2)[jnp.asarray([0, 1, 1, 0, 1, 0])]
    nets = [rule.init_network(theta, key, (3, 4, 2)) for rule in (apart, same)]
    assert nets[1].layers[1].backward is None
    one, two = (
        update(rule, theta, net, x, y)[0] for rule, net in zip((apart, same), nets, strict=True)
    )
    for a, b in zip(one.layers, two.layers, strict=True):
        np.testing.assert_allclose(a.weight, b.weight, rtol=1e-6)
    assert not np.allclose(one.layers[1].backward[0], two.layers[1].weight[0].T, atol=1e-3)
