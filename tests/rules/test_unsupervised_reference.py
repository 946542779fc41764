"""`UnsupervisedRule` against numbers recorded from the authors' program."""

import functools
import os
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax import UnsupervisedRule, unroll
from hebbax.losses._ridge import few_shot_ridge
from hebbax.rules.unsupervised import Layer, Network
from hebbax.rules.unsupervised import _hidden as hidden
from hebbax.rules.unsupervised import _planes as planes
from hebbax.rules.unsupervised import _readouts as readouts
from hebbax.rules.unsupervised._parameters import (
    CROSS_READOUTS,
    LOWER_READOUTS,
    PLANES,
    PSD_READOUT,
    UPPER_READOUTS,
)

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("HEBBAX_REFERENCE", ROOT / "../shared/reference"))
FILES = sorted((REFERENCE / "unsupervised").glob("*.npz")) if REFERENCE.is_dir() else []
# Relative to the largest entry of an array.
TOLERANCE = {"float32": 1e-5, "float64": 1e-9}
# Signals are normalised over few numbers, some of them small, so that single precision is off by
# more than its rounding; the authors' own program is by 5e-5 of the largest entry.
LOOSER = {"back/": 3e-4, "upd/": 1e-4}

pytestmark = pytest.mark.reference


def load(path):
    with np.load(path) as file:
        return dict(file)


def make_rule(case):
    """Read the sizes off the recorded parameters."""
    rank = case["theta/readout/lowrr_zero/upper/w"].shape[1]
    hidden_channels, signal_channels = case["theta/delta/w"].shape
    return UnsupervisedRule(
        step_size=float(case["step_size"]),
        top_units=int(case["layer_sizes"][-1]),
        hidden_channels=hidden_channels,
        top_channels=case["theta/topd/batch_conv_in/w"].shape[2],
        signal_channels=signal_channels,
        rank=rank,
        planes=len(case["plane_order"]),
    )


def by_path(prefix, case):
    """Return a function from a field of θ to the recorded array of the same name."""
    order = [str(name) for name in case["plane_order"]]

    def read(path, leaf):
        names = [getattr(k, "name", getattr(k, "key", None)) for k in path]
        array = case["/".join([prefix, *names])]
        if names == ["merge", "w"]:
            array = array[[order.index(name) for name in PLANES[len(order)]]]
        return array.reshape(leaf.shape)

    return read


def recorded_like(prefix, theta, case):
    return jax.tree_util.tree_map_with_path(by_path(prefix, case), theta)


def make_theta(rule, case, dtype):
    recorded = recorded_like("theta", jax.eval_shape(rule.init, jax.random.key(0)), case)
    return jax.tree.map(lambda a: jnp.asarray(a, dtype), recorded)


def make_network(case, prefix, dtype):
    def array(name):
        return jnp.asarray(case[f"{prefix}/{name}"], dtype)

    return Network(
        tuple(
            Layer(array(f"W{index}"), array(f"b{index}"), array(f"V{index}"))
            for index in range(1, len(case["layer_sizes"]))
        )
    )


def checker(case, dtype):
    tolerance = TOLERANCE[dtype]

    def close(found, name):
        expected = case[name]
        assert found.dtype == dtype
        assert found.shape == expected.shape, name
        single = LOOSER.get(name[: name.index("/") + 1], tolerance)
        bound = (single if dtype == "float32" else tolerance) * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, atol=bound, rtol=0, err_msg=name)

    return close


def check_network(close, net, prefix):
    for index, layer in enumerate(net.layers, start=1):
        close(layer.weight, f"{prefix}/W{index}")
        close(layer.bias, f"{prefix}/b{index}")
        close(layer.backward, f"{prefix}/V{index}")


@eqx.filter_jit
def trace(rule, theta, net, x):
    """Return every intermediate result of an update, by the functions it is made of."""
    activity = rule.forward(net, x)
    found = rule.backward(theta, net, activity)
    inputs = []
    for index, signal in enumerate(found):
        below = net.layers[index - 1] if index > 0 else None
        above = net.layers[index] if index < len(net.layers) else None
        stats = hidden.weight_statistics(
            None if below is None else below.weight, None if above is None else above.weight
        )
        inputs.append((stats, rule.unit_inputs(theta, activity[index], signal.d, below, above)))
    projections = rule.projections(theta, found)
    all_planes = rule.weight_planes(net, activity, projections)
    changes = rule.changes(theta, net, activity, found)
    return activity, found, inputs, projections, all_planes, changes


# By operation, each would be a dozen programs for each shape.
low_rank, squash, merge, columns, orthogonal = map(
    jax.jit,
    (readouts.low_rank, planes.squash, planes.merge, planes.columns, planes.orthogonal),
)


