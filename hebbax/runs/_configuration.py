"""What decides every bit of a run, as JSON has it, for `config.json`."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import PyTree

from hebbax._rule_file import hyperparameters
from hebbax._trees import digest
from hebbax._version import __version__
from hebbax.outer import Curriculum
from hebbax.outer.objectives import Objective
from hebbax.rules import AbstractRule
from hebbax.tasks import AbstractFamily


def configuration(
    rule: AbstractRule,
    families: Sequence[AbstractFamily],
    objective: Objective | Curriculum,
    theta: PyTree,
    **others: Any,
) -> dict[str, Any]:
    """Return the settings of a run; two runs with the same settings end with the same bits."""
    return {
        "hebbax": __version__,
        "jax": jax.__version__,
        "rule": {"family": type(rule).__name__, **_plain(hyperparameters(rule))},
        "families": [
            {"name": f.name, "inputs": f.inputs, "outputs": f.outputs, "digest": digest(f)}
            for f in families
        ],
        "objective": _objective(objective),
        "theta": None if theta is None else digest(theta),
        **others,
    }


def _objective(objective: Any) -> dict[str, Any]:
    name = getattr(objective, "__name__", type(objective).__name__)
    if isinstance(objective, Curriculum):
        fields = {
            field.name: getattr(objective, field.name) for field in dataclasses.fields(objective)
        }
        fields["unrolls"] = list(objective.unrolls)
        return {"name": name, **fields, "objective": _objective(objective.objective)}
    return {
        "name": name,
        "steps": objective.steps,
        "batch": objective.batch,
        "query": objective.query,
        **_plain(getattr(objective, "__dict__", {})),
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    simple = (bool, int, float, str, type(None))
    # Addresses of functions differ from process to process.
    return {
        n: v if isinstance(v, simple) else re.sub(r" at 0x[0-9a-f]+", "", repr(v))
        for n, v in values.items()
    }
