"""What decides every bit of a run, as JSON has it, for `config.json`."""

import dataclasses
from typing import Any

import jax

from hebbax._identity import identity
from hebbax._trees import digest
from hebbax._version import __version__
from hebbax.networks import Architecture, Architectures
from hebbax.outer import MetaTraining, Workers

FLAGS = ("jax_threefry_partitionable", "jax_enable_x64", "jax_default_matmul_precision")
"""Settings of JAX that change numbers."""
COUNTS = ("runs", "tasks", "validation", "log_every", "checkpoint_every")


def configuration(training: MetaTraining, workers: Workers | None) -> dict[str, Any]:
    """Return the settings of a run; two runs with the same settings end with the same bits.

    `steps` is not among them, for a run that is over may go on.
    """
    rule, method, hidden = training.rule, training.method, training.hidden
    theta = jax.eval_shape(rule.init, training.key)
    return {
        "hebbax": __version__,
        "jax": jax.__version__,
        **{name: getattr(jax.config, name) for name in FLAGS},
        "rule": described(rule),
        "families": [
            {"name": f.name, "inputs": f.inputs, "outputs": f.outputs, "digest": identity(f)}
            for f in training.all_families
        ],
        "objective": described(training.objective),
        "theta": None if training.theta is None else digest(training.theta),
        "method": {"name": type(method).__name__, "fingerprint": method.fingerprint(theta)},
        "hidden": _layers(hidden),
        "key": jax.random.key_data(training.key).tolist(),
        "key_impl": str(jax.random.key_impl(training.key)),
        **{name: getattr(training, name) for name in COUNTS},
        "workers": None if workers is None else workers.settings(),
    }


def _layers(hidden: Any) -> Any:
    if isinstance(hidden, Architecture | Architectures):
        return hidden.settings()
    return [_layers(own) for own in hidden] if isinstance(hidden, tuple) else hidden


def described(value: Any) -> Any:
    """Return a rule or an objective as JSON has it, what JSON has no word for as its identity."""
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, tuple | list):
        return [*map(described, value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: described(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"name": type(value).__qualname__, **fields}
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return f"{name} {identity(value)}"
