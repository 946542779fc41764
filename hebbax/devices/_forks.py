"""Processes that were forked when JAX was at work, in which it would wait for ever."""

import os
import sys
from typing import Any

_forked = False


def check_not_forked() -> None:
    """Refuse to compute where JAX would hang. **Raises:** `RuntimeError` that says why."""
    if _forked:
        raise RuntimeError(
            "this process was forked from one that had already used JAX, whose threads it lacks, "
            "and would wait for them for ever; start it anew instead, as by "
            "multiprocessing.get_context('spawn')."
        )


def _after_fork() -> None:
    global _forked
    bridge: Any = sys.modules.get("jax._src.xla_bridge")
    if bridge is None:
        return
    begun = getattr(bridge, "backends_are_initialized", None)
    _forked = _forked or begun is None or begun()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
