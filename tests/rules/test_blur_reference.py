"""Blur against numbers recorded from the authors' program."""

import json
import os
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hebbax import Blur, unroll
from hebbax.rules.blur import (
    Genome,
    Network,
    Oja,
    Saturation,
    SynapseNormalization,
    Synapses,
)

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("HEBBAX_REFERENCE", ROOT / "../shared/reference"))
FILES = sorted((REFERENCE / "blur").glob("*.npz")) if REFERENCE.is_dir() else []
ACTIVATIONS = {"identity": "none"}
FIELDS = {"oja_multiplier": "ojas_multiplier", "rescale": "rescale_to"}
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}

pytestmark = pytest.mark.reference


@eqx.filter_jit
def update(rule, theta, net, x, y):
    """Return both passes, the network after its update, and what was predicted."""
    forward = rule.forward(theta, net, x)
    final = forward if y is None else rule.backward(theta, net, forward, y)
    return forward, final, *rule.update(theta, net, x, y)


@eqx.filter_jit
def meta_gradient(rule, theta, net, xs, ys, x, target):
    def loss(theta):
        carried, _ = unroll(rule, theta, net, xs, ys)
        return jnp.mean((rule.predict(theta, carried, x) - target) ** 2)

    return jax.value_and_grad(loss)(theta)


def activation(name):
    return ACTIVATIONS.get(name, name)


def make_rule(case):
    """Map the program's options onto ours."""
    config = json.loads(str(case["config"]))
    oja = config["oja"] or {}
    forms = {True: "weights", False: "activations"}
    return config, Blur(
        states=int(case["num_states"]),
        forward_activation=activation(config["forward_activation"]),
        backward_activation=activation(config["backward_activation"]),
        last_activation=activation(config["last_layer_activation"]),
        backward_update=config["backward_update"],
        symmetric=config["symmetric_in_out"],
        single_state=config["symmetric_states"],
        oja=Oja(
            forms[oja["use_synapse_weights"]],
            extra=oja.get("extra_multiplier", 1.0),
            learn=oja.get("use_multiplier", True),
        )
        if oja
        else None,
        saturation=Saturation("exponential", config["saturation_eps"] or 1e-3)
        if config["saturation_type"] == "exp_update"
        else None,
        synapse_normalization=SynapseNormalization(learn=bool(config["rescale"]))
        if config["normalize_in_activations"]
        else None,
        forward_presynaptic=config["use_forward_activations_for_synapse_update"],
        normalization=None,
        reduction="sum",
    )


def make_genome(rule, case, dtype):
    fresh = jax.eval_shape(rule.init, jax.random.key(0))
    return Genome(
        **{
            name: None
            if value is None
            else jnp.asarray(case[f"genome_{FIELDS.get(name, name)}"], dtype)
            for name, value in vars(fresh).items()
        }
    )


def blocks(rule, array, lower):
    """Cut the forward block, the bias row and the backward block out of a square array."""
    array = np.moveaxis(array, -1, 0)[: rule.synapse_states]
    forward, backward = array[:, :lower, lower + 1 :], array[:, lower + 1 :, :lower]
    return forward.swapaxes(1, 2), array[:, lower, lower + 1 :], backward.swapaxes(1, 2)


def make_network(rule, case, prefix, dtype):
    layers = []
    for index, lower in enumerate(case["layer_sizes"][:-1]):
        weight, bias, backward = (
            jnp.asarray(b, dtype) for b in blocks(rule, case[f"{prefix}synapse{index}"], lower)
        )
        own = index > 0 and not rule.tied
        layers.append(Synapses(weight, bias, backward if own else None))
    return Network(tuple(layers))


def check_layers(ours, case, prefix, tolerance):
    for index, layer in enumerate(ours, start=1):
        recorded = case[f"{prefix}layer{index}"].T
        np.testing.assert_allclose(layer, recorded, rtol=tolerance, atol=tolerance)


