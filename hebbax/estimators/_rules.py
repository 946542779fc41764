"""The rules that estimators may be given: a shipped one, a file, or a pair (rule, θ)."""

import contextlib
import difflib
import os
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import PyTree

from hebbax import zoo
from hebbax._card import measured_updates, trained_updates
from hebbax._errors import shown
from hebbax.inner import check_theta_of
from hebbax.rule_file import read_rule_file
from hebbax.rules import AbstractRule

TABLE_RULE = REGRESSION_RULE = "blur/lasting"
STREAM_RULE = next(name for name in ("blur/stream", "blur/mnist") if name in zoo.list())
"""What estimators take where they are given no rule, in `fit` and in `partial_fit`."""


class FoundRule(NamedTuple):
    """A rule, its θ, and its card, empty for a pair."""

    rule: AbstractRule
    theta: PyTree
    card: dict[str, Any]

    @property
    def trained_updates(self) -> int | None:
        """The longest lifetime of meta-training, in updates; None where no card says it."""
        return trained_updates(self.card)

    @property
    def measured_updates(self) -> int | None:
        """The most updates that are known to work; None where no card says it."""
        return measured_updates(self.card)


def find_rule(given: Any) -> FoundRule:
    """Return the rule that the parameter `rule` of an estimator names.

    `given` is the name of a shipped rule, the path of a rule file or of a run directory, or a
    pair of a rule and its θ.

    **Raises:** `ValueError` if it is none of these, or its file cannot be read.
    """
    if isinstance(given, (tuple, list)) and len(given) == 2 and isinstance(given[0], AbstractRule):
        check_theta_of(given[0], given[1])
        return FoundRule(given[0], given[1], {})
    if not isinstance(given, (str, os.PathLike)):
        raise ValueError(
            f"rule must be the name of a shipped rule, a rule file or a pair (rule, theta); "
            f"got {shown(given)}."
        )
    if given in zoo.list():
        return FoundRule(*read_rule_file(zoo.path(str(given))))
    path = Path(given)
    # A name that is too long for any file is none.
    with contextlib.suppress(OSError):
        if path.is_dir():
            path = path / "rule.safetensors"
        if path.is_file():
            return FoundRule(*read_rule_file(path))
    shipped = zoo.list()
    near = difflib.get_close_matches(str(given), shipped, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"rule must be a shipped rule ({', '.join(shipped) or 'this version has none'}), a rule "
        f"file, a run directory or a pair (rule, theta); got {shown(str(given))}.{hint}"
    )
