"""Vsml, MetaRnn and the online baselines against numbers recorded from the authors' program."""

import os
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hebbax as hx
from hebbax._optax import updates
from hebbax.rules import Perceptron
from hebbax.rules._backprop import BackpropState
from hebbax.rules._meta_rnn import MetaRnnWeights
from hebbax.rules.vsml import Head, Layer, SharedCell, cells, theorem
from hebbax.rules.vsml._meta_parameters import halved
from hebbax.rules.vsml._network import averaged

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("HEBBAX_REFERENCE", ROOT / "../shared/reference"))
FILES = sorted((REFERENCE / "vsml").glob("*.npz")) if REFERENCE.is_dir() else []
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
GATE_OFFSET = 5.0

pytestmark = pytest.mark.reference

# What a file holds, by an array that only files of that form have.
FORMS = {
    "cell": "h_next",
    "equations": "W_tilde",
    "lifetime": "sizes",
    "meta rnn": "out_w",
    "online baseline": "init_w0",
}


def form(file):
    with np.load(file) as case:
        return next((form for form, name in FORMS.items() if name in case), None)


FORM = {file: form(file) for file in FILES}


def cases(wanted):
    """Parametrise a test over the files of a form, in both precisions."""
    files = [file for file in FILES if FORM[file] == wanted]
    both = [
        pytest.param(file, dtype, id=f"{file.stem}-{dtype}")
        for file in files
        for dtype in TOLERANCE
    ]
    return pytest.mark.parametrize(("file", "dtype"), both)


def load(file, dtype):
    """Return the arrays of a file, floating-point ones in `dtype`; nothing is lost by that."""
    with np.load(file) as case:
        return {
            name: case[name].astype(dtype) if case[name].dtype.kind == "f" else case[name]
            for name in case.files
        }


def close(found, expected, dtype, name=""):
    tolerance = TOLERANCE[dtype]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=name)


def head(arrays, name):
    layer_norm = f"ln_{name}_scale" in arrays
    return Head(
        jnp.asarray(arrays[f"{name}_w"]),
        jnp.asarray(arrays[f"{name}_b"]),
        jnp.asarray(arrays[f"ln_{name}_scale"]) if layer_norm else None,
        jnp.asarray(arrays[f"ln_{name}_offset"]) if layer_norm else None,
    )


def make_theta(arrays):
    """Map the program's parameters onto ours."""
    weights = arrays["lstm_w"]
    m = (len(weights) - weights.shape[1] // 4) // 2
    return SharedCell(
        C=jnp.asarray(weights[:m]),
        U=jnp.asarray(weights[m : 2 * m]),
        W=jnp.asarray(weights[2 * m :]),
        b=jnp.asarray(arrays["lstm_b"]),
        forward_head=head(arrays, "fwd"),
        backward_head=head(arrays, "bwd"),
    )


def parameters(case, prefix):
    """Return the parameters recorded under a prefix, by their own names."""
    names = [n for n in case if n.startswith(("lstm_", "fwd_w", "fwd_b", "bwd_w", "bwd_b", "ln_"))]
    return {n: case[f"{prefix}{n}"] for n in names if f"{prefix}{n}" in case}


def check_parameters(found, case, prefix, tolerance):
    """Compare with parameters, or what is shaped like them, recorded under a prefix."""
    expected = make_theta(parameters(case, prefix))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for (path, ours), theirs in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        name = prefix + jax.tree_util.keystr(path)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance, err_msg=name)


# One tick


@cases("cell")
def test_tick(file, dtype):
    """Each row is a sub-RNN of its own, here a copy of a layer of one input and one output."""
    with jax.enable_x64(dtype == "float64"):
        case = load(file, dtype)
        theta = make_theta(case)
        layer = Layer(*(jnp.asarray(case[n].T[:, :, None, None]) for n in "hc"))
        inputs = cells.Inputs(*(jnp.asarray(case[n].T[:, :, None]) for n in ("fwd_in", "bwd_in")))

        @jax.jit
        def tick(theta, layer, inputs):
            after = cells.tick("lstm", halved(theta, GATE_OFFSET), layer, inputs)
            # Over one sub-RNN, both reductions do nothing.
            up = cells.send_up(theta.forward_head, after.h, "mean")
            down = cells.send_down(theta.backward_head, after.h, "sum")
            return after.h[:, :, 0, 0].T, after.c[:, :, 0, 0].T, up[:, :, 0].T, down[:, :, 0].T

        names = ("h_next", "c_next", "fwd_out", "bwd_out")
        for name, found in zip(names, tick(theta, layer, inputs), strict=True):
            close(found, case[name], dtype, name)


