"""`UnsupervisedRule` against numbers recorded from the authors' program."""

import os
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax import UnsupervisedRule, unroll
from hebbax.ridge import few_shot_ridge
from hebbax.rules.unsupervised import Layer, Network, hidden, planes, readouts
from hebbax.rules.unsupervised.parameters import (
    CROSS_READOUTS,
    LOWER_READOUTS,
    PLANES,
    PSD_READOUT,
    UPPER_READOUTS,
)

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("HEBBAX_REFERENCE", ROOT / "../shared/reference"))
FILES = sorted((REFERENCE / "unsupervised").glob("*.npz")) if REFERENCE.is_dir() else []
# Relative to the largest entry of an array. In single precision rounding alone, through some
# thirty normalisations, comes to 2e-5; in double precision the equations are held to 1e-9.
TOLERANCE = {"float32": 5e-5, "float64": 1e-9}

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
    recorded = recorded_like("theta", rule.init(jax.random.key(0)), case)
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
        bound = tolerance * np.abs(expected).max()
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
                for name, low_rank in zip(names, readouts.low_rank(left, right), strict=True):
                    close(low_rank, f"{prefix}/lowrr/{name}")
            assert of_layer.keys() == {str(name) for name in case["plane_order"]}
            for name, plane in of_layer.items():
                close(plane, f"{prefix}/plane/{name}")
                close(planes.squash(plane), f"{prefix}/plane_normed/{name}")
            merged = planes.merge(theta.merge, of_layer)
            close(merged, f"{prefix}/merged")
            w = planes.columns(net.layers[index - 1].weight)
            close(planes.orthogonal(merged, w), f"{prefix}/orth")
            close(change.weight, f"{prefix}/change_W")
            close(change.bias, f"{prefix}/change_b")
        net, features = eqx.filter_jit(rule.update)(theta, net, x, None)
        check_network(close, net, "new")
        close(features, f"fwd/x{len(activity) - 1}")


def unlabelled(case, dtype):
    steps = sum(name.startswith("x/step") for name in case)
    return [jnp.asarray(case[f"x/step{t}"], dtype) for t in range(1, steps + 1)]


def labelled(case, step, dtype):
    names = ("x_a", "y_a", "x_b", "y_b")
    return [jnp.asarray(case[f"meta/step{step}/{name}"], dtype) for name in names]


def meta_objective(rule, theta, net, data, penalty):
    """Return J: features of both labelled batches at once, so that they share statistics."""
    x_a, y_a, x_b, y_b = data
    features = rule.predict(theta, net, jnp.concatenate([x_a, x_b]))
    features_a, features_b = features[: len(x_a)], features[len(x_a) :]
    loss, _ = few_shot_ridge(
        features_a, y_a, features_b, y_b, penalty=penalty, weight_penalty=penalty
    )
    return loss, (features_a, features_b)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("path", FILES, ids=case_id)
def test_trajectory_and_meta_objective(path, dtype):
    case = load(path)
    close = checker(case, dtype)
    penalty = float(case["ridge_factor"])
    with jax.enable_x64(dtype == "float64"):
        rule = make_rule(case)
        theta, net = make_theta(rule, case, dtype), make_network(case, "phi", dtype)
        update = eqx.filter_jit(rule.update)
        judge = jax.jit(lambda net, data: meta_objective(rule, theta, net, data, penalty))
        values = []
        for step, x in enumerate(unlabelled(case, dtype), start=1):
            net, _ = update(theta, net, x, None)
            check_network(close, net, "new" if step == 1 else f"traj/step{step}")
            value, (features_a, features_b) = judge(net, labelled(case, step, dtype))
            close(features_a, f"meta/step{step}/feat_a")
            close(features_b, f"meta/step{step}/feat_b")
            close(value, f"meta/step{step}/value")
            values.append(value)
        close(jnp.mean(jnp.stack(values)), "meta/J")


WITH_GRADIENT = [path for path in FILES if "meta/grad/merge/w" in load(path)]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("path", WITH_GRADIENT, ids=case_id)
def test_meta_gradient(path, dtype):
    """Through all updates and evaluations, nothing stopped."""
    case = load(path)
    penalty = float(case["ridge_factor"])
    with jax.enable_x64(dtype == "float64"):
        rule = make_rule(case)
        theta, net = make_theta(rule, case, dtype), make_network(case, "phi", dtype)
        xs = jnp.stack(unlabelled(case, dtype))
        data = [labelled(case, step, dtype) for step in range(1, len(xs) + 1)]
        data = jax.tree.map(lambda *a: jnp.stack(a), *data)

        def loss(theta):
            def step(net, inputs):
                x, data = inputs
                net, _ = unroll(rule, theta, net, x[None], None)
                return net, meta_objective(rule, theta, net, data, penalty)[0]

            return jnp.mean(jax.lax.scan(step, net, (xs, data))[1])

        value, gradient = jax.jit(jax.value_and_grad(loss))(theta)
    np.testing.assert_allclose(value, case["meta/J"], rtol=TOLERANCE[dtype])
    recorded = recorded_like("meta/grad", gradient, case)
    size = max(np.abs(leaf).max() for leaf in jax.tree.leaves(recorded))
    for (name, found), expected in zip(
        jax.tree_util.tree_leaves_with_path(gradient), jax.tree.leaves(recorded), strict=True
    ):
        bound = size * (1e-7 if dtype == "float64" else 3e-4)
        np.testing.assert_allclose(found, expected, atol=bound, rtol=0, err_msg=str(name))


def test_every_file_is_found():
    assert FILES, f"no .npz in {REFERENCE / 'unsupervised'}"
