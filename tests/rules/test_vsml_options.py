"""What options of Vsml do, and which are refused."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_vsml import SIZES, SMALL, begin, close, differ, run

import hebbax as hx
from hebbax.rules.vsml import Head, Network
from hebbax.rules.vsml import _rule as rule_module


@pytest.mark.parametrize("options", [{}, {"cell": "vanilla", "coordinates": ("time", "layer")}])
def test_averaged_batch(options, key, monkeypatch):
    """Every row starts from the same states; afterwards they are averaged, whatever the order."""
    rule = hx.Vsml(**SMALL, **options, batch="averaged")
    theta, net, x, y = begin(rule, SIZES)
    each = [run(rule, "update", theta, net, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    nets, predictions = zip(*each, strict=True)
    mean = jax.tree.map(lambda *a: sum(a) / len(x), *nets)
    after, prediction = run(rule, "update", theta, net, x, y)
    close(after, mean)
    close(prediction, jnp.concatenate(predictions))
    close(run(rule, "update", theta, net, x[::-1], y[::-1])[0], after)
    # A smaller cache: in pieces.
    monkeypatch.setattr(rule_module, "ROWS_AT_ONCE", 2 * 4 * 4 * 12)
    assert rule._pieces(net, x).shape[:2] == (3, 2)
    close(eqx.filter_jit(rule.update)(theta, net, x, y), (after, prediction))
    close(eqx.filter_jit(rule.predict)(theta, net, x), prediction)


def test_a_quiet_forward_pass_reads_no_message_of_the_last_datum(key):
    """Predictions then depend on states alone; what a datum leaves there does not change."""
    loud, quiet = (hx.Vsml(**SMALL, quiet_forward=q) for q in (False, True))
    theta, net, x, y = begin(loud, SIZES)
    silent = eqx.tree_at(lambda n: n.downward, net, (jnp.zeros_like(net.downward[0]),))
    spoken = eqx.tree_at(lambda n: n.downward, net, (jnp.ones_like(net.downward[0]),))
    assert differ(run(loud, "predict", theta, silent, x), run(loud, "predict", theta, spoken, x))
    close(run(quiet, "predict", theta, spoken, x), run(loud, "predict", theta, silent, x))
    # The error still comes down within the datum.
    row = (x[:1], y[:1])
    close(run(quiet, "update", theta, spoken, *row), run(loud, "update", theta, silent, *row))
    changed = run(quiet, "update", theta, spoken, x[:1], 1 - y[:1])
    assert differ(changed[0].layers[0], run(quiet, "update", theta, spoken, *row)[0].layers[0])


def test_gains_multiply_messages(key):
    """The same as heads with larger weights, and the error itself is no message."""
    options = {**SMALL, "error_as": "message"}
    plain, loud = hx.Vsml(**options), hx.Vsml(**options, gains=(3.0, 0.5))
    theta, net, x, y = begin(plain, SIZES)

    def times(head, gain):
        return Head(gain * head.weight, gain * head.bias)

    larger = eqx.tree_at(
        lambda t: (t.forward_head, t.backward_head),
        theta,
        (times(theta.forward_head, 3.0), times(theta.backward_head, 0.5)),
    )
    close(run(loud, "update", theta, net, x, y), run(plain, "update", larger, net, x, y))
    assert differ(run(loud, "update", theta, net, x, y), run(plain, "update", theta, net, x, y))


@pytest.mark.parametrize("cell", ["lstm", "vanilla"])
def test_initial_states_on_a_line(cell, key):
    rule = hx.Vsml(**SMALL, cell=cell, initial="line", line=(0.5, -0.25))
    net = jax.jit(lambda key: rule.init_network(rule.init(key), key, (40, 30, 20)))(key)
    for layer in net.layers:
        drawn = layer.h if layer.c is None else layer.c
        if layer.c is not None:
            assert not layer.h.any()
        np.testing.assert_allclose(drawn[1], -0.5 * drawn[0], rtol=1e-6)
        assert not drawn[2:].any()
        # Not divided by the root of the inputs; a normal cut off at 2 has a deviation of 0.88.
        assert abs(float(jnp.std(drawn[0])) - 0.44) < 0.03
        assert len(np.unique(drawn[0])) > 0.9 * drawn[0].size


def test_copies_share_half_of_their_units(key):
    rule = hx.Vsml(**SMALL, batch="half_averaged", copies=3)
    theta, net, x, y = begin(rule, SIZES)
    xs, ys = x.reshape(2, 3, -1), y.reshape(2, 3, -1)
    net, _ = run(rule, "update", theta, net, xs[0], ys[0])
    own = run(rule, "forward", theta, net, xs[1])
    merged, _ = run(rule, "update", theta, net, xs[1], ys[1])
    assert net.copies == merged.copies == 3
    assert own.sent.shape == (3, 3, 2)
    # The average of all copies predicts, whichever row of the batch is asked for.
    prediction = run(rule, "predict", theta, net, x)
    close(run(rule, "predict", theta, net, x[::-1]), prediction[::-1])
    with pytest.raises(ValueError, match="one row for each of the 3 copies of the network; got 2"):
        rule.update(theta, net, x[:2], y[:2])
    other = hx.Vsml(**SMALL)
    with pytest.raises(ValueError, match=r"copies=1 .* got one of 3"):
        other.predict(theta, net, x)


def test_when_the_error_arrives(key):
    """At once, or with the next datum; a label changes nothing before."""
    for feedback in ("same_datum", "next_datum"):
        rule = hx.Vsml(**SMALL, feedback=feedback)
        theta, net, x, y = begin(rule, (4, 2))
        ends = [run(rule, "update", theta, net, x[:1], label) for label in (y[:1], 1 - y[:1])]
        (one, early), (other, early_too) = ends
        close(early, early_too, 0)
        assert differ(one.layers, other.layers) == (feedback == "same_datum")
        later = [run(rule, "update", theta, n, x[1:2], y[1:2])[0] for n in (one, other)]
        assert differ(later[0].layers, later[1].layers)


def test_with_next_datum_errors_come_down_one_layer_a_datum(key):
    rule = hx.Vsml(**SMALL, feedback="next_datum", gate_offset=0.0)
    theta, net, x, y = begin(rule, SIZES)
    nets = [net, net]
    reached = []
    for step in range(3):
        labels = (y[:1], 1 - y[:1]) if step == 0 else (y[:1], y[:1])
        nets = [
            run(rule, "update", theta, n, x[step : step + 1], label)[0]
            for n, label in zip(nets, labels, strict=True)
        ]
        layers = zip(*(n.layers for n in nets), strict=True)
        reached.append([bool(np.any(a.h != b.h)) for a, b in layers])
    assert reached == [[False, False], [False, True], [True, True]]


def test_bound(key):
    free, bound = (hx.Vsml(**SMALL, bound=b) for b in (None, 0.05))
    theta, net, x, _ = begin(free, SIZES)
    z = run(free, "predict", theta, net, x)
    assert np.max(np.abs(z)) > 0.05
    close(run(bound, "predict", theta, net, x), 0.05 * jnp.tanh(z / 0.05))


def test_state_clip(key):
    free, clipped = (hx.Vsml(**SMALL, gate_offset=0.0, state_clip=c) for c in (None, 0.2))
    theta, net, x, y = begin(free, SIZES)
    theta = jax.tree.map(lambda a: 4 * a, theta)
    largest = [
        max(np.max(np.abs(a)) for a in jax.tree.leaves(after.layers))
        for after in (run(rule, "update", theta, net, x, y)[0] for rule in (free, clipped))
    ]
    assert largest[0] > 0.3
    assert largest[1] == pytest.approx(0.2)


def test_coordinates(key):
    rule = hx.Vsml(**SMALL, coordinates=("time", "output", "input", "layer"))
    theta, net, x, y = begin(rule, SIZES)
    assert theta.P.shape == (4, 16)
    assert float(net.time) == 0
    after, _ = run(rule, "update", theta, net, x, y)
    assert float(after.time) == 6
    for row in range(4):
        without = eqx.tree_at(lambda t: t.P, theta, theta.P.at[row].set(0))
        assert differ(run(rule, "update", without, net, x, y)[0].layers, after.layers)
    # With no weight on them they change nothing, not even the order they are given in.
    plain = hx.Vsml(**SMALL)
    none = eqx.tree_at(lambda t: t.P, theta, jnp.zeros_like(theta.P))
    bare = eqx.tree_at(lambda t: t.P, theta, None)
    bare_net = Network(net.layers, net.downward)
    close(
        run(rule, "update", none, net, x, y)[0].layers,
        run(plain, "update", bare, bare_net, x, y)[0].layers,
    )


@pytest.mark.parametrize("label", [False, True])
def test_bundles_are_the_equations_with_values_in_channels(label, key):
    """Sec. 3.1: one sub-RNN for two inputs and three outputs; the last bundles are filled up."""
    rule = hx.Vsml(**SMALL, bundles=(2, 3), feed_label=label)
    theta, net, x, y = begin(rule, (5, 4))
    assert net.sizes == (5, 4)
    assert net.layers[0].c.shape == (4, 1, 2, 3)
    after, prediction = run(rule, "update", theta, net, x[:1], y[:1])

    def tick(h, c, up, fed):
        z = np.concatenate([up, np.zeros(len(theta.U)), fed, h]) @ weights + np.asarray(theta.b)
        i, u, r, o = np.split(z, 4)
        i, r, o = (1 / (1 + np.exp(-a)) for a in (i - rule.gate_offset, r + rule.gate_offset, o))
        c = r * c + i * np.tanh(u)
        return o * np.tanh(c), c

    weights = np.concatenate([theta.C, theta.U, theta.E, theta.W])
    inputs = np.pad(x[0], (0, 1)).reshape(3, 2)
    grid = net.layers[0]
    state = {(a, b): (np.asarray(grid.h[:, 0, b, a]), np.asarray(grid.c[:, 0, b, a]))
             for a in range(3) for b in range(2)}  # fmt: skip
    silence = np.zeros(len(theta.E))
    ups = np.pad(inputs, ((0, 0), (0, len(theta.C) - 2)))
    state = {(a, b): tick(*s, ups[a], silence) for (a, b), s in state.items()}
    head = theta.forward_head
    sent = [np.mean([state[a, b][0] for a in range(3)], axis=0) @ head.weight + head.bias
            for b in range(2)]  # fmt: skip
    logits = np.concatenate([s[:3] for s in sent])[:4]
    close(prediction, 100 * np.tanh(logits / 100)[None])
    error = np.exp(logits) / np.exp(logits).sum() - np.asarray(y[0])
    told = [np.pad(v, (0, 2)).reshape(2, 3) for v in ([error, y[0]] if label else [error])]
    state = {(a, b): tick(*s, ups[a], np.concatenate([t[b] for t in told]))
             for (a, b), s in state.items()}  # fmt: skip
    for (a, b), (h, c) in state.items():
        close(after.layers[0].h[:, 0, b, a], h)
        close(after.layers[0].c[:, 0, b, a], c)


def test_networks_with_bundles_learn_by_every_way_of_feeding(key):
    """Hidden layers, errors as messages or late, batches and coordinates fit them too."""
    ways = (
        {"feedback": "next_datum", "cell": "vanilla"},
        {"error_as": "message", "batch": "averaged", "coordinates": ("input", "output")},
    )
    for way in ways:
        rule = hx.Vsml(**{**SMALL, "message_size": 3}, **way, bundles=(3, 2))
        theta, net, x, y = begin(rule, (5, 2, 3))
        after, prediction = run(rule, "update", theta, net, x, y)
        assert prediction.shape == (len(x), 3)
        assert after.sizes == (5, 2, 3)
        assert differ(after.layers, net.layers)
        change = rule.plasticity(theta, net, x, y)
        assert all(bool(jnp.isfinite(s).all()) for s in jax.tree.leaves(change.synapses))


def test_initial_states(key):
    half, everything, vanilla = (
        hx.Vsml(**SMALL, **options) for options in ({}, {"initial": "all"}, {"cell": "vanilla"})
    )
    for rule, random in ((half, "c"), (everything, "hc"), (vanilla, "h")):
        theta = jax.eval_shape(rule.init, key)
        layer = jax.jit(lambda k, r=rule, t=theta: r.init_network(t, k, (400, 3)))(key).layers[0]
        for name in "hc":
            state = getattr(layer, name)
            if state is None:
                assert rule.cell == "vanilla"
                continue
            share = 0 if name not in random else 4 if rule.initial == "all" else 2
            assert not np.any(state[share:])
            if share:
                # Normals cut off at two deviations have 0.88 of one.
                assert np.std(state[:share]) == pytest.approx(0.88 / 20, rel=0.05)


def test_rule_file(tmp_path, key):
    rule = hx.Vsml(**SMALL, coordinates=("time", "input"), bound=None, state_clip=4.0)
    theta = jax.jit(rule.init)(key)
    hx.save_rule(tmp_path / "rule.safetensors", rule, theta)
    again, read = hx.load_rule(tmp_path / "rule.safetensors")
    assert again == rule
    assert hash(again) == hash(rule)
    close(read, theta, 0)


BAD = [
    ({"cell": "lstn"}, "cell must be one of lstm, vanilla, multiplicative; got 'lstn'"),
    ({"feedback": "same"}, "feedback must be one of same_datum, next_datum; got 'same'"),
    ({"error_as": "x"}, "error_as must be one of input, message; got 'x'"),
    ({"reduction": "max"}, "reduction must be one of mean, sum; got 'max'"),
    ({"batch": "mean"}, "batch must be one of in_order, averaged, half_averaged; got 'mean'"),
    ({"initial": "zero"}, "initial must be one of half, all, line; got 'zero'"),
    (
        {"coordinates": ("a",)},
        "coordinates must be a tuple, each item one of input, output, layer",
    ),
    ({"coordinates": ("time", "time")}, "coordinates must not repeat"),
    ({"state_size": 1}, "state_size must be a whole number of at least 2; got 1"),
    ({"message_size": 0}, "message_size must be a whole number of at least 1; got 0"),
    ({"ticks": 0}, r"ticks must be a whole number in \[1, 100\]; got 0"),
    ({"bundles": (0, 1)}, r"bundles must be a tuple of 2: .*\[1, 1024\].*; got \(0, 1\)"),
    (
        {"message_size": 3, "bundles": (4, 1)},
        "message_size must be at least 4 for the inputs of a bundle to have a channel; got 3",
    ),
    ({"copies": 0}, r"copies must be a whole number in \[1, 65536\]; got 0"),
    ({"bound": -1.0}, "bound must be None or a finite number above 0; got -1.0"),
    ({"state_clip": 0.0}, "state_clip must be None or a finite number above 0; got 0.0"),
    ({"state_clip": math.inf}, "state_clip must be None or a finite number above 0; got inf"),
    ({"gate_offset": math.nan}, "gate_offset must be a finite number; got nan"),
    ({"forget_offsets": (3.0,)}, r"forget_offsets must be None or a tuple of 2.*; got \(3.0,\)"),
    ({"forget_offsets": (3.0, 9.0), "cell": "vanilla"}, "forget_offsets need the cell lstm"),
    ({"output_channel": -1}, "output_channel must be a whole number of at least 0; got -1"),
    (
        {"message_size": 3, "output_channel": 3},
        "message_size must be at least 4 for the prediction to have a channel; got 3",
    ),
    (
        {"message_size": 1, "error_as": "message", "feed_label": True},
        "message_size must be at least 2 for the error and the label to have a channel; got 1",
    ),
    (
        {"cell": "vanilla", "state_size": 2, "output_channel": 2},
        "state_size must be at least 3 for the prediction to have a channel; got 2",
    ),
    ({"cell": "vanilla", "layer_norm": True}, "layer_norm needs the cell lstm"),
    ({"batch": "averaged", "feedback": "next_datum"}, "'averaged' needs feedback='same_datum'"),
    ({"copies": 2}, "copies above 1 need batch='half_averaged'; got copies=2"),
    (
        {"quiet_forward": True, "feedback": "next_datum"},
        "quiet_forward needs feedback='same_datum'.*got feedback='next_datum'",
    ),
    (
        {"gains": (1.0, 0.0)},
        r"gains must be a tuple of 2: .* above 0, .*; got \(1.0, 0.0\)",
    ),
    ({"gains": (1.0,)}, r"gains must be a tuple of 2: .*; got \(1.0,\)"),
    ({"initial": "line"}, r"go together; got initial='line' with line=\[\]"),
    ({"line": (1.0,)}, r"go together; got initial='half' with line=\[1.0\]"),
    (
        {"initial": "line", "line": (1.0,) * 3, "state_size": 2},
        "line must hold at most state_size=2 numbers; got 3",
    ),
    (
        {"initial": "line", "line": (math.inf,)},
        r"line must be a tuple, each item a finite .*\(inf,\)",
    ),
]


def test_units_forget_at_rates_of_their_own(key):
    """Without input, a unit of offset r keeps σ(r) of its state at each of two ticks a datum."""
    data, offsets = 10_000, (3.0, 17.0)
    rule = hx.Vsml(state_size=3, message_size=1, forget_offsets=offsets)
    theta = jax.tree.map(jnp.zeros_like, rule.init(key))
    net = rule.init_network(theta, key, (1, 1))
    net = eqx.tree_at(lambda n: n.layers[0].c, net, jnp.ones_like(net.layers[0].c))
    x, y = jnp.zeros((data, 1)), jnp.zeros((data, 1))
    after, _ = jax.jit(rule.update)(theta, net, x, y)
    found = after.layers[0].c[:, 0, 0, 0]
    assert found[0] < 1e-30
    middle = np.exp(-2 * data * np.log1p(np.exp(-np.mean(offsets))))
    np.testing.assert_allclose(found[1], middle, rtol=0.02)
    np.testing.assert_allclose(found[2], 1.0, rtol=0.01)


def test_the_same_offset_in_all_units_is_the_gates_own():
    theta = hx.Vsml(**SMALL).init(jax.random.key(0))
    one, several = (
        hx.Vsml(**SMALL, forget_offsets=forget)._ready(theta) for forget in (None, (5.0, 5.0))
    )
    jax.tree.map(np.testing.assert_array_equal, one, several)


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options(options, message, unchecked):
    with pytest.raises(ValueError, match=message) as caught:
        hx.Vsml(**options)
    assert "\n" not in str(caught.value)


def test_bad_data(unchecked, key):
    rule = hx.Vsml(**SMALL)
    theta, net, x, y = begin(rule, SIZES)
    with pytest.raises(ValueError, match=r"x must have the shape \[batch, 4\]"):
        rule.update(theta, net, x[:, :3], y)
    with pytest.raises(ValueError, match=r"y must be one-hot with the shape \[6, 2\].*\[6, 3\]"):
        rule.update(theta, net, x, jnp.ones((6, 3)))
    with pytest.raises(ValueError, match="x must hold at least one row; got none"):
        rule.update(theta, net, x[:0], y[:0])
    with pytest.raises(ValueError, match="x must hold at least one row; got none"):
        rule.predict(theta, net, x[:0])
    with pytest.raises(ValueError, match="at least one step"):
        hx.unroll(rule, theta, net, x[:0, None], y[:0, None])
    with pytest.raises(ValueError, match="at least two positive layer sizes"):
        rule.init_network(theta, key, (4,))
