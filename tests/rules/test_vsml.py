"""What must hold for Vsml whatever its weights."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hebbax as hx
from hebbax.rules.vsml import Head, Layer, Network, cells
from hebbax.rules.vsml import _rule as rule_module

SIZES = (4, 3, 2)
SMALL = {"state_size": 4, "message_size": 3}
OPTIONS = {
    "default": {},
    "all other": {
        "feedback": "next_datum", "feed_label": True, "ticks": 2, "error_as": "message",
        "reduction": "sum", "layer_norm": True, "gate_offset": 0.0, "initial": "all",
    },
    "vanilla": {"cell": "vanilla", "bound": None},
}  # fmt: skip


def begin(rule, sizes, seed=0):
    """Return θ that does something, a network whose copies are alike, and six examples."""
    rng = np.random.default_rng(seed)
    key = jax.random.key(0)
    theta = jax.eval_shape(rule.init, key)
    net = jax.eval_shape(lambda t: rule.init_network(t, key, sizes), theta)

    def weight(a):
        return rng.normal(size=a.shape) / math.sqrt(len(a))

    def state(a):
        return np.broadcast_to(rng.normal(size=(a.shape[0], 1, *a.shape[2:])) / 2, a.shape)

    theta = jax.tree.map(weight, theta)
    layers = jax.tree.map(state, net.layers)
    net = jax.tree.map(lambda a: np.zeros(a.shape), net)
    net = eqx.tree_at(lambda n: n.layers, net, layers)
    labels = np.eye(sizes[-1])[rng.integers(sizes[-1], size=6)]
    arrays = (theta, net, rng.normal(size=(6, sizes[0])), labels)
    return jax.tree.map(lambda a: jnp.asarray(a, float), arrays)


@eqx.filter_jit
def run(rule, method, *arguments):
    return getattr(rule, method)(*arguments)


def close(a, b, tolerance=1e-5):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, tolerance, tolerance), a, b)


def differ(a, b):
    pairs = zip(*map(jax.tree.leaves, (a, b)), strict=True)
    return any(np.max(np.abs(u - v)) > 1e-3 for u, v in pairs)


@pytest.fixture(params=OPTIONS.values(), ids=OPTIONS)
def case(request):
    rule = hx.Vsml(**SMALL, **request.param)
    return rule, *begin(rule, SIZES)


def count(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("options", "meta_parameters", "learned"),
    [
        ({}, 2772, 250_880),
        ({"feed_label": True}, 2836, 250_880),
        ({"message_size": 8, "error_as": "message", "output_channel": 1}, 2384, 250_880),
        ({"message_size": 8, "error_as": "message", "layer_norm": True}, 2416, 250_880),
        ({"coordinates": ("time", "input")}, 2772 + 2 * 64, 250_880),
        ({"cell": "vanilla", "error_as": "message"}, 3 * 16**2 + 16, 125_440),
    ],
)
def test_counts_for_784_inputs_and_10_outputs(options, meta_parameters, learned, key):
    rule = hx.Vsml(**options)
    theta = jax.eval_shape(rule.init, key)
    net = jax.eval_shape(lambda t: rule.init_network(t, key, (784, 10)), theta)
    assert count(theta) == meta_parameters
    assert count(net.layers) == learned


# Symmetries


def permuted(net, axis, order, layer):
    """Permute the inputs (axis 3) or outputs (axis 2) of a layer's sub-RNNs."""
    layers = list(net.layers)
    layers[layer] = jax.tree.map(lambda a: jnp.take(a, order, axis), layers[layer])
    return eqx.tree_at(lambda n: n.layers, net, tuple(layers))


def test_permuting_inputs(case):
    rule, theta, net, x, y = case
    order = jnp.array([2, 0, 3, 1])
    after, prediction = run(rule, "update", theta, net, x, y)
    after_p, prediction_p = run(rule, "update", theta, permuted(net, 3, order, 0), x[:, order], y)
    close(prediction_p, prediction)
    close(after_p, permuted(after, 3, order, 0))


def test_permuting_hidden_units(case):
    rule, theta, net, x, y = case
    order = jnp.array([1, 2, 0])

    def permute(net):
        net = permuted(permuted(net, 2, order, 0), 3, order, 1)
        return eqx.tree_at(lambda n: n.downward[0], net, net.downward[0][:, :, order])

    after, prediction = run(rule, "update", theta, net, x, y)
    after_p, prediction_p = run(rule, "update", theta, permute(net), x, y)
    close(prediction_p, prediction)
    close(after_p, permute(after))


def test_permuting_classes(case):
    rule, theta, net, x, y = case
    order = jnp.array([1, 0])

    def permute(net):
        net = permuted(net, 2, order, 1)
        if net.feedback is None:
            return net
        return eqx.tree_at(lambda n: n.feedback, net, net.feedback[:, :, order])

    after, prediction = run(rule, "update", theta, net, x, y)
    after_p, prediction_p = run(rule, "update", theta, permute(net), x, y[:, order])
    close(prediction_p, prediction[:, order])
    close(after_p, permute(after))
    assert np.max(np.abs(prediction - prediction[:, order])) > 1e-3


def test_no_difference_arises_between_equal_hidden_units(key):
    """Only the random initial state tells hidden units apart, or their coordinates."""
    for coordinates in ((), ("output", "input")):
        rule = hx.Vsml(**SMALL, coordinates=coordinates)
        theta, net, x, y = begin(rule, SIZES)
        same = jax.tree.map(jnp.zeros_like, net)
        after, _ = run(rule, "update", theta, same, x, y)
        hidden = after.layers[0].h
        assert differ(hidden, hidden[:, :, ::-1]) == bool(coordinates)