def check_synapses(rule, net, case, prefix, tolerance, correct=None):
    for index, (synapses, lower) in enumerate(
        zip(net.layers, case["layer_sizes"][:-1], strict=True)
    ):
        recorded = case[f"{prefix}synapse{index}"]
        if correct is not None:
            recorded = recorded + correct(index, lower)
        weight, bias, backward = blocks(rule, recorded, lower)
        np.testing.assert_allclose(synapses.weight, weight, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(synapses.bias, bias, rtol=tolerance, atol=tolerance)
        if synapses.backward is not None:
            np.testing.assert_allclose(synapses.backward, backward, rtol=tolerance, atol=tolerance)


def labels(case, name, dtype):
    """Turn ±1 targets into the one-hot labels that `update` takes."""
    return ((case[name] + 1) / 2).astype(dtype)


def dead_rows_matter(rule):
    """Tell whether the program's Oja sum reads synapse entries that a block layout lacks."""
    return rule.oja is not None and rule.oja.form == "weights" and not rule.symmetric


def dead_row_oja(rule, case, prefix):
    """What the program's Oja term adds for entries that nothing else reads, by a plain loop."""
    rate = abs(float(case["genome_eta_tilde"])) * rule.oja.extra
    if rule.oja.learn:
        rate *= abs(float(case["genome_ojas_multiplier"]))

    def correction(index, lower):
        w = case[f"{prefix}synapse{index}"]
        size, states = len(w), w.shape[-1]
        out = np.zeros_like(w)
        for column in range(size):
            for state in range(states):
                dead = 0.0
                for row in range(size):
                    live = (row <= lower) if column > lower else (row > lower)
                    if not live:
                        dead += w[row, column, state] ** 2
                out[:, column, state] = rate * w[:, column, state] * dead
        return out

    return correction


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_steps(file, dtype):
    case = np.load(file)
    tolerance = TOLERANCE[dtype]
    with jax.enable_x64(dtype == "float64"):
        config, rule = make_rule(case)
        theta = make_genome(rule, case, dtype)
        net = make_network(rule, case, "init_", dtype)
        every = config["supervised_every"] or 1
        previous = "init_"
        for step in range(int(case["num_steps"])):
            if dead_rows_matter(rule):
                net = make_network(rule, case, previous, dtype)
            x = jnp.asarray(case[f"input_t{step}"], dtype)
            y = None
            if step % every == 0:
                y = jnp.asarray(labels(case, f"target_t{step}", dtype))
            forward, final, net, prediction = update(rule, theta, net, x, y)
            check_layers(forward, case, f"step{step}_fwd_", tolerance)
            check_layers(final, case, f"step{step}_", tolerance)
            assert prediction.dtype == dtype
            np.testing.assert_array_equal(prediction, forward[-1][0].T)
            correct = None
            if dead_rows_matter(rule) and y is not None:
                correct = dead_row_oja(rule, case, previous)
            check_synapses(rule, net, case, f"step{step}_", tolerance, correct)
            previous = f"step{step}_"
        if dead_rows_matter(rule):
            net = make_network(rule, case, previous, dtype)
        x = jnp.asarray(case["val_input"], dtype)
        validation = update(rule, theta, net, x, y)[0]  # without a program of its own
        check_layers(validation, case, "val_", tolerance)


# Where the Oja sum reads entries that a block layout lacks, several steps in a row cannot agree;
# `test_steps` compares those one step at a time.
UNROLLABLE = [f for f in FILES if not dead_rows_matter(make_rule(np.load(f))[1])]

# In single precision the same program is rounded more: by as much as the options decide, so that
# of each set of them the largest network with the most states says it for all.
LARGEST = {f.stem.split("__")[0]: f for f in UNROLLABLE}
GRADIENTS = [
    *((f, "float64") for f in UNROLLABLE),
    *((f, "float32") for f in LARGEST.values()),
]


@pytest.mark.parametrize(
    ("file", "dtype"), GRADIENTS, ids=[f"{f.stem}-{dtype}" for f, dtype in GRADIENTS]
)
def test_meta_gradient(file, dtype):
    case = np.load(file)
    with jax.enable_x64(dtype == "float64"):
        config, rule = make_rule(case)
        net = make_network(rule, case, "init_", dtype)
        every = config["supervised_every"] or 1

        steps = range(int(case["num_steps"]))
        # An update without labels changes nothing, so the unroll is that of the others.
        supervised = [step for step in steps if step % every == 0]
        # NumPy's, for by JAX each operation would be a program of its own.
        xs = jnp.asarray(np.stack([case[f"input_t{step}"] for step in supervised]), dtype)
        ys = jnp.asarray(np.stack([labels(case, f"target_t{step}", dtype) for step in supervised]))
        asked = [jnp.asarray(case[name], dtype) for name in ("val_input", "val_target")]
        theta = make_genome(rule, case, dtype)
        value, gradient = meta_gradient(rule, theta, net, xs, ys, *asked)
    np.testing.assert_allclose(value, case["val_loss"], rtol=10 * TOLERANCE[dtype])
    recorded = {
        n: case[f"metagrad_{FIELDS.get(n, n)}"]
        for n in vars(gradient)
        if f"metagrad_{FIELDS.get(n, n)}" in case
    }
    size = max(np.abs(r).max() for r in recorded.values())
    for name, expected in recorded.items():
        ours = getattr(gradient, name)
        if ours is None:
            np.testing.assert_array_equal(expected, 0, err_msg=name)
        else:
            bound = size * (1e-9 if dtype == "float64" else 1e-3)
            np.testing.assert_allclose(ours, expected, atol=bound, rtol=0, err_msg=name)


def test_every_file_is_found():
    assert FILES, f"no .npz in {REFERENCE / 'blur'}"