@cases("equations")
def test_equations_3_4_and_14(file, dtype):
    """A grid that is its own lower and upper neighbour, and its sparse shared matrix."""
    with jax.enable_x64(dtype == "float64"):
        case = load(file, dtype)
        W, C, U, b = (jnp.asarray(case[n]) for n in ("W", "C", "U", "b"))
        matrix = theorem.shared_matrix(W, C, *case["s0"].shape[:2])
        close(matrix, case["W_tilde"], dtype)
        for suffix, backward in (("", jnp.zeros_like(U)), ("_bwd", U)):
            theta = SharedCell(W=W, C=C, U=backward, b=b)
            states = jnp.asarray(case["s0"])
            explicit = states
            for step in (1, 2):
                states = jax.jit(theorem.tick)(theta, states)
                close(states, case[f"s{step}{suffix}"], dtype)
                if not suffix:
                    explicit = jax.jit(theorem.matrix_tick)(matrix, b, explicit)
                    close(explicit, case[f"s{step}"], dtype)


# Lifetimes


def make_rule(case):
    """Map the program's options onto ours."""
    copies = int(case["batch"])
    return hx.Vsml(
        state_size=int(case["state_size"]),
        message_size=int(case["msg_size"]),
        ticks=int(case["micro_ticks"]),
        feedback="same_datum" if case["backward_pass"] else "next_datum",
        error_as="message",
        feed_label=bool(case["feed_label"]),
        output_channel=int(case["output_channel"]),
        bound=float(case["tanh_bound"]),
        gate_offset=GATE_OFFSET,
        layer_norm=bool(case["layer_norm"]),
        batch="half_averaged" if copies > 1 else "in_order",
        copies=copies,
    )


def make_network(rule, case):
    sizes = tuple(case["sizes"].tolist())
    key = jax.random.key(0)
    empty = jax.eval_shape(lambda: rule.init_network(rule.init(key), key, sizes))
    empty = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), empty)
    layers = []
    for index in range(len(sizes) - 1):
        states = [case[f"{n}0_l{index}"].T[:, None] for n in "hc"]
        states = [jnp.asarray(np.repeat(state, rule.copies, axis=1)) for state in states]
        layers.append(Layer(*states))
    net = jax.tree.map(jnp.asarray, empty)
    return eqx.tree_at(lambda net: net.layers, net, tuple(layers))