# The inner loop


def test_prediction_comes_before_the_change(case):
    rule, theta, net, x, y = case
    after, prediction = run(rule, "update", theta, net, x[:1], y[:1])
    close(prediction, run(rule, "predict", theta, net, x[:1]))
    assert differ(after.layers, net.layers)
    close(run(rule, "predict", theta, net, x)[:1], prediction)


def test_without_labels_nothing_changes(case):
    rule, theta, net, x, _ = case
    after, prediction = run(rule, "update", theta, net, x, None)
    close(after, net, 0)
    close(prediction, run(rule, "predict", theta, net, x))


def test_rows_are_data_one_after_another(case):
    rule, theta, net, x, y = case
    after, prediction = run(rule, "update", theta, net, x, y)
    for index in range(len(x)):
        row = slice(index, index + 1)
        net, one = run(rule, "update", theta, net, x[row], y[row])
        close(prediction[row], one)
    close(after, net)


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


def test_errors(key):
    rule = hx.Vsml(feed_label=True)
    prediction, y = jnp.array([[1.0, -2.0, 0.5]]), jnp.array([[0.0, 1.0, 0.0]])
    error, label = rule.errors(prediction, y)

    def loss(z):
        return hx.losses.cross_entropy(z, y)

    close(error, jax.grad(loss)(prediction))
    close(label, y, 0)
    one = hx.Vsml().errors(jnp.array([[0.7]]), jnp.array([[1.0]]))
    close(one, jnp.array([[[1 / (1 + math.exp(-0.7)) - 1]]]))


def test_loss_of_a_fresh_rule_is_that_of_guessing(key):
    rule = hx.Vsml()

    @jax.jit
    def predict(key):
        k_theta, k_net, k_x = jax.random.split(key, 3)
        theta = rule.init(k_theta)
        net = rule.init_network(theta, k_net, (100, 10))
        return rule.predict(theta, net, jax.random.normal(k_x, (6, 100)))

    loss = hx.losses.cross_entropy(predict(key), jax.nn.one_hot(jnp.arange(6), 10))
    assert float(loss) == pytest.approx(math.log(10), abs=5e-3)


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


def test_parameters_fit_any_size(case):
    rule, theta, _, _, _ = case
    sizes = (1, 2, 1, 3)
    _, net, x, y = begin(rule, sizes)
    after, prediction = run(rule, "update", theta, net, x[:1], y[:1])
    assert after.sizes == sizes
    assert prediction.shape == (1, 3)
    assert np.all(np.isfinite(prediction))


# JAX


def test_is_pure_hashable_and_vmaps(case):
    rule, *_ = case
    again = type(rule)(**{name: getattr(rule, name) for name in vars(rule)})
    assert rule == again
    assert hash(rule) == hash(again)
    lifetimes = [begin(rule, SIZES, seed) for seed in range(3)]
    together = jax.tree.map(lambda *a: np.stack(a), *lifetimes)
    alone = [run(rule, "update", *lifetime) for lifetime in lifetimes]
    found = jax.jit(jax.vmap(rule.update))(*together)
    close(found, jax.tree.map(lambda *a: np.stack(a), *alone))


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


# The cells


def by_loops(kind, theta, s, up, down):
    """Return the states of eqs. 5 and 14 after one tick, unit by unit; `s` is s_abj."""
    W, C, U, b = (np.asarray(a, np.float64) for a in (theta.W, theta.C, theta.U, theta.b))
    out = np.zeros(s.shape)
    for a, k, j in np.ndindex(s.shape):
        own, forward, backward = s[a, k] @ W[:, j], up[a] @ C[:, j], down[k] @ U[:, j]
        product = kind == "multiplicative" and j < s.shape[2] // 2
        both = own * forward if product else own + forward
        out[a, k, j] = np.tanh(b[j] + both + backward)
    return out


@pytest.mark.parametrize("kind", ["vanilla", "multiplicative"])
def test_cell_equals_loops_over_units(kind, key):
    rule = hx.Vsml(state_size=5, cell=kind, error_as="message")
    theta, _, _, _ = begin(rule, (3, 2))
    theta = eqx.tree_at(lambda t: t.b, theta, jnp.linspace(-1, 1, 5))
    rng = np.random.default_rng(0)
    s, up, down = (rng.normal(size=n) for n in ((3, 2, 5), (3, 5), (2, 5)))
    layer = Layer(jnp.asarray(s.T[:, None], jnp.float32), None)
    inputs = cells.Inputs(*(jnp.asarray(m.T[:, None], jnp.float32) for m in (up, down)))
    after = jax.jit(lambda *a: cells.tick(kind, *a))(theta, layer, inputs)
    np.testing.assert_allclose(after.h[:, 0].T, by_loops(kind, theta, s, up, down), atol=1e-5)


def test_messages_are_means_or_sums():
    rng = np.random.default_rng(0)
    h = rng.normal(size=(4, 1, 2, 3)).astype("float32")
    weight, bias = rng.normal(size=(4, 3)), rng.normal(size=3)
    head = Head(*(jnp.asarray(a, jnp.float32) for a in (weight, bias)))
    each, bias = np.einsum("im,inba->mnba", weight, h), bias[:, None, None]

    @jax.jit
    def send(h):
        mean, both = cells.send_up(head, h, "mean"), cells.send_up(head, h, "sum")
        return mean, both, cells.send_down(head, h, "sum"), cells.send_down(None, h, "mean")

    expected = (each.mean(3) + bias, each.sum(3) + bias, each.sum(2) + bias, h.mean(2))
    close(send(h), expected)


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


# Files and bad input


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
