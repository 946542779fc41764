"""Telling the time spent on compiling from the time spent on running."""

import time
from collections.abc import Iterable

_PHASES = ("jaxpr_trace_duration", "jaxpr_to_mlir_module_duration", "backend_compile_duration")
Span = tuple[float, float]


class CompileClock:
    """Tells how long JAX compiles, or fetches what it compiled before, by phases.

    What happens at once, or one within the other, counts once: traces nest, and threads compile
    side by side.
    """

    def __init__(self):
        self._spans: dict[str, list[Span]] = {phase: [] for phase in _PHASES}

    def __enter__(self) -> "CompileClock":
        import jax

        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        import jax

        jax.monitoring.unregister_event_duration_listener(self._hear)

    @property
    def seconds(self) -> float:
        """Seconds of all phases."""
        return sum(self.phases.values())

    @property
    def phases(self) -> dict[str, float]:
        """Seconds to trace, to lower and to compile, each without those after it in this order."""
        trace, lower, compiled = (self._spans[phase] for phase in _PHASES)
        last, later = covered(compiled), covered(lower + compiled)
        whole = covered(trace + lower + compiled)
        return {"trace": whole - later, "lower": later - last, "compile": last}

    def _hear(self, event: str, duration_secs: float, **_: str | int) -> None:
        phase = event.rpartition("/")[2]
        if phase in self._spans:
            now = time.perf_counter()
            self._spans[phase].append((now - duration_secs, now))


def covered(spans: Iterable[Span]) -> float:
    """Return the length of what any of the spans covers."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