@eqx.filter_jit
def datum(rule, theta, net, x, y):
    """Return all that happens on a datum: `update`, and its parts one after another."""
    merged = averaged(net, rule.state_size // 2) if rule.copies > 1 else net
    upward = rule.forward(theta, merged, x)
    logits = rule.read(upward)
    feedback = rule.errors(logits, y)
    after = rule.backward(theta, upward, feedback)
    return merged, upward, logits, feedback, after, rule.update(theta, net, x, y)


def check_states(net, case, prefix, t, dtype):
    for index, layer in enumerate(net.layers):
        for name in "hc":
            key = f"{prefix}{name}_l{index}"
            close(getattr(layer, name).transpose(1, 3, 2, 0), case[key][t], dtype, key)


def check_message(found, expected, dtype, name):
    """Compare the channels `[m, copies, units]` that there are; the others are zero."""
    close(found.transpose(1, 2, 0), expected[:, :, : len(found)], dtype, name)
    np.testing.assert_array_equal(expected[:, :, len(found) :], 0, err_msg=name)


@cases("lifetime")
def test_every_datum(file, dtype):
    with jax.enable_x64(dtype == "float64"):
        case = load(file, dtype)
        rule = make_rule(case)
        theta, net = make_theta(case), make_network(rule, case)
        top = len(case["sizes"]) - 2
        for t, (x, y) in enumerate(zip(case["x"], case["y"], strict=True)):
            x, y = jnp.asarray(x), jnp.asarray(y)
            merged, upward, logits, feedback, after, updated = datum(rule, theta, net, x, y)
            if rule.copies > 1:
                check_states(merged, case, "merged_", t, dtype)
            fed = np.zeros((2, *logits.shape), dtype)
            if net.feedback is not None:
                fed[: len(net.feedback)] = net.feedback
            close(fed[0], case["error_fed"][t], dtype)
            close(fed[1], case["label_fed"][t], dtype)
            check_states(upward.net, case, "", t, dtype)
            for index in range(top + 1):
                recorded = case[f"fwd_in_l{index}"][t]
                check_message(upward.received[index], recorded, dtype, f"fwd_in_l{index}")
                down = fed if index == top else upward.net.downward[index]
                check_message(down, case[f"bwd_in_l{index}"][t], dtype, f"bwd_in_l{index}")
            close(logits, case["logits"][t], dtype)
            close(feedback[0], case["error"][t], dtype)
            if rule.feedback == "same_datum":
                check_states(after, case, "rev_", t, dtype)
                check_message(x[None], case["rev_fwd_in_l0"][t], dtype, "rev_fwd_in_l0")
                for index in range(top + 1):
                    down = feedback if index == top else after.downward[index]
                    name = f"rev_bwd_in_l{index}"
                    check_message(down, case[name][t], dtype, name)
                expected = after
            else:
                expected = eqx.tree_at(
                    lambda n: n.feedback, upward.net, feedback, is_leaf=lambda n: n is None
                )
            # The parts are what `update` does.
            assert jax.tree.structure(updated[0]) == jax.tree.structure(expected)
            jax.tree.map(lambda a, b: close(a, b, dtype), updated[0], expected)
            close(updated[1], case["logits"][t], dtype)
            net = updated[0]


@cases("lifetime")
def test_meta_gradient(file, dtype):
    with jax.enable_x64(dtype == "float64"):
        case = load(file, dtype)
        rule = make_rule(case)
        theta, net = make_theta(case), make_network(rule, case)
        xs, ys = jnp.asarray(case["x"]), jnp.asarray(case["y"])

        def lifetime(theta):
            _, logits = hx.unroll(rule, theta, net, xs, ys)
            losses = -jnp.sum(ys * jax.nn.log_softmax(logits), axis=2)
            return jnp.mean(losses), (logits, losses)

        lifetime = jax.jit(jax.value_and_grad(lifetime, has_aux=True))

        (loss, (logits, losses)), gradient = lifetime(theta)
        close(logits, case["logits"], dtype)
        close(losses, case["step_ce"], dtype)
        hits = jnp.argmax(logits, axis=2) == case["labels"]
        np.testing.assert_array_equal(hits, case["step_correct"] == 1)
        close(loss, case["loss"], dtype)
        norm = float(case["grad_global_norm"])
        check_parameters(gradient, case, "grad_", norm * TOLERANCE[dtype])
        found = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(gradient)))
        close(found, norm, dtype)
        if "eps_lstm_w" in case:
            noise, std = make_theta(parameters(case, "eps_")), case["es_std"]
            ends = {}
            for sign, name in ((1, "pos"), (-1, "neg")):
                move = sign * std
                moved = jax.tree.map(lambda p, e, m=move: np.asarray(p) + m * e, theta, noise)
                moved = jax.tree.map(jnp.asarray, moved)
                (ends[name], _), _ = lifetime(moved)
                close(ends[name], case[f"es_loss_{name}"], dtype)
            slope = float(ends["pos"] - ends["neg"]) / (2 * std)
            estimate = jax.tree.map(lambda e: jnp.asarray(np.asarray(e) * slope), noise)
            # A difference of two losses of order 1, divided by a small number.
            check_parameters(estimate, case, "esgrad_", 100 * TOLERANCE[dtype])
        if dtype == "float32":
            # Adam divides each element by its own size, so that rounding errors of small ones show.
            return
        for prefix, clip in (("adam", case["adam_clip"]), ("adamclip", case["adamclip_clip"])):
            steps = two_steps(theta, gradient, float(case["meta_lr"]), float(clip))
            for index, moved in enumerate(steps, start=1):
                check_parameters(moved, case, f"{prefix}{index}_", TOLERANCE[dtype])