def case_id(path):
    return path.stem


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("path", FILES, ids=case_id)
def test_first_update(path, dtype):
    case = load(path)
    close = checker(case, dtype)
    with jax.enable_x64(dtype == "float64"):
        rule = make_rule(case)
        theta, net = make_theta(rule, case, dtype), make_network(case, "phi", dtype)
        x = jnp.asarray(case["x/step1"], dtype)
        activity, found, inputs, projections, all_planes, changes = trace(rule, theta, net, x)
        for index, layer in enumerate(activity):
            close(layer.x, f"fwd/x{index}")
            if index > 0:
                close(layer.z, f"fwd/z{index}")
        for index, (signal, (stats, read)) in enumerate(zip(found, inputs, strict=True)):
            close(signal.d, f"back/d{index}")
            close(stats, f"back/w_stats_raw{index}")
            close(read, f"back/h_in{index}")
            close(signal.h, f"back/h{index}")
            if index > 0:
                close(signal.delta, f"back/delta{index}")
        for index, (of_layer, change) in enumerate(zip(all_planes, changes, strict=True), start=1):
            prefix = f"upd/l{index}"
            lower, upper = projections[index - 1]
            for left, right, names in (
                (lower.cross, upper.cross, CROSS_READOUTS),
                (lower.left, lower.right, LOWER_READOUTS),
                (upper.left, upper.right, UPPER_READOUTS),
                (upper.psd, upper.psd, (PSD_READOUT,)),
            ):
                for name, product in zip(names, low_rank(left, right), strict=True):
                    close(product, f"{prefix}/lowrr/{name}")
            assert of_layer.keys() == {str(name) for name in case["plane_order"]}
            for name, plane in of_layer.items():
                close(plane, f"{prefix}/plane/{name}")
                close(squash(plane), f"{prefix}/plane_normed/{name}")
            merged = merge(theta.merge, of_layer)
            close(merged, f"{prefix}/merged")
            w = columns(net.layers[index - 1].weight)
            close(orthogonal(merged, w), f"{prefix}/orth")
            close(change.weight, f"{prefix}/change_W")
            close(change.bias, f"{prefix}/change_b")


def unlabelled(case, dtype):
    steps = sum(name.startswith("x/step") for name in case)
    return jnp.stack([jnp.asarray(case[f"x/step{t}"], dtype) for t in range(1, steps + 1)])


def labelled(case, steps, dtype):
    """Return x_a, y_a, x_b and y_b of all steps."""
    return [
        jnp.stack([jnp.asarray(case[f"meta/step{t}/{name}"], dtype) for t in range(1, steps + 1)])
        for name in ("x_a", "y_a", "x_b", "y_b")
    ]


def lifetime(rule, penalty, net, xs, data, theta):
    """Return J, and network, features, value and what was predicted after every update."""

    def step(net, inputs):
        x, (x_a, y_a, x_b, y_b) = inputs
        net, predictions = unroll(rule, theta, net, x[None], None)
        # Features of both labelled batches at once, so that they share statistics.
        features = rule.predict(theta, net, jnp.concatenate([x_a, x_b]))
        both = features[: len(x_a)], features[len(x_a) :]
        value, _ = few_shot_ridge(
            both[0], y_a, both[1], y_b, penalty=penalty, weight_penalty=penalty
        )
        return net, (net, both, value, predictions[0])

    _, found = jax.lax.scan(step, net, (xs, data))
    return jnp.mean(found[2]), found


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("path", FILES, ids=case_id)
def test_lifetime(path, dtype):
    """All updates in a row, the meta-objective after each, and its gradient."""
    case = load(path)
    close = checker(case, dtype)
    # Compiling the gradient is slow, and single precision would say nothing more.
    differentiate = dtype == "float64" and "meta/grad/merge/w" in case
    gradient = None
    with jax.enable_x64(dtype == "float64"):
        rule = make_rule(case)
        theta, net = make_theta(rule, case, dtype), make_network(case, "phi", dtype)
        xs = unlabelled(case, dtype)
        data = labelled(case, len(xs), dtype)
        run = functools.partial(lifetime, rule, float(case["ridge_factor"]), net, xs, data)
        if differentiate:
            (total, found), gradient = jax.jit(jax.value_and_grad(run, has_aux=True))(theta)
        else:
            total, found = jax.jit(run)(theta)
        nets, (features_a, features_b), values, predictions = found
        close(total, "meta/J")
        close(predictions[0], f"fwd/x{len(net.layers)}")
        for index in range(len(xs)):
            step = index + 1
            now = jax.tree.map(lambda a, i=index: a[i], nets)
            check_network(close, now, "new" if step == 1 else f"traj/step{step}")
            close(features_a[index], f"meta/step{step}/feat_a")
            close(features_b[index], f"meta/step{step}/feat_b")
            close(values[index], f"meta/step{step}/value")
    if gradient is not None:
        check_gradient(gradient, recorded_like("meta/grad", gradient, case))


def check_gradient(gradient, recorded):
    size = max(np.abs(leaf).max() for leaf in jax.tree.leaves(recorded))
    for (name, found), expected in zip(
        jax.tree_util.tree_leaves_with_path(gradient), jax.tree.leaves(recorded), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-7 * size, rtol=0, err_msg=str(name))
        # Relative to the array itself too, but for biases whose gradient is rounding only.
        own = np.abs(expected).max()
        if own > 1e-9 * size:
            np.testing.assert_allclose(found, expected, atol=1e-5 * own, rtol=0, err_msg=str(name))


def test_every_file_is_found():
    assert FILES, f"no .npz in {REFERENCE / 'unsupervised'}"
