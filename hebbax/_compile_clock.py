"""Telling the time spent on compiling from the time spent on running."""


class CompileClock:
    """Sums the seconds JAX spends on compiling, or on fetching what it compiled before."""

    def __init__(self):
        self.seconds = 0.0

    def __enter__(self) -> "CompileClock":
        import jax

        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        import jax

        jax.monitoring.unregister_event_duration_listener(self._hear)

    def _hear(self, event: str, duration_secs: float, **_: str | int) -> None:
        # Tracing is left out: traces nest, and an inner one would count twice.
        if event.endswith(("jaxpr_to_mlir_module_duration", "backend_compile_duration")):
            self.seconds += duration_secs