@partial(jax.jit, static_argnums=(2, 3))
def two_steps(theta, gradient, rate, clip):
    """Return the parameters after one and after two steps of Adam along the same gradient."""
    optimizer = optax.adam(rate)
    if clip > 0:
        optimizer = optax.chain(optax.clip_by_global_norm(clip), optimizer)
    state, steps = optimizer.init(theta), []
    for _ in range(2):
        change, state = updates(optimizer, gradient, state, theta)
        theta = optax.apply_updates(theta, change)
        steps.append(theta)
    return steps


# Baselines


@cases("meta rnn")
def test_meta_rnn(file, dtype):
    with jax.enable_x64(dtype == "float64"):
        case = load(file, dtype)
        xs, ys = jnp.asarray(case["x"]), jnp.asarray(case["y"])
        rule = hx.MetaRnn(
            inputs=xs.shape[2],
            outputs=ys.shape[2],
            state_size=int(case["state_size"]),
            ticks=int(case["micro_ticks"]),
            bound=float(case["tanh_bound"]),
        )
        names = ("lstm_w", "lstm_b", "out_w", "out_b")
        theta = MetaRnnWeights(**{name: jnp.asarray(case[name]) for name in names})
        net = rule.init_network(theta, jax.random.key(0), (xs.shape[2], ys.shape[2]))
        net = jax.tree.map(lambda a: a.astype(dtype), net)

        def lifetime(theta):
            after, logits = hx.unroll(rule, theta, net, xs, ys)
            loss = -jnp.sum(ys * jax.nn.log_softmax(logits)) / (ys.shape[0] * ys.shape[1])
            return loss, (logits, after)

        lifetime = jax.jit(jax.value_and_grad(lifetime, has_aux=True))

        (loss, (logits, after)), gradient = lifetime(theta)
        close(logits, case["logits"], dtype)
        close(jax.nn.softmax(logits) - ys, case["error"], dtype)
        close(after.error, case["error"][-1, -1], dtype)
        close(loss, case["loss"], dtype)
        for name in names:
            close(getattr(gradient, name), case[f"grad_{name}"], dtype, name)


class BoundedBackprop(hx.Backprop):
    """Backpropagation of 100 tanh(logits / 100), which the program's baselines share with VSML."""

    bound: float = eqx.field(static=True, default=100.0)

    def _logits(self, network, x):
        return self.bound * jnp.tanh(super()._logits(network, x) / self.bound)


@cases("online baseline")
def test_online_baseline(file, dtype):
    with jax.enable_x64(dtype == "float64"):
        case = load(file, dtype)
        adam = "adam" in file.stem
        rule = BoundedBackprop(
            "adam" if adam else "sgd", float(case["lr"]), bound=float(case["tanh_bound"])
        )

        def perceptron(prefix):
            layers = range(int(case["layers"]))
            parts = [[jnp.asarray(case[f"{prefix}{n}{i}"]) for i in layers] for n in "wb"]
            return Perceptron(*map(tuple, parts))

        theta = jax.tree.map(lambda a: a.astype(dtype), rule.init(jax.random.key(0)))
        network = perceptron("init_")
        net = BackpropState(network, rule._transformation(theta).init(network))
        xs, ys = jnp.asarray(case["x"]), jnp.asarray(case["y"])
        after, logits = hx.unroll(rule, theta, net, xs, ys)
        close(logits, case["logits"], dtype)
        jax.tree.map(lambda a, b: close(a, b, dtype), after.network, perceptron("final_"))


def test_every_file_is_read():
    assert FILES, f"no .npz in {REFERENCE / 'vsml'}"
    unknown = [file.name for file in FILES if FORM[file] is None]
    assert not unknown, f"files of no known form: {unknown}"
